/**
 * Data blocks being read and written. Bytes beyond a block's stored length read as zeros, and become zeros when a write
 * leaves them behind.
 */
import type { BlockIndex as BlockNumber, InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { BlockPlace } from './block-index.ts';
import type { LeaseDesk } from './lease.ts';
import { PAGE_BYTES } from './size-classes.ts';
import type { SlotRef } from './slab.ts';
import type { DatasetView, Payload } from './store.ts';
import { type StoredBlocks, storeIsFull } from './stored-blocks.ts';
import { pushZeros } from './zeros.ts';

/** What is stored of a range that was asked for, from its start: a view of the store's memory. */
export interface StoredBytes {
  readonly bytes: Buffer;
  /** Keeps the bytes as they are until what is returned is called; to be called before anything else runs. */
  readonly pin: () => () => void;
}

/** One write into one block. */
export interface BlockWrite {
  readonly block: BlockNumber;
  readonly offset: number;
  readonly payload: Payload;
}

export class DataStore {
  readonly #blocks: StoredBlocks;
  readonly #leases: LeaseDesk;

  constructor(parts: { blocks: StoredBlocks; leases: LeaseDesk }) {
    this.#blocks = parts.blocks;
    this.#leases = parts.leases;
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
    const { index, slots, life } = this.#blocks;
    const place = this.#blocks.locate(view, block);
    if (place === 0) {
      life.requireBlock(view, block);
      return undefined;
    }
    const valid = Math.min(index.storedAt(place) - offset, length);
    if (valid <= 0) return undefined;
    const ref = index.slotAt(place);
    return { bytes: this.#blocks.slice(ref, offset, valid), pin: () => slots.pin(ref) };
  }

  /** What counts as stored of a block; 0 if it is not here. */
  length(inode: InodeId, block: BlockNumber): number {
    return this.#blocks.bytesOf(inode, block);
  }

  write(view: DatasetView, write: BlockWrite): { storedDelta: number } {
    this.put(view, write);
    return { storedDelta: this.#blocks.settle(view.inode) };
  }

  /** As {@link write}, without telling what it changed. */
  put(view: DatasetView, write: BlockWrite): void {
    const { block, offset, payload } = write;
    const end = offset + payload.bytes.length;
    const { blockSizeBytes } = view.layout;
    invariant(offset >= 0 && end <= blockSizeBytes, 'a write stays within its block');
    const place = this.#blocks.locate(view, block);
    if (end === offset) return;
    if (place === 0) {
      // Part of a block cannot stand for one that may be lost: the rest would read as zeros.
      if (end - offset < blockSizeBytes) this.#blocks.life.requireBlock(view, block);
      this.#blocks.makeRoom(view.inode);
    }
    const stored = place === 0 ? 0 : this.#blocks.index.storedAt(place);
    const isStored = this.#adopt(view, place, write) || this.#copy(view, place, write);
    if (!isStored) throw storeIsFull();
    this.#noteWritten(view, block, { start: offset, end, stored });
  }

  /** Pages that the write has left out are holes, those that it has reached are none. */
  #noteWritten(
    { inode, layout }: DatasetView,
    block: BlockNumber,
    { start, end, stored }: { start: number; end: number; stored: number },
  ): void {
    const { sparse, table } = this.#blocks;
    let pages = sparse.find(inode, block);
    if (pages === undefined) {
      // Without a page between what was stored and what is now, there is nothing to remember.
      if (Math.ceil(stored / PAGE_BYTES) >= Math.floor(start / PAGE_BYTES)) return;
      pages = sparse.open(inode, block, layout.blockSizeBytes);
    }
    const before = pages.correction;
    pages.written({ start, end }, stored);
    this.#blocks.countStored(table.find(inode), pages.correction - before);
    sparse.close(inode, block);
  }

  discard(view: DatasetView): { storedDelta: number } {
    this.#blocks.discard(view);
    return { storedDelta: this.#blocks.settle(view.inode) };
  }

  /** Frees all data blocks of the dataset in `row`. */
  free(row: number): void {
    this.#blocks.free(row);
  }

  #adopt(view: DatasetView, place: BlockPlace, write: BlockWrite): boolean {
    const { payload, offset, block } = write;
    const { length } = payload.bytes;
    if (payload.lease === undefined || offset !== 0 || length !== view.layout.blockSizeBytes)
      return false;
    const { index, slots, table } = this.#blocks;
    const credit = place === 0 ? 0 : slots.slotBytes(index.slotAt(place));
    const ref = this.#leases.adopt(payload, credit);
    if (ref === 0) return false;
    if (place === 0) this.#blocks.insert(view, block, { ref, storedBytes: length });
    else this.#blocks.exchange(table.find(view.inode), place, { ref, storedBytes: length });
    return true;
  }

  /** Returns false when there is no room; nothing has changed then. */
  #copy(view: DatasetView, place: BlockPlace, write: BlockWrite): boolean {
    const { block, offset, payload } = write;
    const { bytes } = payload;
    const end = offset + bytes.length;
    const { index, slots, table } = this.#blocks;
    if (place === 0) {
      const ref = slots.allocate(slots.sizes.fit(end, view.layout.blockSizeBytes), 0);
      if (ref === 0) return false;
      this.#fill(ref, 0, { offset, bytes });
      this.#blocks.insert(view, block, { ref, storedBytes: end });
      return true;
    }
    const row = table.find(view.inode);
    const ref = index.slotAt(place);
    const stored = index.storedAt(place);
    if (end <= slots.slotBytes(ref)) {
      if (slots.isPinned(ref) && this.#copyAside(view, place, write)) return true;
      this.#fill(ref, stored, { offset, bytes });
      if (end > stored) {
        index.replace(place, ref, end);
        this.#blocks.countStored(row, end - stored);
      }
      return true;
    }
    const larger = this.#blocks.allocateLarger(ref, end, view.layout.blockSizeBytes);
    if (larger === 0) return false;
    if (offset > 0) this.#blocks.move(ref, larger, Math.min(stored, offset));
    this.#fill(larger, stored, { offset, bytes });
    this.#blocks.exchange(row, place, { ref: larger, storedBytes: end });
    return true;
  }

  /** Writes into a copy of a block that is being read. Without room for one, the reader may get the new bytes. */
  #copyAside(view: DatasetView, place: BlockPlace, { offset, payload }: BlockWrite): boolean {
    const { index, table } = this.#blocks;
    const ref = index.slotAt(place);
    const stored = index.storedAt(place);
    const copy = this.#blocks.allocateAlike(ref);
    if (copy === 0) return false;
    this.#blocks.move(ref, copy, stored);
    this.#fill(copy, stored, { offset, bytes: payload.bytes });
    const storedBytes = Math.max(stored, offset + payload.bytes.length);
    this.#blocks.exchange(table.find(view.inode), place, { ref: copy, storedBytes });
    return true;
  }

  /** Puts bytes into a slot, and zeros between what is valid of it and them. */
  #fill(ref: SlotRef, stored: number, { offset, bytes }: { offset: number; bytes: Buffer }): void {
    const { slots } = this.#blocks;
    const { buffer } = slots.slabOf(ref);
    const at = slots.offsetOf(ref);
    if (offset > stored) buffer.fill(0, at + stored, at + offset);
    buffer.set(bytes, at + offset);
  }
}
