/**
 * The contract between the file system and block storage, one block server's worth of it. Block 0 of a dataset
 * is its inner metadata, changed only by the atomic operations here; blocks 1…n are data.
 */
import type { Timespec } from '../clock.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import type { MaybePromise } from '../task.ts';
import type { Stat } from '../stat.ts';

/** What block 0 is authoritative for. */
export interface DataAttributes {
  sizeBytes: number;
  /** Bytes of data actually stored. */
  storedBytes: number;
  atime: Timespec;
  mtime: Timespec;
  /** Last change that block 0 knows of; stat(2)'s ctime is the later of this and the outer record's. */
  ctime: Timespec;
  /** Raised by every change of data. */
  dataVersion: number;
  /** Raised by every truncation. */
  generation: number;
  /** Size that the latest truncation cut to. */
  truncatedBytes: number;
}

/** What block 0 is first written with. */
export interface InnerSeed {
  /** The `struct stat` as the outer record has it. */
  stat: Stat;
  /** A symlink's target. */
  target?: Buffer;
}

/**
 * Names a dataset in a data request. A server that knows a lower generation first discards what lies beyond
 * `truncatedBytes`; one that knows a higher one refuses with {@link StaleGenerationError}.
 */
export interface DatasetView {
  readonly inode: InodeId;
  readonly blockSizeBytes: number;
  readonly generation: number;
  readonly truncatedBytes: number;
}

/** The request's truncate generation is older than the server's: read block 0 again and retry. */
export class StaleGenerationError extends Error {
  override name = 'StaleGenerationError';
}

/** A free block of a store that its holder may fill, and the store may then adopt without a copy. */
export interface BlockLease {
  /** The whole block. Owned by the holder until the store adopts it or it is released. */
  readonly bytes: Buffer;
  /** The store has taken the block as a data block; the holder must not touch `bytes` again. */
  readonly adopted: boolean;
  /** Gives an unadopted block back; nothing happens otherwise. */
  release(): void;
}

/** Bytes to be written. The caller keeps `bytes` unchanged until the call has returned or its promise settled. */
export interface Payload {
  readonly bytes: Buffer;
  /** Set when `bytes` begins at the start of a leased block: a write of one whole block may adopt it. */
  readonly lease?: BlockLease | undefined;
}

/** Capacity and use in bytes of stored blocks (block 0s included). */
export interface BlockUsage {
  capacityBytes: number;
  usedBytes: number;
  datasets: number;
}

/** How setxattr(2) treats a name that exists (CREATE: EEXIST) or does not (REPLACE: ENODATA). */
export type XattrMode = 'either' | 'create' | 'replace';

/**
 * All methods may fail with FsError EIO (server dead, block lost); those that store, with ENOSPC, after which
 * nothing has changed.
 */
export interface BlockStore {
  /** Writes block 0 for the first time; if it exists, changes nothing. Returns what it holds. */
  createInner(inode: InodeId, seed: InnerSeed): MaybePromise<DataAttributes>;
  /** Block 0's attributes, or undefined for a dataset without a block 0. */
  readInner(inode: InodeId): MaybePromise<DataAttributes | undefined>;
  /**
   * Data has been written: size becomes at least `endBytes`, `storedBytes` changes by `storedDelta`, mtime and
   * ctime become now, the data version rises. ENOENT (no block 0) is a caller's bug.
   */
  noteWrite(
    inode: InodeId,
    change: { endBytes: number; storedDelta: number },
  ): MaybePromise<DataAttributes>;
  /** Moves the size up by `lengthBytes` and returns the old size: where the appended bytes belong. EFBIG. */
  reserveAppend(inode: InodeId, lengthBytes: number): MaybePromise<{ offset: number }>;
  /** Sets the size, raises generation and data version. Data beyond is discarded by the data servers. EFBIG. */
  truncate(inode: InodeId, sizeBytes: number): MaybePromise<DataAttributes>;
  /** utimensat(2) with times already resolved; ctime becomes now. */
  setTimes(
    inode: InodeId,
    times: { atime?: Timespec; mtime?: Timespec },
  ): MaybePromise<DataAttributes>;
  /** A read's access time: never moves atime back, leaves ctime and data version alone. */
  touchAtime(inode: InodeId, atime: Timespec): MaybePromise<void>;
  /** Brings block 0's copy of mode, nlink, uid, gid and rdev up to date. No block 0: nothing happens. */
  copyStat(inode: InodeId, stat: Stat): MaybePromise<void>;

  /** A copy of the value. ENODATA. */
  getXattr(inode: InodeId, name: Buffer): MaybePromise<Buffer>;
  /** ctime becomes now. EEXIST, ENODATA (by mode), ENOSPC when block 0 would exceed 1 MiB or its store is full. */
  setXattr(inode: InodeId, name: Buffer, value: Buffer, mode: XattrMode): MaybePromise<void>;
  /** Names in the order in which they were set; empty without block 0. */
  listXattr(inode: InodeId): MaybePromise<Buffer[]>;
  /** ctime becomes now. ENODATA. */
  removeXattr(inode: InodeId, name: Buffer): MaybePromise<void>;
  /** A symlink's target; EIO if block 0 has none. */
  readTarget(inode: InodeId): MaybePromise<Buffer>;

  /**
   * Bytes `[offset, offset + length)` of one data block as one or more slices of exactly that total; what is not
   * stored reads as zeros. A local store's slices are views of its memory, valid until its next mutation:
   * use them in the same turn.
   */
  readBlock(
    view: DatasetView,
    block: BlockIndex,
    range: { offset: number; length: number },
  ): MaybePromise<Buffer[]>;
  /** Writes `payload` at `offset` within one data block. ENOSPC. */
  writeBlock(
    view: DatasetView,
    block: BlockIndex,
    offset: number,
    payload: Payload,
  ): MaybePromise<{ storedDelta: number }>;
  /** Discards data beyond `view.truncatedBytes` as of `view.generation`. */
  discard(view: DatasetView): MaybePromise<{ storedDelta: number }>;
  /** Frees block 0 and all data blocks; nothing happens for a dataset that is not here. */
  free(inode: InodeId): MaybePromise<void>;
  usage(): MaybePromise<BlockUsage>;
}
