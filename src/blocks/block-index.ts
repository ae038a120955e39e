/**
 * Which slot holds which data block of a dataset, and how many of the block's bytes are valid. A dataset's only block
 * stands in its row; from two on they are in a tree of small nodes, as high as the highest index needs. All
 * nodes of all datasets share typed arrays.
 */
import { invariant } from '../invariant.ts';
import { Field, type DatasetTable } from './dataset-table.ts';
import type { SlotRef } from './slab.ts';

/** A leaf holds (slot, stored length) of 16 blocks, an inner node the numbers of 32 children. */
const NODE_SHIFT = 5;
const NODE_CELLS = 1 << NODE_SHIFT;
const LEAF_BLOCKS = NODE_CELLS / 2;
const CHUNK_SHIFT = 12;
const CHUNK_NODES = 1 << CHUNK_SHIFT;
/** More than one insertion takes: two ways down a tree of nine levels, the highest there is, and its growth to that. */
const MOST_NODES_TAKEN = 32;

/** A tree that no dataset owns any more. */
export interface DetachedTree {
  root: number;
  height: number;
}

/** Told of each block that is removed. */
export type BlockVisitor = (ref: SlotRef, storedBytes: number) => void;

/** How many blocks a tree of `height` spans. */
function spanOf(height: number): number {
  return LEAF_BLOCKS * NODE_CELLS ** height;
}

/** The lowest tree that has room for block `index`: every node that it needs then leads to a block. */
function heightFor(index: number): number {
  let height = 0;
  while (index > spanOf(height)) height++;
  return height;
}

/**
 * A block's place is one number: positive for a cell of a node, negative for a row that holds its only block, 0 for
 * "not stored". It stays valid until a block of the same dataset is inserted or removed.
 */
export type BlockPlace = number;

/**
 * Uses four columns of the dataset's row: COUNT; SOLE, the only block's index, or 0 for a tree; A and B, the only
 * block's slot and length, or the tree's root and height.
 */
export class BlockIndex {
  readonly #table: DatasetTable;
  readonly #chunks: Float64Array[] = [];
  #nodeEnd = 1;
  /** First of the unused nodes, linked through their first cells. */
  #vacant = 0;
  #nodeCount = 0;
  #budget = 0;
  /** The last block (from 0) that {@link BlockIndex.removeBetween} removes. */
  #last = Infinity;
  #visit: BlockVisitor = () => undefined;

  constructor(table: DatasetTable) {
    this.#table = table;
  }

  /** Nodes in use. */
  get nodeCount(): number {
    return this.#nodeCount;
  }

  /** Where block `index` (from 1) of the dataset in `row` is. */
  find(row: number, index: number): BlockPlace {
    const table = this.#table;
    const sole = table.get(row, Field.SOLE);
    if (sole !== 0) return sole === index ? -row : 0;
    if (table.get(row, Field.COUNT) === 0) return 0;
    let node = table.get(row, Field.A);
    let rest = index - 1;
    let span = spanOf(table.get(row, Field.B));
    if (rest >= span) return 0;
    while (span > LEAF_BLOCKS) {
      span /= NODE_CELLS;
      const child = Math.floor(rest / span);
      rest -= child * span;
      node = this.#cell(node, child);
      if (node === 0) return 0;
    }
    return this.#cell(node, rest * 2) === 0 ? 0 : node * NODE_CELLS + rest * 2;
  }

  /** The block's slot. */
  slotAt(place: BlockPlace): SlotRef {
    return place < 0 ? this.#table.get(-place, Field.A) : this.#at(place);
  }

  /** How many bytes from the block's start are valid. */
  storedAt(place: BlockPlace): number {
    return place < 0 ? this.#table.get(-place, Field.B) : this.#at(place + 1);
  }

  /** Changes what {@link find} found. */
  replace(place: BlockPlace, ref: SlotRef, storedBytes: number): void {
    if (place < 0) {
      this.#table.set(-place, Field.A, ref);
      this.#table.set(-place, Field.B, storedBytes);
    } else {
      this.#setAt(place, ref);
      this.#setAt(place + 1, storedBytes);
    }
  }

  /** Makes room for one insertion, which then cannot fail. Throws a RangeError when there is no memory. */
  reserve(): void {
    if ((this.#nodeEnd + MOST_NODES_TAKEN) >>> CHUNK_SHIFT < this.#chunks.length) return;
    this.#chunks.push(new Float64Array(CHUNK_NODES * NODE_CELLS));
  }

  /** Adds a block that {@link find} did not find. */
  insert(row: number, index: number, block: { ref: SlotRef; storedBytes: number }): void {
    const table = this.#table;
    const count = table.get(row, Field.COUNT);
    if (count > 0) this.reserve();
    table.set(row, Field.COUNT, count + 1);
    if (count === 0) {
      table.set(row, Field.SOLE, index);
      table.set(row, Field.A, block.ref);
      table.set(row, Field.B, block.storedBytes);
      return;
    }
    const sole = table.get(row, Field.SOLE);
    if (sole !== 0) {
      const ref = table.get(row, Field.A);
      const storedBytes = table.get(row, Field.B);
      table.set(row, Field.SOLE, 0);
      table.set(row, Field.A, this.#takeNode());
      table.set(row, Field.B, heightFor(sole));
      this.#insertInTree(row, sole, ref, storedBytes);
    }
    this.#insertInTree(row, index, block.ref, block.storedBytes);
  }

  /** The first block from `index` on; 0 if there is none. */
  next(row: number, index: number): number {
    const table = this.#table;
    const sole = table.get(row, Field.SOLE);
    if (sole !== 0) return sole >= index ? sole : 0;
    if (table.get(row, Field.COUNT) === 0) return 0;
    return this.#next(table.get(row, Field.A), table.get(row, Field.B), index - 1) + 1;
  }

  /** The first block (from 0) of a node's from `first` on; -1 if there is none. */
  #next(node: number, height: number, first: number): number {
    const span = height === 0 ? 1 : spanOf(height - 1);
    const cells = height === 0 ? 2 : 1;
    for (let child = Math.floor(first / span); child * cells < NODE_CELLS; child++) {
      const below = this.#cell(node, child * cells);
      if (below === 0) continue;
      if (height === 0) return child;
      const found = this.#next(below, height - 1, Math.max(0, first - child * span));
      if (found >= 0) return child * span + found;
    }
    return -1;
  }

  /** Removes all blocks from `firstIndex` on. */
  removeFrom(row: number, firstIndex: number, visit: BlockVisitor): void {
    this.removeBetween(row, { first: firstIndex, last: Infinity }, visit);
  }

  /** Removes blocks `first` to `last`, the highest first. */
  removeBetween(
    row: number,
    { first, last }: { first: number; last: number },
    visit: BlockVisitor,
  ): void {
    const table = this.#table;
    const count = table.get(row, Field.COUNT);
    if (count === 0 || last < first) return;
    const sole = table.get(row, Field.SOLE);
    if (sole !== 0) {
      if (sole < first || sole > last) return;
      const ref = table.get(row, Field.A);
      const storedBytes = table.get(row, Field.B);
      this.#clear(row);
      visit(ref, storedBytes);
      return;
    }
    const tree = { root: table.get(row, Field.A), height: table.get(row, Field.B) };
    this.#last = last - 1;
    const removed = this.#pruneTree(tree, first - 1, { limit: count, visit });
    this.#last = Infinity;
    if (removed === count) this.#clear(row);
    else table.set(row, Field.COUNT, count - removed);
  }

  /** Takes the whole tree (two blocks or more were stored) away from its dataset, which then has no blocks. */
  detach(row: number): DetachedTree {
    invariant(this.#table.get(row, Field.SOLE) === 0, 'only a tree can be detached');
    const tree = { root: this.#table.get(row, Field.A), height: this.#table.get(row, Field.B) };
    this.#clear(row);
    return tree;
  }

  /** Removes up to `limit` blocks of a detached tree; returns how many. Fewer than `limit` means that it is gone. */
  removeSome(tree: DetachedTree, limit: number, visit: BlockVisitor): number {
    return tree.root === 0 ? 0 : this.#pruneTree(tree, 0, { limit, visit });
  }

  #clear(row: number): void {
    this.#table.set(row, Field.COUNT, 0);
    this.#table.set(row, Field.SOLE, 0);
    this.#table.set(row, Field.A, 0);
    this.#table.set(row, Field.B, 0);
  }

  #insertInTree(row: number, index: number, ref: SlotRef, storedBytes: number): void {
    const table = this.#table;
    let root = table.get(row, Field.A);
    let height = table.get(row, Field.B);
    let rest = index - 1;
    while (rest >= spanOf(height)) {
      const higher = this.#takeNode();
      this.#setCell(higher, 0, root);
      root = higher;
      height++;
    }
    table.set(row, Field.A, root);
    table.set(row, Field.B, height);
    let node = root;
    for (let span = spanOf(height); span > LEAF_BLOCKS;) {
      span /= NODE_CELLS;
      const child = Math.floor(rest / span);
      rest -= child * span;
      let below = this.#cell(node, child);
      if (below === 0) {
        below = this.#takeNode();
        this.#setCell(node, child, below);
      }
      node = below;
    }
    this.replace(node * NODE_CELLS + rest * 2, ref, storedBytes);
  }

  /** Removes up to `limit` blocks at `first` (from 0) and above, the highest first; `root` becomes 0 when none is left. */
  #pruneTree(
    tree: DetachedTree,
    first: number,
    { limit, visit }: { limit: number; visit: BlockVisitor },
  ): number {
    if (first >= spanOf(tree.height)) return 0;
    this.#budget = limit;
    this.#visit = visit;
    if (this.#prune(tree.root, tree.height, { first, start: 0 })) {
      this.#giveNode(tree.root);
      tree.root = 0;
    }
    return limit - this.#budget;
  }

  /** Removes from the node whose first block is `start`. Returns true if the node is empty afterwards. */
  #prune(node: number, height: number, at: { first: number; start: number }): boolean {
    if (height === 0) return this.#pruneLeaf(node, at);
    const { first, start } = at;
    const span = spanOf(height - 1);
    const lowest = Math.max(0, Math.floor((first - start) / span));
    const highest = Math.min(NODE_CELLS - 1, Math.floor((this.#last - start) / span));
    for (let child = highest; child >= lowest && this.#budget > 0; child--) {
      const below = this.#cell(node, child);
      if (below === 0) continue;
      if (this.#prune(below, height - 1, { first, start: start + child * span })) {
        this.#setCell(node, child, 0);
        this.#giveNode(below);
      }
    }
    return this.#isEmpty(node);
  }

  #pruneLeaf(leaf: number, { first, start }: { first: number; start: number }): boolean {
    const lowest = Math.max(0, first - start);
    const highest = Math.min(LEAF_BLOCKS - 1, this.#last - start);
    for (let block = highest; block >= lowest && this.#budget > 0; block--) {
      const ref = this.#cell(leaf, block * 2);
      if (ref === 0) continue;
      const storedBytes = this.#cell(leaf, block * 2 + 1);
      this.#setCell(leaf, block * 2, 0);
      this.#setCell(leaf, block * 2 + 1, 0);
      this.#budget--;
      this.#visit(ref, storedBytes);
    }
    return this.#isEmpty(leaf);
  }

  /** A block's length is 0 where its slot is, so this holds for leaves too. */
  #isEmpty(node: number): boolean {
    for (let cell = 0; cell < NODE_CELLS; cell++) {
      if (this.#cell(node, cell) !== 0) return false;
    }
    return true;
  }

  #cell(node: number, cell: number): number {
    return this.#at(node * NODE_CELLS + cell);
  }

  #setCell(node: number, cell: number, value: number): void {
    this.#setAt(node * NODE_CELLS + cell, value);
  }

  #at(place: number): number {
    const chunk = Math.floor(place / (CHUNK_NODES * NODE_CELLS));
    return (this.#chunks[chunk] as Float64Array)[
      place - chunk * (CHUNK_NODES * NODE_CELLS)
    ] as number;
  }

  #setAt(place: number, value: number): void {
    const chunk = Math.floor(place / (CHUNK_NODES * NODE_CELLS));
    (this.#chunks[chunk] as Float64Array)[place - chunk * (CHUNK_NODES * NODE_CELLS)] = value;
  }

  /** A node of zeros. */
  #takeNode(): number {
    this.#nodeCount++;
    const node = this.#vacant;
    if (node !== 0) {
      this.#vacant = this.#cell(node, 0);
      this.#setCell(node, 0, 0);
      return node;
    }
    return this.#nodeEnd++;
  }

  /** Takes an empty node back. */
  #giveNode(node: number): void {
    this.#nodeCount--;
    this.#setCell(node, 0, this.#vacant);
    this.#vacant = node;
  }
}
