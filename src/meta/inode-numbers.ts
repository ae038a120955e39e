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

/** The name that a new inode gets; with several metadata servers, a directory's decides on its server. */
export interface NewName {
  parent: InodeId;
  name: Buffer;
  directory: boolean;
}

/** Where namespace operations get the numbers of new inodes. */
export interface NumberSource {
  /** A number that was never given out before. */
  next(kv: KeyValueTransaction, use: NewName): Task<InodeId>;
}

/** Numbers that somebody else may give out: `count` of them, from `first`. */
export interface NumberChunk {
  first: InodeId;
  count: number;
}

export class InodeNumbers implements NumberSource {
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

  /**
   * Sets numbers aside. They are below all that {@link next} gives out from now on, so that a new record may still be
   * appended to its table.
   */
  *reserve(kv: KeyValueTransaction, count: number): Task<NumberChunk> {
    const first = makeInodeId(this.#server, this.#next);
    this.#next += count;
    if (this.#next > this.#limit) {
      this.#limit = this.#next + CHUNK;
      yield* putSystemNumber(kv, SystemKey.INODE_HIGH_WATER, this.#limit);
    }
    return { first, count };
  }

  /** The transaction failed, and with it perhaps the raising of the high-water mark: raise it anew next time. */
  rolledBack(): void {
    this.#limit = this.#next;
  }
}
