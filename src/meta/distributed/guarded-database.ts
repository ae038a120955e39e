/**
 * A server's database as everybody on it must use it: keys of other servers are refused with ElsewhereError, and what
 * an undecided transaction holds with LockedError. Nothing is written by a transaction that ends in either.
 */
import { FsError } from '../../errno.ts';
import type { Task } from '../../task.ts';
import type { RoomUse } from '../file-room.ts';
import type { Database, KeyRange, KeyValue, KeyValueTransaction } from '../kv.ts';
import { ElsewhereError, LockedError } from './errors.ts';
import type { LockTable } from './lock-table.ts';
import { serverOfKey, serverOfRange } from './ownership.ts';

export interface GuardedDatabaseOptions {
  database: Database;
  /** Number of this metadata server. */
  server: number;
  locks: LockTable;
}

export class GuardedDatabase implements Database {
  readonly server: number;
  readonly #database: Database;
  readonly #locks: LockTable;
  #closed = false;

  constructor(options: GuardedDatabaseOptions) {
    this.server = options.server;
    this.#database = options.database;
    this.#locks = options.locks;
  }

  /** From now on every access fails; the database itself is its owner's to close. */
  close(): void {
    this.#closed = true;
  }

  get(key: Buffer): Buffer | undefined {
    this.#checkRead(key);
    return this.#database.get(key);
  }

  range(range: KeyRange): KeyValue[] {
    this.#checkRange(range);
    return this.#database.range(range);
  }

  /** `transaction` names the one whose holds do not count: its own. */
  transact<T>(
    operation: (kv: KeyValueTransaction) => Task<T>,
    use?: RoomUse,
    transaction?: string,
  ): T {
    this.#checkOpen();
    return this.#database.transact((kv) => operation(this.#guarded(kv, transaction)), use);
  }

  #guarded(kv: KeyValueTransaction, me: string | undefined): KeyValueTransaction {
    return {
      get: (key) => {
        this.#checkRead(key, me);
        return kv.get(key);
      },
      range: (range) => {
        this.#checkRange(range, me);
        return kv.range(range);
      },
      put: (key, value) => {
        this.#checkWrite(key, me);
        return kv.put(key, value);
      },
      append: (key, value) => {
        this.#checkWrite(key, me);
        return kv.append(key, value);
      },
      remove: (key) => {
        this.#checkWrite(key, me);
        return kv.remove(key);
      },
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw new FsError('EIO', 'the metadata server is stopping');
  }

  #checkRead(key: Buffer, me?: string): void {
    this.#checkOpen();
    this.#checkOwner(serverOfKey(key));
    if (this.#locks.isEmpty) return;
    refuse(this.#locks.blockerOfRead(key, me));
  }

  #checkRange(range: KeyRange, me?: string): void {
    this.#checkOpen();
    this.#checkOwner(serverOfRange(range));
    if (this.#locks.isEmpty) return;
    refuse(this.#locks.blockerOfRange(range, me));
  }

  #checkWrite(key: Buffer, me?: string): void {
    this.#checkOwner(serverOfKey(key));
    if (this.#locks.isEmpty) return;
    refuse(this.#locks.blockerOfWrite(key, me));
  }

  #checkOwner(server: number | undefined): void {
    if (server !== undefined && server !== this.server) throw new ElsewhereError(server);
  }
}

function refuse(holder: string | undefined): void {
  if (holder !== undefined) throw new LockedError(holder);
}
