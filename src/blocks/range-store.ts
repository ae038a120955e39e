/**
 * Operations on ranges of data blocks: taking data away, reserving room, telling where data is, and copying it. Those
 * that fail have changed nothing.
 */
import type { BlockIndex as BlockNumber } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { BlockPlace } from './block-index.ts';
import type { DataStore } from './data-store.ts';
import { PAGE_BYTES } from './size-classes.ts';
import type { Span } from './sparse-pages.ts';
import { type StoredBlocks, storeIsFull } from './stored-blocks.ts';
import {
  type BlockExtent,
  type BlockMap,
  type BlockPosition,
  type BlockRuns,
  type DatasetView,
  MOST_MAPPED_BLOCKS,
  type Reserved,
  type RoomUse,
} from './store.ts';

/** One answer tells of no more blocks that are stored, so that others need not wait: some milliseconds. */
const MOST_LOOKED_AT = 65_536;
/** Nor of more runs within blocks. */
const MOST_RUNS = 16_384;

/** A block that is here. */
interface Found {
  readonly row: number;
  readonly block: BlockNumber;
  readonly place: BlockPlace;
}

export class RangeStore {
  readonly #blocks: StoredBlocks;
  readonly #data: DataStore;

  constructor(blocks: StoredBlocks, data: DataStore) {
    this.#blocks = blocks;
    this.#data = data;
  }

  punch(
    view: DatasetView,
    { offset, length }: { offset: number; length: number },
    room: RoomUse,
  ): { storedDelta: number } {
    const row = this.#blocks.rowOf(view);
    if (row === 0) return { storedDelta: 0 };
    const { blockSizeBytes } = view.layout;
    const end = offset + length;
    const first = Math.floor(offset / blockSizeBytes) + 1;
    const last = Math.ceil(end / blockSizeBytes);
    if (room === 'freed') {
      const whole = Math.ceil(offset / blockSizeBytes) + 1;
      this.#blocks.remove(row, { first: whole, last: Math.floor(end / blockSizeBytes) });
    }
    const { index } = this.#blocks;
    for (let block = first; (block = index.next(row, block)) !== 0 && block <= last; block++) {
      const start = (block - 1) * blockSizeBytes;
      const span = {
        start: Math.max(0, offset - start),
        end: Math.min(blockSizeBytes, end - start),
      };
      const place = index.find(row, block);
      this.#punchBlock(view, { row, block: block as BlockNumber, place }, { span, room });
    }
    return { storedDelta: this.#blocks.settle(view.inode) };
  }

  #punchBlock(
    { inode, layout }: DatasetView,
    { row, block, place }: Found,
    { span, room }: { span: Span; room: RoomUse },
  ): void {
    const { index, slots, sparse } = this.#blocks;
    const { blockSizeBytes } = layout;
    const { start, end } = span;
    this.#blocks.change(row, { inode, block, blockSizeBytes }, () => {
      const stored = index.storedAt(place);
      if (end < stored) this.#zero(row, place, span);
      const ref = index.slotAt(place);
      const pages = sparse.open(inode, block, blockSizeBytes);
      pages.emptied(span, room === 'reserved' ? slots.slotBytes(ref) : 0);
      if (end >= stored) index.replace(place, ref, Math.min(stored, start));
    });
  }

  /** Fills with zeros, in a copy if the block is being read. Without room for one, the reader may get the zeros. */
  #zero(row: number, place: BlockPlace, { start, end }: Span): void {
    const { index, slots } = this.#blocks;
    const ref = index.slotAt(place);
    const copy = slots.isPinned(ref) ? this.#blocks.allocateAlike(ref) : 0;
    if (copy === 0) {
      this.#blocks.slice(ref, start, end - start).fill(0);
      return;
    }
    const storedBytes = index.storedAt(place);
    this.#blocks.move(ref, copy, storedBytes);
    this.#blocks.slice(copy, start, end - start).fill(0);
    this.#blocks.exchange(row, place, { ref: copy, storedBytes });
  }

  reserve(view: DatasetView, extents: readonly BlockExtent[]): Reserved {
    const added: BlockExtent[] = [];
    try {
      for (const extent of extents) {
        if (extent.length > 0) this.#reserveExtent(view, extent, added);
      }
    } catch (error) {
      this.#release(view, added);
      throw error;
    }
    return { storedDelta: this.#blocks.settle(view.inode), added };
  }

  #reserveExtent(view: DatasetView, extent: BlockExtent, added: BlockExtent[]): void {
    const { inode, layout } = view;
    const { blockSizeBytes } = layout;
    const { block, offset } = extent;
    const { index, sparse, table } = this.#blocks;
    invariant(offset + extent.length <= blockSizeBytes, 'a reservation stays within its block');
    const pageEnd = Math.ceil((offset + extent.length) / PAGE_BYTES) * PAGE_BYTES;
    const end = Math.min(blockSizeBytes, pageEnd);
    this.#makeSlot(view, block, end);
    const row = table.find(inode);
    const stored = index.storedAt(index.find(row, block));
    const pages = sparse.open(inode, block, blockSizeBytes);
    const before = pages.correction;
    for (const run of pages.reserved({ start: offset, end }, stored)) {
      added.push({ block, offset: run.start, length: run.end - run.start });
    }
    this.#blocks.countStored(row, pages.correction - before);
    sparse.close(inode, block);
  }

  /** Sees to it that the block has a slot that reaches to `end`. ENOSPC, EIO for one that may be lost. */
  #makeSlot(view: DatasetView, block: BlockNumber, end: number): void {
    const { blockSizeBytes } = view.layout;
    const { index, slots, table } = this.#blocks;
    const place = this.#blocks.locate(view, block);
    if (place === 0) {
      this.#blocks.life.requireBlock(view, block);
      this.#blocks.makeRoom(view.inode);
      const ref = slots.allocate(slots.sizes.fit(end, blockSizeBytes), 0);
      if (ref === 0) throw storeIsFull();
      this.#blocks.insert(view, block, { ref, storedBytes: 0 });
      return;
    }
    const ref = index.slotAt(place);
    if (slots.slotBytes(ref) >= end) return;
    const larger = this.#blocks.allocateLarger(ref, end, blockSizeBytes);
    if (larger === 0) throw storeIsFull();
    const storedBytes = index.storedAt(place);
    this.#blocks.move(ref, larger, storedBytes);
    this.#blocks.exchange(table.find(view.inode), place, { ref: larger, storedBytes });
  }

  unreserve(view: DatasetView, extents: readonly BlockExtent[]): { storedDelta: number } {
    this.#blocks.rowOf(view);
    this.#release(view, extents);
    return { storedDelta: this.#blocks.settle(view.inode) };
  }

  #release({ inode, layout }: DatasetView, extents: readonly BlockExtent[]): void {
    const { index, sparse, table } = this.#blocks;
    const row = table.find(inode);
    for (const { block, offset, length } of extents) {
      const pages = sparse.find(inode, block);
      if (pages === undefined || index.find(row, block) === 0) continue;
      const at = { inode, block, blockSizeBytes: layout.blockSizeBytes };
      this.#blocks.change(row, at, () => {
        pages.unreserved({ start: offset, end: offset + length });
      });
    }
  }

  map(view: DatasetView, first: BlockNumber, count: number): BlockMap {
    const { index, life } = this.#blocks;
    const row = this.#blocks.rowOf(view);
    const mayBeLost = life.mayHaveLost(view);
    const limit = first + Math.min(count, MOST_MAPPED_BLOCKS);
    const next = row === 0 ? 0 : index.next(row, first);
    const whole: number[] = [];
    const parts: BlockRuns[] = [];
    let end = limit;
    let lookedAt = 0;
    let runCount = 0;
    for (let block = next; block !== 0 && block < limit; block = index.next(row, block + 1)) {
      if (lookedAt++ === MOST_LOOKED_AT || runCount > MOST_RUNS) {
        end = block;
        break;
      }
      const runs = this.#runsOf(view, { row, block: block as BlockNumber });
      const [sole] = runs;
      if (sole?.start === 0 && sole.end === view.layout.blockSizeBytes) whole.push(block - first);
      else if (sole !== undefined) {
        parts.push({
          block: block as BlockNumber,
          runs: runs.flatMap((run) => [run.start, run.end]),
        });
        runCount += runs.length;
      }
    }
    return {
      next: next === 0 ? undefined : (next as BlockNumber),
      end: end as BlockNumber,
      whole: bitmapOf(whole),
      parts,
      mayBeLost,
    };
  }

  /** The data of a block that is here. */
  #runsOf({ inode }: DatasetView, { row, block }: Omit<Found, 'place'>): Span[] {
    const { index, sparse } = this.#blocks;
    const stored = index.storedAt(index.find(row, block));
    const pages = sparse.find(inode, block);
    if (pages !== undefined) return pages.runs(stored);
    return stored === 0 ? [] : [{ start: 0, end: stored }];
  }

  copy(from: BlockPosition, to: BlockPosition, lengthBytes: number): { storedDelta: number } {
    // Both generations are looked at before anything changes.
    const place = this.#blocks.locate(from.view, from.block);
    this.#blocks.locate(to.view, to.block);
    if (place === 0) this.#blocks.life.requireBlock(from.view, from.block);
    const row = this.#blocks.table.find(from.view.inode);
    const runs = place === 0 ? [] : this.#runsOf(from.view, { row, block: from.block });
    const span = { start: from.offset, end: from.offset + lengthBytes };
    const data = clipped(runs, span);
    // The last one makes room for all: what follows cannot fail.
    for (const run of data.toReversed()) this.#copyRun(from, to, run);
    let end = span.start;
    for (const run of [...data, { start: span.end, end: span.end }]) {
      const hole = {
        start: end - from.offset + to.offset,
        end: run.start - from.offset + to.offset,
      };
      if (hole.end > hole.start) this.#punchAt(to, hole);
      end = run.end;
    }
    return { storedDelta: this.#blocks.settle(to.view.inode) };
  }

  #copyRun(from: BlockPosition, to: BlockPosition, { start, end }: Span): void {
    const { index, table } = this.#blocks;
    // Looked up again for each run: where one has been stored, the index may have moved others.
    const place = index.find(table.find(from.view.inode), from.block);
    const bytes = this.#blocks.slice(index.slotAt(place), start, end - start);
    const offset = to.offset + start - from.offset;
    this.#data.put(to.view, { block: to.block, offset, payload: { bytes } });
  }

  #punchAt({ view, block }: BlockPosition, span: Span): void {
    const row = this.#blocks.table.find(view.inode);
    const place = row === 0 ? 0 : this.#blocks.index.find(row, block);
    if (place === 0) return;
    this.#punchBlock(view, { row, block, place }, { span, room: 'freed' });
  }
}

/** What of `runs` lies within `span`. */
function clipped(runs: readonly Span[], span: Span): Span[] {
  return runs
    .map(({ start, end }) => ({ start: Math.max(start, span.start), end: Math.min(end, span.end) }))
    .filter(({ start, end }) => start < end);
}

/** Bits in rising order, as bytes. */
function bitmapOf(bits: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.ceil(((bits.at(-1) ?? -1) + 1) / 8));
  for (const bit of bits) bytes[bit >>> 3] = (bytes[bit >>> 3] as number) | (1 << (bit & 7));
  return bytes;
}
