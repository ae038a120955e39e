/**
 * Counters by inode number, for tens of millions of inodes: one Map holds at most 2^24 entries in V8, and doubling a
 * large one halts everything, so the counters are spread over many.
 */
import type { InodeId } from '../ids.ts';

const SHARDS = 256;

export class InodeCounts {
  readonly #shards = Array.from({ length: SHARDS }, () => new Map<InodeId, number>());
  #total = 0;

  /** How many inodes have a count above 0. */
  get size(): number {
    return this.#shards.reduce((total, shard) => total + shard.size, 0);
  }

  /** Sum of all counts. */
  get total(): number {
    return this.#total;
  }

  /** The count of `inode`; 0 if it was never raised. */
  get(inode: InodeId): number {
    return this.#shardOf(inode).get(inode) ?? 0;
  }

  /** Changes the count by `delta`, not below 0, and returns it. */
  add(inode: InodeId, delta: number): number {
    const shard = this.#shardOf(inode);
    const before = shard.get(inode) ?? 0;
    const count = Math.max(0, before + delta);
    this.#total += count - before;
    if (count > 0) shard.set(inode, count);
    else shard.delete(inode);
    return count;
  }

  clear(): void {
    for (const shard of this.#shards) shard.clear();
    this.#total = 0;
  }

  #shardOf(inode: InodeId): Map<InodeId, number> {
    // `inode % SHARDS` is always an index of the array.
    return this.#shards[inode % SHARDS] as Map<InodeId, number>;
  }
}
