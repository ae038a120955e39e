/** A metadata server's database, as the cluster operations see it: whose it is, and what it keeps beside the namespace. */
import { ROOT_INODE } from '../ids.ts';
import type { ClusterDatabase } from '../meta/cluster-database.ts';
import type { Appointment } from '../meta/cluster-service.ts';
import { readIdentity } from '../meta/identity-file.ts';
import type { LocalMetaStore } from '../meta/local.ts';
import { FailureError } from './errors.ts';

/** A metadata store's side of the cluster operations. */
export function databaseOf(store: LocalMetaStore): ClusterDatabase {
  return {
    clusterId: store.identity.clusterId.toString('hex'),
    number: store.identity.server,
    read: (operation) => store.readBeside(operation),
    transact: (operation) => store.transactBeside(operation),
    setEpoch: (epoch) => {
      store.setMapEpoch(epoch);
    },
    rootLayout: () => store.inode(ROOT_INODE).layout,
    setRootLayout: (layout) => {
      store.setLayout(ROOT_INODE, layout);
    },
    statistics: () => store.statistics(),
  };
}

/** Who the server is, as far as its database or its options say; what they say must agree. */
export async function appointmentOf(options: {
  readonly metadataFile: string | undefined;
  readonly index: number | undefined;
}): Promise<Appointment | undefined> {
  const { metadataFile, index } = options;
  const identity = metadataFile === undefined ? undefined : await readIdentity(metadataFile);
  if (identity !== undefined) {
    const number = identity.server;
    if (index !== undefined && index !== number) {
      throw new FailureError(
        `${metadataFile ?? ''} is of metadata server ${number}, and this is number ${index} of the list (-a): ` +
          'give each server its own file, or the list in its former order',
      );
    }
    return { number, clusterId: identity.clusterId.toString('hex') };
  }
  return index === 0 ? { number: 0, clusterId: null } : undefined;
}
