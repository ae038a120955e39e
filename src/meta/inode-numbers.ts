/**
 * Gives out inode numbers. The database knows a number below which all may have been used, raised a chunk at a
 * time, so that a number is never given out twice, whatever dies or is rolled back.
 */
import { type InodeId, makeInodeId } from '../ids.ts';
import type { Task } from '../task.ts';
import { SystemKey } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import { getSystemNumber, putSystemNumber } from './tables.ts';

/** Numbers that one write to the database makes available; a crash wastes at most as many. */
const CHUNK = 1024;

/** Counter of the first inode after the root. */
const FIRST_COUNTER = 2;

export class InodeNumbers {
  readonly #server: number;
  #next = FIRST_COUNTER;
  #limit = FIRST_COUNTER;

  /** `server` is the number of this metadata server. */
  constructor(server: number) {
    this.#server = server;
  }

  /** Continues where the database says. */
  *load(kv: KeyValueReader): Task<void> {
    this.#next = (yield* getSystemNumber(kv, SystemKey.INODE_HIGH_WATER)) ?? FIRST_COUNTER;
    this.#limit = this.#next;
  }

  /** A number that was never given out before. */
  *next(kv: KeyValueTransaction): Task<InodeId> {
    if (this.#next >= this.#limit) {
      this.#limit = this.#next + CHUNK;
      yield* putSystemNumber(kv, SystemKey.INODE_HIGH_WATER, this.#limit);
    }
    return makeInodeId(this.#server, this.#next++);
  }

  /** The transaction failed, and with it perhaps the raising of the high-water mark: raise it anew next time. */
  rolledBack(): void {
    this.#limit = this.#next;
  }
}
