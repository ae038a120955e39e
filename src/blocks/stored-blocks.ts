/**
 * The data blocks of all datasets, each in the smallest slot that fits: how they come, move, shrink and go, and what of
 * them counts as stored. Bytes beyond a block's stored length do not exist, whatever its slot holds.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex as BlockNumber, InodeId } from '../ids.ts';
import type { BlockIndex, BlockPlace } from './block-index.ts';
import { Field, type DatasetTable } from './dataset-table.ts';
import type { DeferredFrees } from './deferred-frees.ts';
import type { Life } from './life.ts';
import { reserveOrFail } from './no-memory.ts';
import type { SlotAllocator, SlotRef } from './slab.ts';
import { SparseBlocks } from './sparse-pages.ts';
import { StaleGenerationError, type DatasetView } from './store.ts';

/** A dataset of more blocks is freed in steps. */
const FREE_AT_ONCE_BLOCKS = 64;

export interface StoredBlocksParts {
  readonly table: DatasetTable;
  readonly index: BlockIndex;
  readonly slots: SlotAllocator;
  readonly deferred: DeferredFrees;
  readonly life: Life;
}

export class StoredBlocks {
  readonly table: DatasetTable;
  readonly index: BlockIndex;
  readonly slots: SlotAllocator;
  readonly life: Life;
  readonly sparse = new SparseBlocks();
  readonly #deferred: DeferredFrees;

  constructor(parts: StoredBlocksParts) {
    this.table = parts.table;
    this.index = parts.index;
    this.slots = parts.slots;
    this.life = parts.life;
    this.#deferred = parts.deferred;
  }

  // Finding

  /** The dataset's row, brought to the view's generation; 0 if nothing of it is here. */
  rowOf(view: DatasetView): number {
    const row = this.table.find(view.inode);
    if (row === 0) return 0;
    if (
      view.generation !== this.table.get(row, Field.APPLIED) ||
      view.generation !== this.table.get(row, Field.KNOWN)
    ) {
      this.#synchronize(row, view);
    }
    return row;
  }

  /** Where the block is, after the dataset was brought to the view's generation. */
  locate(view: DatasetView, block: BlockNumber): BlockPlace {
    const row = this.rowOf(view);
    return row === 0 ? 0 : this.index.find(row, block);
  }

  /** What counts as stored of a block; 0 if it is not here. */
  bytesOf(inode: InodeId, block: BlockNumber): number {
    const row = this.table.find(inode);
    const place = row === 0 ? 0 : this.index.find(row, block);
    if (place === 0) return 0;
    return this.index.storedAt(place) + (this.sparse.find(inode, block)?.correction ?? 0);
  }

  slice(ref: SlotRef, offset: number, length: number): Buffer {
    const at = this.slots.offsetOf(ref) + offset;
    return this.slots.slabOf(ref).buffer.subarray(at, at + length);
  }

  // Generations

  /** Discards what lies beyond the view's truncation; remembers it where nothing is stored. */
  discard(view: DatasetView): void {
    if (this.rowOf(view) !== 0) return;
    // What is written later as of before the truncation has to be refused here, too: who knows of it would discard it.
    reserveOrFail(() => {
      this.#insertRow(view);
    });
  }

  #synchronize(row: number, view: DatasetView): void {
    const { table } = this;
    const { generation } = view;
    const known = table.get(row, Field.KNOWN);
    if (generation < known) {
      throw new StaleGenerationError(
        `inode ${view.inode}: generation ${generation}, ${known} is known`,
      );
    }
    table.set(row, Field.KNOWN, generation);
    if (generation === table.get(row, Field.APPLIED)) return;
    table.set(row, Field.APPLIED, generation);
    this.#cut(row, view);
  }

  #cut(row: number, view: DatasetView): void {
    const { inode, truncatedBytes } = view;
    const { blockSizeBytes } = view.layout;
    if (this.table.get(row, Field.COUNT) === 0) return;
    if (truncatedBytes === 0) {
      const stored = this.table.get(row, Field.STORED);
      this.free(row);
      this.table.add(row, Field.OWED, -stored);
      return;
    }
    const wholeBlocks = Math.floor(truncatedBytes / blockSizeBytes);
    const tail = truncatedBytes - wholeBlocks * blockSizeBytes;
    this.remove(row, { first: wholeBlocks + (tail > 0 ? 2 : 1), last: Infinity });
    if (tail === 0) return;
    const block = (wholeBlocks + 1) as BlockNumber;
    const place = this.index.find(row, block);
    if (place === 0) return;
    const stored = this.index.storedAt(place);
    const pages = this.sparse.find(inode, block);
    if (stored <= tail && (pages?.reservedEnd ?? 0) === 0) return;
    this.change(row, { inode, block, blockSizeBytes }, () => {
      pages?.emptied({ start: tail, end: blockSizeBytes }, 0);
      if (stored > tail) this.index.replace(place, this.index.slotAt(place), tail);
    });
  }

  // Coming, moving and going

  /** Sees to it that a new block can be entered, before it takes a slot. ENOSPC. */
  makeRoom(inode: InodeId): void {
    reserveOrFail(() => {
      const row = this.table.find(inode);
      if (row === 0) this.table.reserve(inode);
      else if (this.table.get(row, Field.COUNT) > 0) this.index.reserve();
    });
  }

  insert(
    view: DatasetView,
    block: BlockNumber,
    stored: { ref: SlotRef; storedBytes: number },
  ): void {
    let row = this.table.find(view.inode);
    if (row === 0) row = this.#insertRow(view);
    this.index.insert(row, block, stored);
    this.table.add(row, Field.SLOT_BYTES, this.slots.slotBytes(stored.ref));
    this.countStored(row, stored.storedBytes);
  }

  #insertRow({ inode, generation }: DatasetView): number {
    const row = this.table.insert(inode);
    this.table.set(row, Field.APPLIED, generation);
    this.table.set(row, Field.KNOWN, generation);
    return row;
  }

  /** Puts a block into another slot and frees the one that it was in. */
  exchange(row: number, place: BlockPlace, stored: { ref: SlotRef; storedBytes: number }): void {
    const old = this.index.slotAt(place);
    const oldStored = this.index.storedAt(place);
    const change = this.slots.slotBytes(stored.ref) - this.slots.slotBytes(old);
    this.index.replace(place, stored.ref, stored.storedBytes);
    this.slots.release(old);
    this.table.add(row, Field.SLOT_BYTES, change);
    this.countStored(row, stored.storedBytes - oldStored);
  }

  /** Copies the first `length` bytes of a slot to another. */
  move(from: SlotRef, to: SlotRef, length: number): void {
    const at = this.slots.offsetOf(from);
    const target = this.slots.slabOf(to).buffer;
    this.slots.slabOf(from).buffer.copy(target, this.slots.offsetOf(to), at, at + length);
  }

  /** A slot for a block that grows to `end`; at least twice as large, so that it is not copied at each small step. */
  allocateLarger(ref: SlotRef, end: number, blockSizeBytes: number): SlotRef {
    const { sizes } = this.slots;
    const slotBytes = this.slots.slotBytes(ref);
    const wanted = Math.max(end, Math.min(2 * slotBytes, blockSizeBytes));
    const larger = this.slots.allocate(sizes.fit(wanted, blockSizeBytes), slotBytes);
    if (larger !== 0 || wanted === end) return larger;
    return this.slots.allocate(sizes.fit(end, blockSizeBytes), slotBytes);
  }

  /** A slot of the same size, charged beside the first; 0 without room. */
  allocateAlike(ref: SlotRef): SlotRef {
    const slotBytes = this.slots.slotBytes(ref);
    return this.slots.allocate(this.slots.sizes.fit(slotBytes, slotBytes), slotBytes);
  }

  /**
   * Runs `change`, which changes stored length or pages of a block that is here, for less or the same; then counts the
   * difference, and keeps no more memory than what is left needs.
   */
  change(
    row: number,
    at: { inode: InodeId; block: BlockNumber; blockSizeBytes: number },
    change: () => void,
  ): void {
    const { inode, block, blockSizeBytes } = at;
    const before = this.bytesOf(inode, block);
    change();
    const place = this.index.find(row, block);
    const ref = this.index.slotAt(place);
    const pages = this.sparse.find(inode, block);
    const stored = pages?.trimmed(this.index.storedAt(place)) ?? this.index.storedAt(place);
    this.index.replace(place, ref, stored);
    pages?.recount(stored);
    this.countStored(row, this.bytesOf(inode, block) - before);
    const neededBytes = Math.max(stored, pages?.reservedEnd ?? 0);
    this.sparse.close(inode, block);
    if (neededBytes === 0) this.remove(row, { first: block, last: block });
    else this.#shrink(row, place, { neededBytes, blockSizeBytes });
  }

  /** Moves a block to a smaller slot if that saves half of its memory; staying is no failure. */
  #shrink(
    row: number,
    place: BlockPlace,
    { neededBytes, blockSizeBytes }: { neededBytes: number; blockSizeBytes: number },
  ): void {
    const { sizes } = this.slots;
    const ref = this.index.slotAt(place);
    const sizeClass = sizes.fit(neededBytes, blockSizeBytes);
    const slotBytes = this.slots.slotBytes(ref);
    if ((sizes.slotBytes[sizeClass] as number) * 2 > slotBytes) return;
    const smaller = this.slots.allocate(sizeClass, slotBytes);
    if (smaller === 0) return;
    const storedBytes = this.index.storedAt(place);
    this.move(ref, smaller, storedBytes);
    this.exchange(row, place, { ref: smaller, storedBytes });
  }

  /** Frees blocks `first` to `last` of a dataset. */
  remove(row: number, { first, last }: { first: number; last: number }): void {
    const inode = this.table.get(row, Field.INODE) as InodeId;
    const isLarge = this.table.get(row, Field.COUNT) > FREE_AT_ONCE_BLOCKS;
    this.index.removeBetween(row, { first, last }, (ref, storedBytes) => {
      this.table.add(row, Field.SLOT_BYTES, -this.slots.slotBytes(ref));
      this.countStored(row, -storedBytes);
      if (isLarge) this.#deferred.addSlot(ref);
      else this.slots.release(ref);
    });
    const correction = this.sparse.dropBetween(inode, first, last);
    if (correction !== 0) this.countStored(row, -correction);
  }

  /** Frees all data blocks of the dataset in `row`. */
  free(row: number): void {
    const { table } = this;
    this.sparse.forget(table.get(row, Field.INODE) as InodeId);
    const count = table.get(row, Field.COUNT);
    if (count > FREE_AT_ONCE_BLOCKS) {
      this.#deferred.add(this.index.detach(row), table.get(row, Field.SLOT_BYTES));
    } else {
      this.index.removeFrom(row, 1, (ref) => {
        this.slots.release(ref);
      });
    }
    table.set(row, Field.SLOT_BYTES, 0);
    table.set(row, Field.STORED, 0);
  }

  // Accounting

  countStored(row: number, change: number): void {
    this.table.add(row, Field.STORED, change);
    this.table.add(row, Field.OWED, change);
  }

  /** The change of stored bytes since the last reply that told of it. */
  settle(inode: InodeId): number {
    const row = this.table.find(inode);
    if (row === 0) return 0;
    const owed = this.table.get(row, Field.OWED);
    if (owed !== 0) this.table.set(row, Field.OWED, 0);
    return owed;
  }
}

/** The failure of what needs memory that is not there. */
export function storeIsFull(): FsError {
  return new FsError('ENOSPC', 'the block store is full');
}
