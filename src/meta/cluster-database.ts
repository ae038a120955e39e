/** What the cluster operations need of a metadata server's database. */
import type { Task } from '../task.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import type { Layout } from './store.ts';

export interface ClusterDatabase {
  /** Of the file system, in hex. */
  readonly clusterId: string;
  /** Which of its metadata servers this is. */
  readonly number: number;
  read<T>(operation: (kv: KeyValueReader) => Task<T>): T;
  transact<T>(operation: (kv: KeyValueTransaction) => Task<T>): T;
  /** Datasets made from now on are of this epoch. */
  setEpoch(epoch: number): void;
  /** Layout of the root; number 0 only. */
  rootLayout(): Layout;
  setRootLayout(layout: Layout): void;
  statistics(): { inodes: number; usedBytes: number };
}
