/**
 * Data blocks: what is stored of each, in the smallest slot that fits. Bytes beyond a block's stored length do not
 * exist, whatever its slot holds; they read as zeros, and become zeros when a write leaves them behind.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex as BlockNumber, InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { BlockIndex, BlockPlace } from './block-index.ts';
import { Field, type DatasetTable } from './dataset-table.ts';
import type { DeferredFrees } from './deferred-frees.ts';
import type { LeaseDesk } from './lease.ts';
import type { Life } from './life.ts';
import type { SlotAllocator, SlotRef } from './slab.ts';
import { reserveOrFail } from './no-memory.ts';
import { StaleGenerationError, type DatasetView, type Payload } from './store.ts';
import { pushZeros } from './zeros.ts';

/** A dataset of more blocks is freed in steps. */
const FREE_AT_ONCE_BLOCKS = 64;

/** What is stored of a range that was asked for, from its start: a view of the store's memory. */
export interface StoredBytes {
  readonly bytes: Buffer;
  /** Keeps the bytes as they are until what is returned is called; to be called before anything else runs. */
  readonly pin: () => () => void;
}

/** One write into one block. */
interface BlockWrite {
  readonly block: BlockNumber;
  readonly offset: number;
  readonly payload: Payload;
}

export class DataStore {
  readonly #table: DatasetTable;
  readonly #index: BlockIndex;
  readonly #slots: SlotAllocator;
  readonly #leases: LeaseDesk;
  readonly #deferred: DeferredFrees;
  readonly #life: Life;

  constructor(parts: {
    table: DatasetTable;
    index: BlockIndex;
    slots: SlotAllocator;
    leases: LeaseDesk;
    deferred: DeferredFrees;
    life: Life;
  }) {
    this.#table = parts.table;
    this.#index = parts.index;
    this.#slots = parts.slots;
    this.#leases = parts.leases;
    this.#deferred = parts.deferred;
    this.#life = parts.life;
  }

  read(view: DatasetView, block: BlockNumber, range: { offset: number; length: number }): Buffer[] {
    const stored = this.readStored(view, block, range);
    const slices = stored === undefined ? [] : [stored.bytes];
    pushZeros(slices, range.length - (stored?.bytes.length ?? 0));
    return slices;
  }

  /** What is stored of the range, from its start; undefined if nothing is. */
  readStored(
    view: DatasetView,
    block: BlockNumber,
    { offset, length }: { offset: number; length: number },
  ): StoredBytes | undefined {
    invariant(
      offset >= 0 && length >= 0 && offset + length <= view.layout.blockSizeBytes,
      'a read stays within its block',
    );
    if (length === 0) return undefined;
    const place = this.#locate(view, block);
    if (place === 0) {
      this.#life.requireBlock(view, block);
      return undefined;
    }
    const valid = Math.min(this.#index.storedAt(place) - offset, length);
    if (valid <= 0) return undefined;
    const ref = this.#index.slotAt(place);
    return { bytes: this.#slice(ref, offset, valid), pin: () => this.#slots.pin(ref) };
  }

  /** Bytes stored of a block; 0 if it is not here. */
  length(inode: InodeId, block: BlockNumber): number {
    const row = this.#table.find(inode);
    const place = row === 0 ? 0 : this.#index.find(row, block);
    return place === 0 ? 0 : this.#index.storedAt(place);
  }

  write(view: DatasetView, write: BlockWrite): { storedDelta: number } {
    const { offset, payload } = write;
    const end = offset + payload.bytes.length;
    invariant(offset >= 0 && end <= view.layout.blockSizeBytes, 'a write stays within its block');
    const place = this.#locate(view, write.block);
    if (end > offset) {
      if (place === 0) {
        // Part of a block cannot stand for one that may be lost: the rest would read as zeros.
        if (end - offset < view.layout.blockSizeBytes) this.#life.requireBlock(view, write.block);
        this.#reserve(view.inode);
      }
      const stored = this.#adopt(view, place, write) || this.#copy(view, place, write);
      if (!stored) throw new FsError('ENOSPC', 'the block store is full');
    }
    return { storedDelta: this.#settle(view.inode) };
  }

  /** Sees to it that a new block can be entered, before it takes a slot. ENOSPC. */
  #reserve(inode: InodeId): void {
    reserveOrFail(() => {
      const row = this.#table.find(inode);
      if (row === 0) this.#table.reserve(inode);
      else if (this.#table.get(row, Field.COUNT) > 0) this.#index.reserve();
    });
  }

  discard(view: DatasetView): { storedDelta: number } {
    const row = this.#table.find(view.inode);
    if (row === 0) this.#remember(view);
    else this.#synchronize(row, view);
    return { storedDelta: this.#settle(view.inode) };
  }

  /** What is written later as of before the truncation has to be refused here, too: who knows of it would discard it. */
  #remember(view: DatasetView): void {
    reserveOrFail(() => {
      this.#insertRow(view);
    });
  }

  /** Frees all data blocks of the dataset in `row`. */
  free(row: number): void {
    const count = this.#table.get(row, Field.COUNT);
    if (count > FREE_AT_ONCE_BLOCKS) {
      this.#deferred.add(this.#index.detach(row), this.#table.get(row, Field.SLOT_BYTES));
    } else {
      this.#index.removeFrom(row, 1, (ref) => {
        this.#slots.release(ref);
      });
    }
    this.#table.set(row, Field.SLOT_BYTES, 0);
    this.#table.set(row, Field.STORED, 0);
  }

  /** Where the block is, after the dataset was brought to the view's generation. */
  #locate(view: DatasetView, block: BlockNumber): BlockPlace {
    const row = this.#table.find(view.inode);
    if (row === 0) return 0;
    if (
      view.generation !== this.#table.get(row, Field.APPLIED) ||
      view.generation !== this.#table.get(row, Field.KNOWN)
    ) {
      this.#synchronize(row, view);
    }
    return this.#index.find(row, block);
  }

  #synchronize(row: number, view: DatasetView): void {
    const table = this.#table;
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

  /** The change of stored bytes since the last reply that told of it. */
  #settle(inode: InodeId): number {
    const row = this.#table.find(inode);
    if (row === 0) return 0;
    const owed = this.#table.get(row, Field.OWED);
    if (owed !== 0) this.#table.set(row, Field.OWED, 0);
    return owed;
  }

  #adopt(view: DatasetView, place: BlockPlace, write: BlockWrite): boolean {
    const { payload, offset, block } = write;
    const { length } = payload.bytes;
    if (payload.lease === undefined || offset !== 0 || length !== view.layout.blockSizeBytes)
      return false;
    const credit = place === 0 ? 0 : this.#slots.slotBytes(this.#index.slotAt(place));
    const ref = this.#leases.adopt(payload, credit);
    if (ref === 0) return false;
    if (place === 0) this.#insert(view, block, { ref, storedBytes: length });
    else this.#exchange(this.#table.find(view.inode), place, { ref, storedBytes: length });
    return true;
  }

  /** Returns false when there is no room; nothing has changed then. */
  #copy(view: DatasetView, place: BlockPlace, write: BlockWrite): boolean {
    const { block, offset, payload } = write;
    const { bytes } = payload;
    const end = offset + bytes.length;
    if (place === 0) {
      const ref = this.#slots.allocate(this.#slots.sizes.fit(end, view.layout.blockSizeBytes), 0);
      if (ref === 0) return false;
      this.#fill(ref, 0, { offset, bytes });
      this.#insert(view, block, { ref, storedBytes: end });
      return true;
    }
    const row = this.#table.find(view.inode);
    const ref = this.#index.slotAt(place);
    const stored = this.#index.storedAt(place);
    if (end <= this.#slots.slotBytes(ref)) {
      if (this.#slots.isPinned(ref) && this.#copyAside(view, place, write)) return true;
      this.#fill(ref, stored, { offset, bytes });
      if (end > stored) {
        this.#index.replace(place, ref, end);
        this.#countStored(row, end - stored);
      }
      return true;
    }
    const larger = this.#allocateLarger(ref, end, view.layout.blockSizeBytes);
    if (larger === 0) return false;
    if (offset > 0) this.#move(ref, larger, Math.min(stored, offset));
    this.#fill(larger, stored, { offset, bytes });
    this.#exchange(row, place, { ref: larger, storedBytes: end });
    return true;
  }

  /** Writes into a copy of a block that is being read. Without room for one, the reader may get the new bytes. */
  #copyAside(view: DatasetView, place: BlockPlace, { offset, payload }: BlockWrite): boolean {
    const ref = this.#index.slotAt(place);
    const stored = this.#index.storedAt(place);
    const slotBytes = this.#slots.slotBytes(ref);
    const copy = this.#slots.allocate(this.#slots.sizes.fit(slotBytes, slotBytes), slotBytes);
    if (copy === 0) return false;
    this.#move(ref, copy, stored);
    this.#fill(copy, stored, { offset, bytes: payload.bytes });
    const storedBytes = Math.max(stored, offset + payload.bytes.length);
    this.#exchange(this.#table.find(view.inode), place, { ref: copy, storedBytes });
    return true;
  }

  /** At least twice as large, so that a block that grows bit by bit is not copied each time. */
  #allocateLarger(ref: SlotRef, end: number, blockSizeBytes: number): SlotRef {
    const { sizes } = this.#slots;
    const slotBytes = this.#slots.slotBytes(ref);
    const wanted = Math.max(end, Math.min(2 * slotBytes, blockSizeBytes));
    const larger = this.#slots.allocate(sizes.fit(wanted, blockSizeBytes), slotBytes);
    if (larger !== 0 || wanted === end) return larger;
    return this.#slots.allocate(sizes.fit(end, blockSizeBytes), slotBytes);
  }

  #slice(ref: SlotRef, offset: number, length: number): Buffer {
    const at = this.#slots.offsetOf(ref) + offset;
    return this.#slots.slabOf(ref).buffer.subarray(at, at + length);
  }

  /** Puts bytes into a slot, and zeros between what is valid of it and them. */
  #fill(ref: SlotRef, stored: number, { offset, bytes }: { offset: number; bytes: Buffer }): void {
    const { buffer } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    if (offset > stored) buffer.fill(0, at + stored, at + offset);
    buffer.set(bytes, at + offset);
  }

  #move(from: SlotRef, to: SlotRef, length: number): void {
    const at = this.#slots.offsetOf(from);
    const target = this.#slots.slabOf(to).buffer;
    this.#slots.slabOf(from).buffer.copy(target, this.#slots.offsetOf(to), at, at + length);
  }

  #insert(
    view: DatasetView,
    block: BlockNumber,
    stored: { ref: SlotRef; storedBytes: number },
  ): void {
    const table = this.#table;
    let row = table.find(view.inode);
    if (row === 0) row = this.#insertRow(view);
    this.#index.insert(row, block, stored);
    table.add(row, Field.SLOT_BYTES, this.#slots.slotBytes(stored.ref));
    this.#countStored(row, stored.storedBytes);
  }

  #insertRow({ inode, generation }: DatasetView): number {
    const row = this.#table.insert(inode);
    this.#table.set(row, Field.APPLIED, generation);
    this.#table.set(row, Field.KNOWN, generation);
    return row;
  }

  /** Puts a block into another slot and frees the one that it was in. */
  #exchange(row: number, place: BlockPlace, stored: { ref: SlotRef; storedBytes: number }): void {
    const old = this.#index.slotAt(place);
    const oldStored = this.#index.storedAt(place);
    const change = this.#slots.slotBytes(stored.ref) - this.#slots.slotBytes(old);
    this.#index.replace(place, stored.ref, stored.storedBytes);
    this.#slots.release(old);
    this.#table.add(row, Field.SLOT_BYTES, change);
    this.#countStored(row, stored.storedBytes - oldStored);
  }

  #countStored(row: number, change: number): void {
    this.#table.add(row, Field.STORED, change);
    this.#table.add(row, Field.OWED, change);
  }

  /** Discards what lies beyond the view's truncation. */
  #cut(row: number, view: DatasetView): void {
    const { truncatedBytes } = view;
    const { blockSizeBytes } = view.layout;
    if (this.#table.get(row, Field.COUNT) === 0) return;
    if (truncatedBytes === 0) {
      const stored = this.#table.get(row, Field.STORED);
      this.free(row);
      this.#table.add(row, Field.OWED, -stored);
      return;
    }
    const wholeBlocks = Math.floor(truncatedBytes / blockSizeBytes);
    const tail = truncatedBytes - wholeBlocks * blockSizeBytes;
    const isLarge = this.#table.get(row, Field.COUNT) > FREE_AT_ONCE_BLOCKS;
    this.#index.removeFrom(row, wholeBlocks + (tail > 0 ? 2 : 1), (ref, storedBytes) => {
      this.#table.add(row, Field.SLOT_BYTES, -this.#slots.slotBytes(ref));
      this.#countStored(row, -storedBytes);
      if (isLarge) this.#deferred.addSlot(ref);
      else this.#slots.release(ref);
    });
    if (tail > 0) this.#cutBlock(row, this.#index.find(row, wholeBlocks + 1), view, tail);
  }

  /** Shortens a block, and moves it to a smaller slot if that saves half of its memory. */
  #cutBlock(row: number, place: BlockPlace, view: DatasetView, tail: number): void {
    if (place === 0 || this.#index.storedAt(place) <= tail) return;
    const ref = this.#index.slotAt(place);
    this.#countStored(row, tail - this.#index.storedAt(place));
    this.#index.replace(place, ref, tail);
    const { sizes } = this.#slots;
    const sizeClass = sizes.fit(tail, view.layout.blockSizeBytes);
    const slotBytes = this.#slots.slotBytes(ref);
    if ((sizes.slotBytes[sizeClass] as number) * 2 > slotBytes) return;
    const smaller = this.#slots.allocate(sizeClass, slotBytes);
    if (smaller === 0) return;
    this.#move(ref, smaller, tail);
    this.#exchange(row, place, { ref: smaller, storedBytes: tail });
  }
}
