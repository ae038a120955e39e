/**
 * Block 0's binary layout, read and written in place: Linux's `struct stat` of x86-64 (asm/stat.h, 144 bytes), a
 * header of 16 bytes, a symlink's target, extended attributes. Little-endian on every machine.
 */
import type { Timespec } from '../clock.ts';
import type { Stat } from '../stat.ts';
import type { DataAttributes, InnerSeed } from './store.ts';

/** Offsets of the fixed part. The three words that `struct stat` reserves hold ours; so does the header. */
export const InnerField = {
  DEV: 0,
  INO: 8,
  NLINK: 16,
  MODE: 24,
  UID: 28,
  GID: 32,
  /** Padding in `struct stat`: 1 while the latest truncation is not known to be carried out everywhere. */
  UNCONFIRMED: 36,
  RDEV: 40,
  SIZE: 48,
  BLKSIZE: 56,
  BLOCKS: 64,
  ATIME: 72,
  MTIME: 88,
  CTIME: 104,
  DATA_VERSION: 120,
  GENERATION: 128,
  TRUNCATED: 136,
  /** `IMSS`. */
  MAGIC: 144,
  FORMAT: 148,
  /** Two bytes: by how much st_blocks times 512 exceeds what is stored. */
  STORED_SLACK: 150,
  TARGET_LENGTH: 152,
  /** Length of all extended attributes: each is two lengths of four bytes (name, value), then both. */
  XATTR_LENGTH: 156,
} as const;

/** Length of the fixed part; the target follows, then the extended attributes. */
export const INNER_FIXED_BYTES = 160;
/** Block 0 may exceed the block size up to this. */
export const MAX_INNER_BYTES = 2 ** 20;

const MAGIC = 0x53534d49;
const FORMAT_VERSION = 1;
const SECTOR_BYTES = 512;
const XATTR_HEADER_BYTES = 8;
const WORD = 2 ** 32;

/** A block 0 in memory: it begins at `at` in `buffer`, which `view` shares. */
export interface InnerPlace {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly at: number;
}

function readNumber(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * WORD + view.getUint32(at, true);
}

function writeNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / WORD), true);
}

function readTime(view: DataView, at: number): Timespec {
  return { seconds: readNumber(view, at), nanoseconds: view.getUint32(at + 8, true) };
}

function writeTime(view: DataView, at: number, time: Timespec): void {
  writeNumber(view, at, time.seconds);
  view.setUint32(at + 8, time.nanoseconds, true);
  view.setUint32(at + 12, 0, true);
}

/** How long a block 0 made of `seed` is. */
export function seedBytes(seed: InnerSeed): number {
  return INNER_FIXED_BYTES + (seed.target?.length ?? 0);
}

/** Writes a whole new block 0 over whatever was there. */
export function writeSeed({ buffer, view, at }: InnerPlace, seed: InnerSeed): void {
  const { stat, target } = seed;
  buffer.fill(0, at, at + INNER_FIXED_BYTES);
  writeNumber(view, at + InnerField.INO, stat.inode);
  writeOuterAttributes(view, at, stat);
  writeNumber(view, at + InnerField.SIZE, stat.sizeBytes);
  writeNumber(view, at + InnerField.BLKSIZE, stat.blockSizeBytes);
  writeStored(view, at, stat.storedBytes);
  writeTime(view, at + InnerField.ATIME, stat.atime);
  writeTime(view, at + InnerField.MTIME, stat.mtime);
  writeTime(view, at + InnerField.CTIME, stat.ctime);
  view.setUint32(at + InnerField.MAGIC, MAGIC, true);
  view.setUint16(at + InnerField.FORMAT, FORMAT_VERSION, true);
  if (target !== undefined) {
    view.setUint32(at + InnerField.TARGET_LENGTH, target.length, true);
    buffer.set(target, at + INNER_FIXED_BYTES);
  }
}

/** The part that the outer record owns. */
export function writeOuterAttributes(view: DataView, at: number, stat: Stat): void {
  writeNumber(view, at + InnerField.NLINK, stat.nlink);
  view.setUint32(at + InnerField.MODE, stat.mode, true);
  view.setUint32(at + InnerField.UID, stat.uid, true);
  view.setUint32(at + InnerField.GID, stat.gid, true);
  writeNumber(view, at + InnerField.RDEV, stat.rdev);
}

export function readAttributes(view: DataView, at: number): DataAttributes {
  return {
    sizeBytes: readSize(view, at),
    storedBytes: Math.max(0, readStored(view, at)),
    atime: readTime(view, at + InnerField.ATIME),
    mtime: readTime(view, at + InnerField.MTIME),
    ctime: readTime(view, at + InnerField.CTIME),
    dataVersion: readNumber(view, at + InnerField.DATA_VERSION),
    generation: readNumber(view, at + InnerField.GENERATION),
    truncatedBytes: readNumber(view, at + InnerField.TRUNCATED),
  };
}

export function readSize(view: DataView, at: number): number {
  return readNumber(view, at + InnerField.SIZE);
}

export function writeSize(view: DataView, at: number, sizeBytes: number): void {
  writeNumber(view, at + InnerField.SIZE, sizeBytes);
}

/** Below 0 while what was freed has been told of, and not yet that it had been stored: several clients tell, in any order. */
export function readStored(view: DataView, at: number): number {
  const slack = view.getUint16(at + InnerField.STORED_SLACK, true);
  return readNumber(view, at + InnerField.BLOCKS) * SECTOR_BYTES - slack;
}

export function writeStored(view: DataView, at: number, storedBytes: number): void {
  const sectors = Math.ceil(storedBytes / SECTOR_BYTES);
  writeNumber(view, at + InnerField.BLOCKS, sectors);
  view.setUint16(at + InnerField.STORED_SLACK, sectors * SECTOR_BYTES - storedBytes, true);
}

export function writeAtime(view: DataView, at: number, time: Timespec): void {
  writeTime(view, at + InnerField.ATIME, time);
}

export function writeMtime(view: DataView, at: number, time: Timespec): void {
  writeTime(view, at + InnerField.MTIME, time);
}

export function writeCtime(view: DataView, at: number, time: Timespec): void {
  writeTime(view, at + InnerField.CTIME, time);
}

/** True if `time` is later than the access time. */
export function isAfterAtime(view: DataView, at: number, time: Timespec): boolean {
  const seconds = readNumber(view, at + InnerField.ATIME);
  if (time.seconds !== seconds) return time.seconds > seconds;
  return time.nanoseconds > view.getUint32(at + InnerField.ATIME + 8, true);
}

export function raiseDataVersion(view: DataView, at: number): void {
  const version = readNumber(view, at + InnerField.DATA_VERSION);
  writeNumber(view, at + InnerField.DATA_VERSION, version + 1);
}

/** Records a truncation that cuts at `cutBytes`, not confirmed yet; returns its generation. */
export function raiseGeneration(view: DataView, at: number, cutBytes: number): number {
  const generation = readNumber(view, at + InnerField.GENERATION) + 1;
  writeNumber(view, at + InnerField.GENERATION, generation);
  writeNumber(view, at + InnerField.TRUNCATED, cutBytes);
  view.setUint32(at + InnerField.UNCONFIRMED, 1, true);
  return generation;
}

/** Truncation `generation` has been carried out everywhere; nothing happens if there was a later one. */
export function confirmGeneration(view: DataView, at: number, generation: number): void {
  if (readNumber(view, at + InnerField.GENERATION) !== generation) return;
  view.setUint32(at + InnerField.UNCONFIRMED, 0, true);
}

export function isUnconfirmed(view: DataView, at: number): boolean {
  return view.getUint32(at + InnerField.UNCONFIRMED, true) !== 0;
}

/** How long the block is, target and extended attributes included. */
export function innerBytes(view: DataView, at: number): number {
  return xattrStart(view, at) - at + view.getUint32(at + InnerField.XATTR_LENGTH, true);
}

/** A copy of the target; empty if there is none. */
export function readTarget({ buffer, view, at }: InnerPlace): Buffer {
  const start = at + INNER_FIXED_BYTES;
  return Buffer.from(
    buffer.subarray(start, start + view.getUint32(at + InnerField.TARGET_LENGTH, true)),
  );
}

function xattrStart(view: DataView, at: number): number {
  return at + INNER_FIXED_BYTES + view.getUint32(at + InnerField.TARGET_LENGTH, true);
}

/** How many bytes an extended attribute takes. */
export function xattrBytes(name: Buffer, value: Buffer): number {
  return XATTR_HEADER_BYTES + name.length + value.length;
}

function entryBytes(view: DataView, entry: number): number {
  return XATTR_HEADER_BYTES + view.getUint32(entry, true) + view.getUint32(entry + 4, true);
}

/** Where in the buffer the attribute's entry begins, or -1. */
export function findXattr({ buffer, view, at }: InnerPlace, name: Buffer): number {
  const end = at + innerBytes(view, at);
  for (let entry = xattrStart(view, at); entry < end; entry += entryBytes(view, entry)) {
    const start = entry + XATTR_HEADER_BYTES;
    const length = view.getUint32(entry, true);
    if (length === name.length && buffer.compare(name, 0, length, start, start + length) === 0) {
      return entry;
    }
  }
  return -1;
}

/** A copy of the value of the entry that {@link findXattr} found. */
export function xattrValue({ buffer, view }: InnerPlace, entry: number): Buffer {
  const start = entry + XATTR_HEADER_BYTES + view.getUint32(entry, true);
  return Buffer.from(buffer.subarray(start, start + view.getUint32(entry + 4, true)));
}

/** Copies of all names, in order. */
export function xattrNames({ buffer, view, at }: InnerPlace): Buffer[] {
  const names: Buffer[] = [];
  const end = at + innerBytes(view, at);
  for (let entry = xattrStart(view, at); entry < end; entry += entryBytes(view, entry)) {
    const start = entry + XATTR_HEADER_BYTES;
    names.push(Buffer.from(buffer.subarray(start, start + view.getUint32(entry, true))));
  }
  return names;
}

/** Length of the entry that {@link findXattr} found. */
export function xattrEntryBytes({ view }: InnerPlace, entry: number): number {
  return entryBytes(view, entry);
}

/**
 * Sets an attribute: in the place of `entry`, or behind all others if that is -1. The slot must have room for the
 * difference in length.
 */
export function writeXattr(
  { buffer, view, at }: InnerPlace,
  entry: number,
  { name, value }: { name: Buffer; value: Buffer },
): void {
  const end = at + innerBytes(view, at);
  const start = entry === -1 ? end : entry;
  const oldLength = entry === -1 ? 0 : entryBytes(view, entry);
  const newLength = xattrBytes(name, value);
  if (newLength !== oldLength) buffer.copyWithin(start + newLength, start + oldLength, end);
  view.setUint32(start, name.length, true);
  view.setUint32(start + 4, value.length, true);
  buffer.set(name, start + XATTR_HEADER_BYTES);
  buffer.set(value, start + XATTR_HEADER_BYTES + name.length);
  addXattrLength(view, at, newLength - oldLength);
}

/** Removes the entry that {@link findXattr} found. */
export function eraseXattr({ buffer, view, at }: InnerPlace, entry: number): void {
  const length = entryBytes(view, entry);
  buffer.copyWithin(entry, entry + length, at + innerBytes(view, at));
  addXattrLength(view, at, -length);
}

function addXattrLength(view: DataView, at: number, change: number): void {
  const length = view.getUint32(at + InnerField.XATTR_LENGTH, true);
  view.setUint32(at + InnerField.XATTR_LENGTH, length + change, true);
}
