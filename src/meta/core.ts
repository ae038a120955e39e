/** What a metadata database offers to those who serve it to clients: operations run in it, whoever's they are. */
import type { InodeId } from '../ids.ts';
import type { MaybePromise, Task } from '../task.ts';
import type { NamespaceContext } from './directories.ts';
import type { RoomUse } from './file-room.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';

export interface MetaCore {
  /** Number of this metadata server. */
  readonly server: number;
  /** What operations of `client` ({@link CLIENT_ID_BYTES} bytes) need beside the database. */
  context(client: Buffer): NamespaceContext;
  /** Runs an operation in one transaction; if it throws, nothing of it remains. */
  transact<T>(operation: (kv: KeyValueTransaction) => Task<T>, use?: RoomUse): MaybePromise<T>;
  /** Runs an operation that changes nothing. */
  read<T>(operation: (kv: KeyValueReader) => Task<T>): MaybePromise<T>;
  /** Frees an orphan if no client holds it; nothing happens for anything else. Never rejects. */
  reap(inode: InodeId): MaybePromise<void>;
  /** How many inodes exist, orphans included. */
  inodeCount(): number;
}
