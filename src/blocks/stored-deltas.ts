/**
 * Changes of stored bytes that several memories tell of, each of its part of a dataset. What some have told of a change that
 * has failed elsewhere is told with the next one: a memory tells of each change once.
 */
import type { InodeId } from '../ids.ts';
import { type MaybePromise, then } from '../task.ts';

/** Of more datasets than this, those that have failed first are forgotten: what counts as stored of them is off then. */
const MOST_DATASETS = 4096;

export class StoredDeltas {
  readonly #untold = new Map<InodeId, number>();

  /** Passes an answer on, and notes what it tells. */
  heard<T extends { readonly storedDelta: number }>(
    inode: InodeId,
    answer: MaybePromise<T>,
  ): MaybePromise<T> {
    return then(answer, (value) => {
      this.#add(inode, value.storedDelta);
      return value;
    });
  }

  #add(inode: InodeId, storedDelta: number): void {
    const sum = (this.#untold.get(inode) ?? 0) + storedDelta;
    this.#untold.delete(inode);
    if (sum === 0) return;
    this.#untold.set(inode, sum);
    if (this.#untold.size <= MOST_DATASETS) return;
    for (const oldest of this.#untold.keys()) {
      this.#untold.delete(oldest);
      return;
    }
  }

  /** All that was heard of the dataset since this was last asked for. */
  take(inode: InodeId): { storedDelta: number } {
    const storedDelta = this.#untold.get(inode) ?? 0;
    this.#untold.delete(inode);
    return { storedDelta };
  }

  /** The dataset is freed. */
  forget(inode: InodeId): void {
    this.#untold.delete(inode);
  }
}
