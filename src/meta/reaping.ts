/**
 * The end of datasets: an orphan's blocks are freed, then its record goes. What the block servers have not
 * confirmed is kept in the database's to-free table and tried again, after a while and at every open.
 */
import type { Clock } from '../clock.ts';
import type { InodeId } from '../ids.ts';
import type { Logger } from '../log.ts';
import { isPromiseLike, type MaybePromise, runSync, type Task, wait } from '../task.ts';
import { forgetClaims } from './block-claims.ts';
import { firstNumber, inodeKey, numberKey, Table, tableRange } from './keys.ts';
import type { KeyValueTransaction } from './kv.ts';
import type { LmdbKeyValue } from './lmdb-kv.ts';
import { forgetOpens, isHeld } from './opens.ts';
import type { BlockReaper } from './store.ts';
import { isMarked, mark } from './tables.ts';

const RETRY_MS = 5000;

/** Inodes that one pass of {@link Reaping.retry} takes up. */
const RETRY_BATCH = 1000;

export interface ReapingOptions {
  database: LmdbKeyValue;
  reaper: BlockReaper;
  clock: Clock;
  logger: Logger;
  /** An inode's record is gone. */
  onGone: () => void;
}

export class Reaping {
  readonly #options: ReapingOptions;
  /** Handed to the reaper, and not yet confirmed. */
  readonly #inFlight = new Set<InodeId>();
  /** Orphans that the database could not forget. */
  readonly #unrecorded = new Set<InodeId>();
  #timer: NodeJS.Timeout | undefined;
  #retryAtMs = Infinity;
  #closed = false;

  constructor(options: ReapingOptions) {
    this.#options = options;
  }

  /**
   * Frees an orphan that no client holds; nothing happens for anything else. Blocks go before the record: to free them again after a
   * crash in between does no harm. While a reaper makes us wait, the inode is in the to-free table alone.
   */
  reap(inode: InodeId): MaybePromise<void> {
    const { database, onGone } = this.#options;
    if (this.#options.clock.monotonicMs() >= this.#retryAtMs) void this.retry();
    if (!runSync(isMarked(database, Table.ORPHANS, inode)) || runSync(isHeld(database, inode))) {
      return;
    }
    const freed = this.#free(inode);
    const forgotten = this.#record(inode, function* (kv) {
      yield* forgetOrphan(kv, inode);
      if (freed !== true) yield* mark(kv, Table.TO_FREE, inode);
    });
    if (forgotten) onGone();
    return typeof freed === 'boolean' ? undefined : this.#confirm(inode, freed);
  }

  /** Notes what became of an orphan. False if the database failed: then it stays one, and is reaped again later. */
  #record(inode: InodeId, operation: (kv: KeyValueTransaction) => Task<void>): boolean {
    try {
      this.#options.database.transact(operation, 'reserve');
      this.#unrecorded.delete(inode);
      return true;
    } catch (error) {
      this.#unrecorded.add(inode);
      this.#failed(inode, error);
      return false;
    }
  }

  /** Reaps every orphan that no client holds: what had one open in this process, has it no more. */
  reapAll(): void {
    for (const inode of this.#inodesOf(Table.ORPHANS, undefined)) void this.reap(inode);
  }

  /** Tries again what has not been confirmed. Never rejects: what still fails is tried again later. */
  async retry(): Promise<void> {
    if (this.#closed) return;
    this.#cancelTimer();
    let pending: InodeId[];
    try {
      for (const inode of [...this.#unrecorded].slice(0, RETRY_BATCH)) {
        if (!this.#inFlight.has(inode)) void this.reap(inode);
      }
      pending = this.#inodesOf(Table.TO_FREE, RETRY_BATCH + this.#inFlight.size);
    } catch (error) {
      this.#options.logger.error({ err: error }, 'cannot read what is still to be freed');
      this.#retryLater();
      return;
    }
    const waiting: PromiseLike<void>[] = [];
    for (const inode of pending) {
      if (this.#inFlight.has(inode)) continue;
      const freed = this.#free(inode);
      if (freed === false) break;
      if (freed === true) this.#forget(inode);
      else waiting.push(this.#confirm(inode, freed));
    }
    await Promise.all(waiting);
    if (pending.length >= RETRY_BATCH || this.#unrecorded.size > 0) this.#retryLater();
  }

  /** Stops all retries; what is unconfirmed stays in the database. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #inodesOf(table: Table, limit: number | undefined): InodeId[] {
    const range = limit === undefined ? tableRange(table) : { ...tableRange(table), limit };
    return this.#options.database.range(range).map(({ key }) => firstNumber(key) as InodeId);
  }

  /** True when done, false when it failed at once, else a promise that says which. */
  #free(inode: InodeId): boolean | PromiseLike<boolean> {
    try {
      const result = this.#options.reaper.free(inode);
      if (!isPromiseLike(result)) return true;
      this.#inFlight.add(inode);
      return result.then(
        () => true,
        (error: unknown) => this.#failed(inode, error),
      );
    } catch (error) {
      return this.#failed(inode, error);
    }
  }

  #failed(inode: InodeId, error: unknown): boolean {
    this.#options.logger.warn({ inode, err: error }, 'blocks not freed yet, will retry');
    this.#retryLater();
    return false;
  }

  async #confirm(inode: InodeId, freed: PromiseLike<boolean>): Promise<void> {
    const done = await freed;
    this.#inFlight.delete(inode);
    if (done && !this.#closed) this.#forget(inode);
  }

  /** Never throws: the entry that stays is only tried again. */
  #forget(inode: InodeId): void {
    try {
      this.#options.database.transact(
        (kv) => wait(kv.remove(numberKey(Table.TO_FREE, inode))),
        'reserve',
      );
    } catch (error) {
      this.#failed(inode, error);
    }
  }

  #retryLater(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#retryAtMs = this.#options.clock.monotonicMs() + RETRY_MS;
    this.#timer = setTimeout(() => void this.retry(), RETRY_MS);
    this.#timer.unref();
  }

  #cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#retryAtMs = Infinity;
  }
}

function* forgetOrphan(kv: KeyValueTransaction, inode: InodeId): Task<void> {
  yield* wait(kv.remove(numberKey(Table.ORPHANS, inode)));
  yield* wait(kv.remove(inodeKey(inode)));
  yield* forgetOpens(kv, inode);
  yield* forgetClaims(kv, inode);
}
