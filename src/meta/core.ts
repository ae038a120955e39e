/** What a metadata database offers to those who serve it to clients: operations run in it, whoever's they are. */
import type { InodeId } from '../ids.ts';
import type { MaybePromise, Task } from '../task.ts';
import type { NamespaceContext } from './directories.ts';
import type { Outcome } from './exactly-once.ts';
import type { RoomUse } from './file-room.ts';
import type { InodeNumbers } from './inode-numbers.ts';
import type { Database, KeyValueReader, KeyValueTransaction } from './kv.ts';
import type { StoredInode } from './records.ts';
import type { RequestTag } from './store.ts';

export interface MetaCore {
  /** Number of this metadata server. */
  readonly server: number;
  /** What operations of `client` ({@link CLIENT_ID_BYTES} bytes) need beside the database. */
  context(client: Buffer): NamespaceContext;
  /** Runs an operation in one transaction; if it throws, nothing of it remains. */
  transact<T>(operation: (kv: KeyValueTransaction) => Task<T>, use?: RoomUse): MaybePromise<T>;
  /** Runs a tagged mutation, or answers it as before: its reply is recorded in its own transaction. */
  once(
    tag: RequestTag,
    mutation: (kv: KeyValueTransaction) => Task<StoredInode | undefined>,
    use?: RoomUse,
  ): MaybePromise<Outcome>;
  /** Runs an operation that changes nothing. */
  read<T>(operation: (kv: KeyValueReader) => Task<T>): MaybePromise<T>;
  /** Frees an orphan if no client holds it; nothing happens for anything else. Never rejects. */
  reap(inode: InodeId): MaybePromise<void>;
  /** How many inodes exist, orphans included. */
  inodeCount(): number;
}

/** What a core is made of, for one that takes part in operations over several servers. */
export interface MetaParts {
  readonly core: MetaCore;
  /** Keeps the count of inodes for transactions that make them through the context. */
  readonly database: Database;
  readonly context: NamespaceContext;
  readonly numbers: InodeNumbers;
  /** There are so many more inodes, by transactions that know nothing of the context. */
  countInodes(more: number): void;
}
