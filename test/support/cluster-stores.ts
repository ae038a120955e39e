/** The stores of a mount, over the servers of a cluster of processes, without the mount. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { RemoteBlockStore } from '../../src/blocks/client.ts';
import type { BlockStore } from '../../src/blocks/store.ts';
import { StripedBlockStore } from '../../src/blocks/striped-store.ts';
import { TransferBuffers } from '../../src/blocks/transfer-buffers.ts';
import { silentLogger } from '../../src/log.ts';
import { RemoteMetaStore } from '../../src/meta/client.ts';
import type { ClusterClient } from '../../src/meta/cluster-client.ts';
import { MetaRouter } from '../../src/meta/router.ts';
import type { MetaStore } from '../../src/meta/store.ts';
import type { Address } from '../../src/net/call.ts';
import { randomId } from '../../src/net/handshake.ts';
import { Peer } from '../../src/net/peer.ts';
import { loadSecret } from '../../src/net/secret.ts';
import type { Cluster } from './cluster.ts';
import { joinCluster, MOUNT } from './own-servers.ts';

const META_PORT = 5569;
const DATA_PORT = 5555;
const BUFFER_BYTES = 16 * 1024 * 1024;

export interface ClusterStores {
  readonly client: ClusterClient;
  readonly meta: MetaStore;
  readonly blocks: BlockStore;
  readonly metaAddresses: readonly Address[];
  readonly secret: Buffer;
}

/** Joins as a mount does; all is closed by `close`, and when the test ends. */
export async function openStores(t: ExecutionContext, cluster: Cluster): Promise<ClusterStores> {
  const secret = await loadSecret(join(cluster.folder, 'secret'));
  const metaAddresses = cluster.metaServers.map(({ address }) => ({
    host: address,
    port: META_PORT,
  }));
  const list = cluster.blockServers.map(({ address }) => `${address}:${DATA_PORT}`);
  const client = await joinCluster(t, metaAddresses, { secret, attach: { ...MOUNT, list } });
  const { clusterId } = client;
  const clientId = randomId();
  const metas = metaAddresses.map(
    (address) =>
      new RemoteMetaStore((hooks) => {
        const hello = { role: 'meta', clientId, clusterId } as const;
        const peer = new Peer({
          ...{ address, hello, secret, reading: 'small', logger: silentLogger },
          ...hooks,
        });
        t.teardown(() => peer.close());
        return peer;
      }),
  );
  const buffers = new TransferBuffers(BUFFER_BYTES);
  const members = cluster.blockServers.map(({ address }) => {
    const store = new RemoteBlockStore({
      address: { host: address, port: DATA_PORT },
      hello: { role: 'blocks', clientId, clusterId },
      ...{ secret, buffers, logger: silentLogger },
    });
    t.teardown(() => store.close());
    return store;
  });
  const meta = new MetaRouter(metas);
  const locator = {
    claim: meta.claimBlocks.bind(meta),
    locate: meta.blockServers.bind(meta),
  };
  const blocks = new StripedBlockStore({ members, locator });
  return { client, meta, blocks, metaAddresses, secret };
}
