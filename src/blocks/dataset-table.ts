/**
 * What a block server knows of each dataset besides its blocks: one row of numbers in typed arrays, found by inode
 * number. Millions of datasets cost no JS heap and no garbage collection, and no growth copies all rows at once.
 */
import type { InodeId } from '../ids.ts';

/** Columns of a row; all are 0 in a new one. */
export const Field = {
  INODE: 0,
  /** Slot of block 0; 0 for none. */
  INNER: 1,
  /** The truncate generation that the data here is cut to. */
  APPLIED: 2,
  /** The highest truncate generation heard of; requests below are stale. */
  KNOWN: 3,
  /** Change of stored bytes that no reply has reported yet. */
  OWED: 4,
  /** Sum of the data slots' sizes. */
  SLOT_BYTES: 5,
  /** Sum of the data blocks' stored lengths. */
  STORED: 6,
  /** The four below belong to {@link BlockIndex}. */
  COUNT: 7,
  SOLE: 8,
  A: 9,
  B: 10,
} as const;
export type Field = (typeof Field)[keyof typeof Field];

const ROW_CELLS = 11;
const CHUNK_SHIFT = 10;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
/** The hash table is split, so that growing one part of it takes no noticeable time. */
const SHARD_COUNT = 128;
const SHARD_SHIFT = 7;
const WORD = 2 ** 32;

interface Shard {
  /** Row numbers, 0 for empty; open addressing, linear probing. */
  rows: Uint32Array;
  count: number;
}

/** Mixes all bits of an inode number (murmur3's finalizer constants). */
function hashOf(inode: number): number {
  let hash = inode >>> 0;
  hash ^= Math.imul(Math.floor(inode / WORD), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Rows are numbers from 1; 0 stands for "none". */
export class DatasetTable {
  readonly #chunks: Float64Array[] = [];
  readonly #shards: Shard[] = [];
  #rowEnd = 1;
  /** First of the unused rows, linked through their INODE cells. */
  #vacant = 0;
  #count = 0;
  /** The last row found: requests for one dataset come in bursts. */
  #lastInode = -1;
  #lastRow = 0;

  constructor() {
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      this.#shards.push({ rows: new Uint32Array(8), count: 0 });
    }
  }

  get count(): number {
    return this.#count;
  }

  get(row: number, field: Field): number {
    const chunk = this.#chunks[row >>> CHUNK_SHIFT] as Float64Array;
    return chunk[(row & (CHUNK_ROWS - 1)) * ROW_CELLS + field] as number;
  }

  set(row: number, field: Field, value: number): void {
    const chunk = this.#chunks[row >>> CHUNK_SHIFT] as Float64Array;
    chunk[(row & (CHUNK_ROWS - 1)) * ROW_CELLS + field] = value;
  }

  add(row: number, field: Field, change: number): void {
    const chunk = this.#chunks[row >>> CHUNK_SHIFT] as Float64Array;
    const cell = (row & (CHUNK_ROWS - 1)) * ROW_CELLS + field;
    chunk[cell] = (chunk[cell] as number) + change;
  }

  /** The dataset's row, or 0. */
  find(inode: InodeId): number {
    if (inode === this.#lastInode) return this.#lastRow;
    const hash = hashOf(inode);
    const { rows } = this.#shards[hash & (SHARD_COUNT - 1)] as Shard;
    const mask = rows.length - 1;
    for (let at = (hash >>> SHARD_SHIFT) & mask; ; at = (at + 1) & mask) {
      const row = rows[at] as number;
      if (row === 0) return 0;
      if (this.get(row, Field.INODE) === inode) {
        this.#lastInode = inode;
        this.#lastRow = row;
        return row;
      }
    }
  }

  /** Makes room for a new row, which then cannot fail. Throws a RangeError when there is no memory. */
  reserve(inode: InodeId): void {
    const shard = this.#shards[hashOf(inode) & (SHARD_COUNT - 1)] as Shard;
    if ((shard.count + 1) * 4 > shard.rows.length * 3) this.#grow(shard);
    if (this.#vacant === 0 && this.#rowEnd >>> CHUNK_SHIFT >= this.#chunks.length) {
      this.#chunks.push(new Float64Array(CHUNK_ROWS * ROW_CELLS));
    }
  }

  /** A new row for a dataset that has none. */
  insert(inode: InodeId): number {
    this.reserve(inode);
    const hash = hashOf(inode);
    const shard = this.#shards[hash & (SHARD_COUNT - 1)] as Shard;
    const row = this.#takeRow();
    this.set(row, Field.INODE, inode);
    this.#place(shard.rows, hash, row);
    shard.count++;
    this.#count++;
    return row;
  }

  /** Forgets the dataset; its row will be another's. */
  remove(inode: InodeId): void {
    const hash = hashOf(inode);
    const shard = this.#shards[hash & (SHARD_COUNT - 1)] as Shard;
    const { rows } = shard;
    const mask = rows.length - 1;
    let hole = (hash >>> SHARD_SHIFT) & mask;
    let row = rows[hole] as number;
    while (row !== 0 && this.get(row, Field.INODE) !== inode) {
      hole = (hole + 1) & mask;
      row = rows[hole] as number;
    }
    if (row === 0) return;
    this.#closeHole(rows, hole);
    shard.count--;
    this.#count--;
    this.#lastInode = -1;
    this.set(row, Field.INODE, this.#vacant);
    this.#vacant = row;
  }

  /** Moves rows back that a hole would cut off from where their probing begins. */
  #closeHole(rows: Uint32Array, from: number): void {
    const mask = rows.length - 1;
    let hole = from;
    for (let at = (hole + 1) & mask; rows[at] !== 0; at = (at + 1) & mask) {
      const row = rows[at] as number;
      const home = (hashOf(this.get(row, Field.INODE)) >>> SHARD_SHIFT) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        rows[hole] = row;
        hole = at;
      }
    }
    rows[hole] = 0;
  }

  #place(rows: Uint32Array, hash: number, row: number): void {
    const mask = rows.length - 1;
    let at = (hash >>> SHARD_SHIFT) & mask;
    while (rows[at] !== 0) at = (at + 1) & mask;
    rows[at] = row;
  }

  #grow(shard: Shard): void {
    const larger = new Uint32Array(shard.rows.length * 2);
    for (const row of shard.rows) {
      if (row !== 0) this.#place(larger, hashOf(this.get(row, Field.INODE)), row);
    }
    shard.rows = larger;
  }

  #takeRow(): number {
    const row = this.#vacant;
    if (row !== 0) {
      this.#vacant = this.get(row, Field.INODE);
      const chunk = this.#chunks[row >>> CHUNK_SHIFT] as Float64Array;
      const first = (row & (CHUNK_ROWS - 1)) * ROW_CELLS;
      chunk.fill(0, first, first + ROW_CELLS);
      return row;
    }
    return this.#rowEnd++;
  }
}
