/**
 * What the stored length of a block does not say: which pages below it hold no data, and which pages are reserved, so
 * that a write there takes no more memory. Only blocks that have such pages are in here; what is stored of any other
 * is data from its beginning to its stored length.
 */
import type { InodeId } from '../ids.ts';
import { PAGE_BYTES } from './size-classes.ts';

/** The page lies below the stored length, its memory is zeros, and it counts as not stored. */
const HOLE = 1;
/** The page counts as stored, whether it holds data or not; the block's slot reaches to its end. */
const RESERVED = 2;

/** Part of a block, in bytes from its start. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The pages of one block; the last may be shorter than the others. */
export class SparsePages {
  readonly #blockBytes: number;
  readonly #flags: Uint8Array;
  #correction = 0;
  #reservedEnd = 0;
  #isPlain = true;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
    this.#flags = new Uint8Array(Math.ceil(blockBytes / PAGE_BYTES));
  }

  /** By how much what counts as stored exceeds the stored length; negative for holes. */
  get correction(): number {
    return this.#correction;
  }

  /** Where the last reserved page ends; 0 without any. Pages full of data are not called reserved. */
  get reservedEnd(): number {
    return this.#reservedEnd;
  }

  /** There is nothing to remember: no hole, nothing reserved. */
  get isPlain(): boolean {
    return this.#isPlain;
  }

  /** Bytes `[start, end)` were written into a block of which `stored` bytes were stored. */
  written({ start, end }: Span, stored: number): void {
    const flags = this.#flags;
    const endPage = Math.ceil(end / PAGE_BYTES);
    for (let page = Math.floor(start / PAGE_BYTES); page < endPage; page++) this.#clear(page, HOLE);
    const gapEnd = Math.floor(start / PAGE_BYTES);
    for (let page = Math.ceil(stored / PAGE_BYTES); page < gapEnd; page++) {
      flags[page] = (flags[page] as number) | HOLE;
    }
    this.recount(Math.max(stored, end));
  }

  /**
   * The span holds no data any more; whole pages of it are freed, or kept as reserved, as far as the block's slot reaches.
   * To be followed by {@link recount}.
   */
  emptied({ start, end }: Span, keepsBelow: number): void {
    const flags = this.#flags;
    const lastPage = Math.ceil(end / PAGE_BYTES);
    for (let page = Math.floor(start / PAGE_BYTES); page < lastPage; page++) {
      const isWhole = page * PAGE_BYTES >= start && this.#endOf(page) <= end;
      if (this.#endOf(page) <= keepsBelow) flags[page] = (flags[page] as number) | RESERVED;
      else if (isWhole) this.#clear(page, RESERVED);
      if (isWhole) flags[page] = (flags[page] as number) | HOLE;
    }
  }

  /** Reserves all pages of the span. Returns the runs of bytes that were neither reserved before nor full of data. */
  reserved({ start, end }: Span, stored: number): Span[] {
    const flags = this.#flags;
    const added: { start: number; end: number }[] = [];
    const endPage = Math.ceil(end / PAGE_BYTES);
    for (let page = Math.floor(start / PAGE_BYTES); page < endPage; page++) {
      const before = flags[page] as number;
      const isFull = (before & HOLE) === 0 && this.#endOf(page) <= stored;
      if ((before & RESERVED) !== 0 || isFull) continue;
      flags[page] = before | RESERVED;
      const last = added.at(-1);
      if (last?.end === page * PAGE_BYTES) last.end = this.#endOf(page);
      else added.push({ start: page * PAGE_BYTES, end: this.#endOf(page) });
    }
    this.recount(stored);
    return added;
  }

  /** Pages of the span are reserved no more. To be followed by {@link recount}. */
  unreserved({ start, end }: Span): void {
    const endPage = Math.ceil(end / PAGE_BYTES);
    for (let page = Math.floor(start / PAGE_BYTES); page < endPage; page++) {
      this.#clear(page, RESERVED);
    }
  }

  /** How much of `stored` is left if holes at its end are not stored. */
  trimmed(stored: number): number {
    let left = stored;
    while (left > 0) {
      const page = Math.ceil(left / PAGE_BYTES) - 1;
      if (((this.#flags[page] as number) & HOLE) === 0) return left;
      left = page * PAGE_BYTES;
    }
    return 0;
  }

  /** Runs of data below `stored`, in their order. */
  runs(stored: number): Span[] {
    const runs: { start: number; end: number }[] = [];
    const endPage = Math.ceil(stored / PAGE_BYTES);
    for (let page = 0; page < endPage; page++) {
      if (((this.#flags[page] as number) & HOLE) !== 0) continue;
      const start = page * PAGE_BYTES;
      const end = Math.min(stored, this.#endOf(page));
      const last = runs.at(-1);
      if (last?.end === start) last.end = end;
      else runs.push({ start, end });
    }
    return runs;
  }

  /** Works out what follows from the flags and `stored`, and forgets flags that say nothing. */
  recount(stored: number): void {
    const flags = this.#flags;
    this.#correction = 0;
    this.#reservedEnd = 0;
    this.#isPlain = true;
    for (let page = 0; page < flags.length; page++) {
      if (flags[page] === 0) continue;
      const end = this.#endOf(page);
      if (page * PAGE_BYTES >= stored) this.#clear(page, HOLE);
      else if (flags[page] === RESERVED && end <= stored) this.#clear(page, RESERVED);
      const left = flags[page] as number;
      if (left === 0) continue;
      this.#isPlain = false;
      const below = Math.max(0, Math.min(stored, end) - page * PAGE_BYTES);
      this.#correction -= below;
      if ((left & RESERVED) === 0) continue;
      this.#correction += end - page * PAGE_BYTES;
      this.#reservedEnd = end;
    }
  }

  #clear(page: number, flag: number): void {
    this.#flags[page] = (this.#flags[page] as number) & ~flag;
  }

  #endOf(page: number): number {
    return Math.min(this.#blockBytes, (page + 1) * PAGE_BYTES);
  }
}

/** By dataset and block, since a slot may be freed, and taken by another, unseen from here. */
export class SparseBlocks {
  readonly #datasets = new Map<InodeId, Map<number, SparsePages>>();

  find(inode: InodeId, block: number): SparsePages | undefined {
    return this.#datasets.size === 0 ? undefined : this.#datasets.get(inode)?.get(block);
  }

  /** The block's pages, plain at first. Whoever changes them calls {@link close} afterwards. */
  open(inode: InodeId, block: number, blockBytes: number): SparsePages {
    let blocks = this.#datasets.get(inode);
    if (blocks === undefined) {
      blocks = new Map();
      this.#datasets.set(inode, blocks);
    }
    let pages = blocks.get(block);
    if (pages === undefined) {
      pages = new SparsePages(blockBytes);
      blocks.set(block, pages);
    }
    return pages;
  }

  /** Forgets a block that has become plain. */
  close(inode: InodeId, block: number): void {
    if (this.find(inode, block)?.isPlain === true) this.drop(inode, block);
  }

  drop(inode: InodeId, block: number): void {
    const blocks = this.#datasets.get(inode);
    if (blocks?.delete(block) === true && blocks.size === 0) this.#datasets.delete(inode);
  }

  /** Forgets blocks `first` to `last`; returns the sum of their corrections. */
  dropBetween(inode: InodeId, first: number, last: number): number {
    const blocks = this.#datasets.get(inode);
    if (blocks === undefined) return 0;
    let sum = 0;
    // One by one where they are few: whoever takes thousands away one after the other does not look at all each time.
    const isFew = last - first < blocks.size;
    for (const block of isFew ? numbersFrom(first, last) : [...blocks.keys()]) {
      if (block < first || block > last) continue;
      sum += blocks.get(block)?.correction ?? 0;
      this.drop(inode, block);
    }
    return sum;
  }

  forget(inode: InodeId): void {
    this.#datasets.delete(inode);
  }
}

function* numbersFrom(first: number, last: number): Generator<number> {
  for (let number = first; number <= last; number++) yield number;
}
