/**
 * Inode numbers where there are several metadata servers: a new directory's comes from the server that its name
 * chooses, anything else's from its parent's. Numbers of other servers are fetched a chunk at a time; a restart wastes
 * what is left of it.
 */
import type { InodeId } from '../../ids.ts';
import { metaServerOf } from '../../ids.ts';
import { type MaybePromise, type Task, wait } from '../../task.ts';
import type { NewName, NumberChunk, NumberSource } from '../inode-numbers.ts';
import type { KeyValueTransaction } from '../kv.ts';
import { CollectingTransaction } from './collecting-transaction.ts';
import { ElsewhereError } from './errors.ts';
import { serverForDirectory } from './ownership.ts';

/** Numbers of another server that are fetched at once. */
const CHUNK = 256;

export interface SpreadNumbersOptions {
  /** Number of this metadata server. */
  server: number;
  /** How many there are. */
  servers: number;
  own: NumberSource;
}

export class SpreadNumbers implements NumberSource {
  readonly #options: SpreadNumbersOptions;

  constructor(options: SpreadNumbersOptions) {
    this.#options = options;
  }

  /** Fails with {@link ElsewhereError} where the number is another server's and `kv` has no way there. */
  *next(kv: KeyValueTransaction, use: NewName): Task<InodeId> {
    const { server, servers, own } = this.#options;
    const where = use.directory
      ? serverForDirectory(use.parent, use.name, servers)
      : metaServerOf(use.parent);
    if (kv instanceof CollectingTransaction) return yield* wait(kv.newNumber(where));
    if (where !== server) throw new ElsewhereError(where);
    return yield* own.next(kv, use);
  }
}

/** Numbers of one other server that this one may give out. */
export class NumberPool {
  readonly #reserve: (count: number) => MaybePromise<NumberChunk>;
  #next = 0;
  #end = 0;
  #filling: Promise<void> | undefined;

  constructor(reserve: (count: number) => MaybePromise<NumberChunk>) {
    this.#reserve = reserve;
  }

  async take(): Promise<InodeId> {
    while (this.#next >= this.#end) {
      this.#filling ??= this.#fill();
      await this.#filling;
    }
    return this.#next++ as InodeId;
  }

  async #fill(): Promise<void> {
    try {
      const { first, count } = await this.#reserve(CHUNK);
      this.#next = first;
      this.#end = first + count;
    } finally {
      this.#filling = undefined;
    }
  }
}
