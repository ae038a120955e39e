/**
 * Which server keeps which block of LOCAL datasets, as far as this process has learnt it. A block never moves while
 * its dataset exists, so what is known stays true; the memory is bounded by forgetting datasets.
 */
import type { BlockIndex, InodeId } from '../ids.ts';

/** Some 4 MB. */
const MOST_BLOCKS = 65_536;

export class BlockLocations {
  readonly #datasets = new Map<InodeId, Map<BlockIndex, number>>();
  readonly #mostBlocks: number;
  #blockCount = 0;

  constructor(mostBlocks = MOST_BLOCKS) {
    this.#mostBlocks = mostBlocks;
  }

  /** Blocks that are known. */
  get blockCount(): number {
    return this.#blockCount;
  }

  find(inode: InodeId, block: BlockIndex): number | undefined {
    return this.#datasets.get(inode)?.get(block);
  }

  learn(inode: InodeId, block: BlockIndex, server: number): void {
    if (this.#blockCount >= this.#mostBlocks) this.#forgetOldest();
    let blocks = this.#datasets.get(inode);
    if (blocks === undefined) {
      blocks = new Map();
      this.#datasets.set(inode, blocks);
    }
    if (!blocks.has(block)) this.#blockCount++;
    blocks.set(block, server);
  }

  forget(inode: InodeId): void {
    this.#blockCount -= this.#datasets.get(inode)?.size ?? 0;
    this.#datasets.delete(inode);
  }

  /** Datasets are in the order in which they were first learnt of. */
  #forgetOldest(): void {
    for (const inode of this.#datasets.keys()) {
      this.forget(inode);
      return;
    }
  }
}
