/**
 * The operations on block 0. Each is atomic because it runs in one turn; one that fails has changed nothing.
 */
import type { Clock, Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { Stat } from '../stat.ts';
import { Field, type DatasetTable } from './dataset-table.ts';
import * as inner from './inner.ts';
import { reserveOrFail } from './no-memory.ts';
import type { SlotAllocator, SlotRef } from './slab.ts';
import {
  type DataAttributes,
  type InnerSeed,
  type Truncation,
  UnconfirmedTruncationError,
  type XattrMode,
} from './store.ts';

/** EFBIG unless offsets up to `sizeBytes` are exact numbers. */
function checkSize(sizeBytes: number): void {
  if (sizeBytes > Number.MAX_SAFE_INTEGER) {
    throw new FsError('EFBIG', `sizes end at ${Number.MAX_SAFE_INTEGER} bytes`);
  }
}

/** Whatever clients tell, attributes stay such that they can be told. */
function boundedSum(one: number, two: number): number {
  const most = Number.MAX_SAFE_INTEGER;
  return Math.max(-most, Math.min(most, one + two));
}

export class InnerStore {
  readonly #table: DatasetTable;
  readonly #slots: SlotAllocator;
  readonly #clock: Clock;

  constructor(parts: { table: DatasetTable; slots: SlotAllocator; clock: Clock }) {
    this.#table = parts.table;
    this.#slots = parts.slots;
    this.#clock = parts.clock;
  }

  create(inode: InodeId, seed: InnerSeed): DataAttributes {
    checkSize(seed.stat.sizeBytes);
    let row = this.#table.find(inode);
    let ref = row === 0 ? 0 : this.#table.get(row, Field.INNER);
    if (ref === 0) {
      if (row === 0) {
        reserveOrFail(() => {
          this.#table.reserve(inode);
        });
      }
      ref = this.#allocate(inner.seedBytes(seed), 0);
      if (row === 0) row = this.#table.insert(inode);
      this.#table.set(row, Field.INNER, ref);
      inner.writeSeed(this.#placeOf(ref), seed);
    }
    return inner.readAttributes(this.#slots.slabOf(ref).view, this.#slots.offsetOf(ref));
  }

  has(inode: InodeId): boolean {
    return this.#find(inode) !== 0;
  }

  /** Length of block 0; 0 without one. */
  length(inode: InodeId): number {
    const ref = this.#find(inode);
    return ref === 0
      ? 0
      : inner.innerBytes(this.#slots.slabOf(ref).view, this.#slots.offsetOf(ref));
  }

  read(inode: InodeId): DataAttributes | undefined {
    const ref = this.#find(inode);
    if (ref === 0) return undefined;
    return inner.readAttributes(this.#slots.slabOf(ref).view, this.#slots.offsetOf(ref));
  }

  noteWrite(
    inode: InodeId,
    { endBytes, storedDelta }: { endBytes: number; storedDelta: number },
  ): DataAttributes {
    checkSize(endBytes);
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    if (endBytes > inner.readSize(view, at)) inner.writeSize(view, at, endBytes);
    if (storedDelta !== 0) {
      inner.writeStored(view, at, boundedSum(inner.readStored(view, at), storedDelta));
    }
    this.#dataChanged(view, at);
    return inner.readAttributes(view, at);
  }

  /** Data version and times are left to the write that follows. */
  reserveAppend(inode: InodeId, lengthBytes: number): { offset: number } {
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    const offset = inner.readSize(view, at);
    checkSize(offset + lengthBytes);
    inner.writeSize(view, at, offset + lengthBytes);
    return { offset };
  }

  /** From now on data requests of the generations before are stale here. */
  truncate(inode: InodeId, truncation: Truncation): DataAttributes {
    const { sizeBytes, confirmedGeneration, onlyIfSizeBytes } = truncation;
    checkSize(sizeBytes);
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    const before = inner.readAttributes(view, at);
    if (onlyIfSizeBytes !== undefined && before.sizeBytes !== onlyIfSizeBytes) return before;
    if (before.generation !== confirmedGeneration && inner.isUnconfirmed(view, at)) {
      throw new UnconfirmedTruncationError(before);
    }
    inner.writeSize(view, at, sizeBytes);
    const generation = inner.raiseGeneration(view, at, Math.min(before.sizeBytes, sizeBytes));
    const row = this.#table.find(inode);
    if (generation > this.#table.get(row, Field.KNOWN)) {
      this.#table.set(row, Field.KNOWN, generation);
    }
    this.#dataChanged(view, at);
    return inner.readAttributes(view, at);
  }

  confirmTruncation(inode: InodeId, generation: number): void {
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    inner.confirmGeneration(view, this.#slots.offsetOf(ref), generation);
  }

  setTimes(inode: InodeId, times: { atime?: Timespec; mtime?: Timespec }): DataAttributes {
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    if (times.atime !== undefined) inner.writeAtime(view, at, times.atime);
    if (times.mtime !== undefined) inner.writeMtime(view, at, times.mtime);
    inner.writeCtime(view, at, this.#clock.now());
    return inner.readAttributes(view, at);
  }

  touchAtime(inode: InodeId, atime: Timespec): void {
    const ref = this.#need(inode);
    const { view } = this.#slots.slabOf(ref);
    const at = this.#slots.offsetOf(ref);
    if (inner.isAfterAtime(view, at, atime)) inner.writeAtime(view, at, atime);
  }

  copyStat(inode: InodeId, stat: Stat): void {
    const ref = this.#find(inode);
    if (ref === 0) return;
    inner.writeOuterAttributes(this.#slots.slabOf(ref).view, this.#slots.offsetOf(ref), stat);
  }

  getXattr(inode: InodeId, name: Buffer): Buffer {
    const { place, entry } = this.#findXattr(inode, name);
    return inner.xattrValue(place, entry);
  }

  setXattr(
    inode: InodeId,
    { name, value, mode }: { name: Buffer; value: Buffer; mode: XattrMode },
  ): void {
    let place = this.#placeOf(this.#need(inode));
    let entry = inner.findXattr(place, name);
    if (entry === -1 && mode === 'replace') throw new FsError('ENODATA', 'no such attribute');
    if (entry !== -1 && mode === 'create') throw new FsError('EEXIST', 'the attribute exists');
    const before = entry === -1 ? 0 : inner.xattrEntryBytes(place, entry);
    const offset = entry - place.at;
    const length = inner.innerBytes(place.view, place.at) - before + inner.xattrBytes(name, value);
    place = this.#resize(inode, length);
    if (entry !== -1) entry = place.at + offset;
    inner.writeXattr(place, entry, { name, value });
    inner.writeCtime(place.view, place.at, this.#clock.now());
  }

  listXattr(inode: InodeId): Buffer[] {
    const ref = this.#find(inode);
    return ref === 0 ? [] : inner.xattrNames(this.#placeOf(ref));
  }

  removeXattr(inode: InodeId, name: Buffer): void {
    const { place, entry } = this.#findXattr(inode, name);
    inner.eraseXattr(place, entry);
    inner.writeCtime(place.view, place.at, this.#clock.now());
    this.#shrink(inode, place);
  }

  readTarget(inode: InodeId): Buffer {
    const ref = this.#find(inode);
    const target = ref === 0 ? undefined : inner.readTarget(this.#placeOf(ref));
    if (target === undefined || target.length === 0) {
      throw new FsError('EIO', `inode ${inode} has no symlink target`);
    }
    return target;
  }

  /** Frees block 0, if the dataset in `row` has one. */
  free(row: number): void {
    const ref = this.#table.get(row, Field.INNER);
    if (ref === 0) return;
    this.#table.set(row, Field.INNER, 0);
    this.#slots.release(ref);
  }

  #find(inode: InodeId): SlotRef {
    const row = this.#table.find(inode);
    return row === 0 ? 0 : this.#table.get(row, Field.INNER);
  }

  #need(inode: InodeId): SlotRef {
    const ref = this.#find(inode);
    if (ref === 0) throw new FsError('ENOENT', `inode ${inode} has no block 0`);
    return ref;
  }

  #placeOf(ref: SlotRef): inner.InnerPlace {
    const { buffer, view } = this.#slots.slabOf(ref);
    return { buffer, view, at: this.#slots.offsetOf(ref) };
  }

  #findXattr(inode: InodeId, name: Buffer): { place: inner.InnerPlace; entry: number } {
    const ref = this.#find(inode);
    if (ref !== 0) {
      const place = this.#placeOf(ref);
      const entry = inner.findXattr(place, name);
      if (entry !== -1) return { place, entry };
    }
    throw new FsError('ENODATA', 'no such attribute');
  }

  #dataChanged(view: DataView, at: number): void {
    const now = this.#clock.now();
    inner.writeMtime(view, at, now);
    inner.writeCtime(view, at, now);
    inner.raiseDataVersion(view, at);
  }

  #allocate(bytes: number, creditBytes: number): SlotRef {
    if (bytes > inner.MAX_INNER_BYTES) {
      throw new FsError('ENOSPC', `block 0 is limited to ${inner.MAX_INNER_BYTES} bytes`);
    }
    const sizeClass = this.#slots.sizes.fit(bytes, inner.MAX_INNER_BYTES);
    const ref = this.#slots.allocate(sizeClass, creditBytes);
    if (ref === 0) throw new FsError('ENOSPC', 'the block store is full');
    return ref;
  }

  /** Moves block 0 where it may grow to `bytes`, unless it can do so where it is. */
  #resize(inode: InodeId, bytes: number): inner.InnerPlace {
    const row = this.#table.find(inode);
    const ref = this.#table.get(row, Field.INNER);
    const slotBytes = this.#slots.slotBytes(ref);
    if (bytes <= slotBytes) return this.#placeOf(ref);
    return this.#move(row, this.#allocate(bytes, slotBytes));
  }

  /** Moves block 0 to a smaller slot if that saves half of its memory; staying is no failure. */
  #shrink(inode: InodeId, place: inner.InnerPlace): void {
    const row = this.#table.find(inode);
    const slotBytes = this.#slots.slotBytes(this.#table.get(row, Field.INNER));
    const { sizes } = this.#slots;
    const sizeClass = sizes.fit(inner.innerBytes(place.view, place.at), inner.MAX_INNER_BYTES);
    if ((sizes.slotBytes[sizeClass] as number) * 2 > slotBytes) return;
    const smaller = this.#slots.allocate(sizeClass, slotBytes);
    if (smaller !== 0) this.#move(row, smaller);
  }

  #move(row: number, to: SlotRef): inner.InnerPlace {
    const from = this.#table.get(row, Field.INNER);
    const source = this.#placeOf(from);
    const target = this.#placeOf(to);
    const end = source.at + inner.innerBytes(source.view, source.at);
    source.buffer.copy(target.buffer, target.at, source.at, end);
    this.#table.set(row, Field.INNER, to);
    this.#slots.release(from);
    return target;
  }
}
