/**
 * The contract between the file system and block storage. Block 0 of a dataset is its inner metadata, changed only by
 * the atomic operations here; blocks 1…n are data. One server's memory, a server behind the net, and all servers of a
 * file system together implement the same interface.
 */
import type { Timespec } from '../clock.ts';
import type { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import type { Dataset } from '../layout.ts';
import type { LendablePages } from '../pipes/lendable-pages.ts';
import type { PipedBytes } from '../pipes/piped-bytes.ts';
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
  /** Where the latest truncation cut: the smaller of the sizes before and after it. */
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
 * A dataset as a data request addresses it. A server that knows a lower generation first discards what lies beyond
 * `truncatedBytes`; one that knows a higher one refuses with {@link StaleGenerationError}.
 */
export interface DatasetView extends Dataset {
  readonly generation: number;
  readonly truncatedBytes: number;
}

/** The request's truncate generation is older than the server's: read block 0 again and retry. */
export class StaleGenerationError extends Error {
  override name = 'StaleGenerationError';
}

/**
 * An earlier truncation has not been confirmed: its client may have died before every server had discarded. Discard
 * as of `attributes` on all servers, then repeat the truncation with that generation as confirmed.
 */
export class UnconfirmedTruncationError extends Error {
  override name = 'UnconfirmedTruncationError';
  readonly attributes: DataAttributes;

  constructor(attributes: DataAttributes) {
    super(`truncation ${attributes.generation} is not confirmed`);
    this.attributes = attributes;
  }
}

/** A free block of a store that its holder may fill, and the store may then adopt without a copy. */
export interface BlockLease {
  /** The whole block. Owned by the holder until the store adopts it or it is released. */
  readonly bytes: Buffer;
  /** Set where `bytes` begins these pages, which may be sent to another node by reference. */
  readonly pages?: LendablePages | undefined;
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

/** Bytes that were read. */
export interface BlockData {
  /**
   * Slices of exactly the length that was asked for. A local store's are views of its memory, valid until its next
   * mutation: use them in the same turn. What comes by promise stays what it is until it is released.
   */
  readonly slices: Buffer[];
  /** Set when the bytes are on their way through a pipe: asking for `slices` then copies them. */
  readonly piped?: PipedBytes | undefined;
  /** Set where the slices lie in memory that is used again: call it once they have been used. */
  readonly release?: (() => void) | undefined;
}

/** Capacity and use in bytes of stored blocks (block 0s included). */
export interface BlockUsage {
  capacityBytes: number;
  usedBytes: number;
  datasets: number;
}

/** Where a block is, and what is there of it. */
export interface BlockLocation {
  /** Number of its server; undefined for a block of a LOCAL dataset that was never written. */
  readonly server: number | undefined;
  /** Bytes stored, 0 for a hole; undefined if the server does not tell or has lost the block. */
  readonly storedBytes: number | undefined;
}

/** Part of one data block. */
export interface BlockExtent {
  readonly block: BlockIndex;
  readonly offset: number;
  readonly length: number;
}

/** What became of a reservation. */
export interface Reserved {
  readonly storedDelta: number;
  /** What was neither reserved before nor full of data. */
  readonly added: readonly BlockExtent[];
}

/** What becomes of memory whose bytes are taken away. */
export type RoomUse = 'freed' | 'reserved';

/** A place in a data block. */
export interface BlockPosition {
  readonly view: DatasetView;
  readonly block: BlockIndex;
  readonly offset: number;
}

/** What is stored of a block that is not data throughout: begin and end of each run, in pairs. */
export interface BlockRuns {
  readonly block: BlockIndex;
  readonly runs: readonly number[];
}

/** Where blocks in a row hold data. */
export interface BlockMap {
  /** Nothing is stored of the blocks from the first on that was asked for and below this one; undefined: of none at all. */
  readonly next: BlockIndex | undefined;
  /** The rest of the answer is about blocks below this. */
  readonly end: BlockIndex;
  /** A bit for each block, that of the first in the lowest place: data throughout. Zeros at the end may be missing. */
  readonly whole: Buffer;
  /** Blocks of which a part is data, in their order. */
  readonly parts: readonly BlockRuns[];
  /** What is missing may be lost data. */
  readonly mayBeLost: boolean;
}

/** Bytes `[offset, offset + length)` of a block. */
export interface ReadRange {
  readonly offset: number;
  readonly length: number;
  /** The reader can pass on {@link BlockData.piped}, and does not care for the slices then. */
  readonly passesOn?: boolean;
}

/** How setxattr(2) treats a name that exists (CREATE: EEXIST) or does not (REPLACE: ENODATA). */
export type XattrMode = 'either' | 'create' | 'replace';

/** What a truncation is asked for. */
export interface Truncation {
  readonly sizeBytes: number;
  /** Generation whose cut the caller knows to be discarded on all servers; 0 if it knows of none. */
  readonly confirmedGeneration: number;
  /** Cut only if this is the size; otherwise nothing happens. Takes back the end of a reserved range. */
  readonly onlyIfSizeBytes?: number | undefined;
}

/** A larger reservation is better cut into parts of this. */
export const MOST_EXTENTS_AT_ONCE = 4096;

/** Most blocks that one question of {@link BlockStore.map} is about. */
export const MOST_MAPPED_BLOCKS = 2 ** 20;

/**
 * All methods may fail with FsError EIO (server dead, block lost); those that store, with ENOSPC, after which
 * nothing has changed. Methods that change block 0 and take a `seed` write block 0 first where there is none;
 * without one, ENOENT (no block 0) is a caller's bug.
 */
export interface BlockStore {
  /** Writes block 0 for the first time; if it exists, changes nothing. Returns what it holds. */
  createInner(dataset: Dataset, seed: InnerSeed): MaybePromise<DataAttributes>;
  /** Block 0's attributes, or undefined for a dataset without a block 0. EIO if it was lost with its server. */
  readInner(dataset: Dataset): MaybePromise<DataAttributes | undefined>;
  /**
   * {@link readInner} for many; one message per server where servers are remote. An FsError stands for a dataset that
   * failed.
   */
  readInners(datasets: readonly Dataset[]): MaybePromise<(DataAttributes | FsError | undefined)[]>;
  /**
   * Data has been written: size becomes at least `endBytes`, `storedBytes` changes by `storedDelta`, mtime and
   * ctime become now, the data version rises.
   */
  noteWrite(
    dataset: Dataset,
    change: { endBytes: number; storedDelta: number },
    seed?: InnerSeed,
  ): MaybePromise<DataAttributes>;
  /** Moves the size up by `lengthBytes` and returns the old size: where the appended bytes belong. EFBIG. */
  reserveAppend(
    dataset: Dataset,
    lengthBytes: number,
    seed?: InnerSeed,
  ): MaybePromise<{ offset: number }>;
  /**
   * Sets the size, raises generation and data version. Data beyond the cut is then to be discarded by all data
   * servers ({@link discard}), and that confirmed. EFBIG, {@link UnconfirmedTruncationError}.
   */
  truncate(
    dataset: Dataset,
    truncation: Truncation,
    seed?: InnerSeed,
  ): MaybePromise<DataAttributes>;
  /** All data servers have discarded what truncation `generation` cut off. */
  confirmTruncation(dataset: Dataset, generation: number): MaybePromise<void>;
  /** utimensat(2) with times already resolved; ctime becomes now. */
  setTimes(
    dataset: Dataset,
    times: { atime?: Timespec; mtime?: Timespec },
  ): MaybePromise<DataAttributes>;
  /** A read's access time: never moves atime back, leaves ctime and data version alone. */
  touchAtime(dataset: Dataset, atime: Timespec): MaybePromise<void>;
  /** Brings block 0's copy of mode, nlink, uid, gid and rdev up to date. No block 0: nothing happens. */
  copyStat(dataset: Dataset, stat: Stat): MaybePromise<void>;

  /** A copy of the value. ENODATA. */
  getXattr(dataset: Dataset, name: Buffer): MaybePromise<Buffer>;
  /** ctime becomes now. EEXIST, ENODATA (by mode), ENOSPC when block 0 would exceed 1 MiB or its store is full. */
  setXattr(dataset: Dataset, name: Buffer, value: Buffer, mode: XattrMode): MaybePromise<void>;
  /** Names in the order in which they were set; empty without block 0. */
  listXattr(dataset: Dataset): MaybePromise<Buffer[]>;
  /** ctime becomes now. ENODATA. */
  removeXattr(dataset: Dataset, name: Buffer): MaybePromise<void>;
  /** A symlink's target; EIO if block 0 has none. */
  readTarget(dataset: Dataset): MaybePromise<Buffer>;

  /**
   * Bytes `[offset, offset + length)` of one data block; what is not stored reads as zeros, but EIO if the block's
   * server may have lost it.
   */
  readBlock(view: DatasetView, block: BlockIndex, range: ReadRange): MaybePromise<BlockData>;
  /** Writes `payload` at `offset` within one data block. ENOSPC. */
  writeBlock(
    view: DatasetView,
    block: BlockIndex,
    offset: number,
    payload: Payload,
  ): MaybePromise<{ storedDelta: number }>;
  /**
   * Takes away the data of bytes `[offset, offset + length)` of the dataset: they read as zeros. Whole pages of it are
   * freed, or stay reserved where they were stored or reserved. What was lost stays so.
   */
  punch(
    view: DatasetView,
    range: { offset: number; length: number },
    room: RoomUse,
  ): MaybePromise<{ storedDelta: number }>;
  /**
   * Sees to it that writes to these parts of blocks will not fail with ENOSPC, nor {@link punch} with room reserved free
   * them. What is reserved counts as stored, and reads as zeros. ENOSPC.
   */
  reserve(view: DatasetView, extents: readonly BlockExtent[]): MaybePromise<Reserved>;
  /** Takes back a reservation, as far as nothing has been written there; see {@link Reserved.added}. */
  unreserve(
    view: DatasetView,
    extents: readonly BlockExtent[],
  ): MaybePromise<{ storedDelta: number }>;
  /** Where data is among `count` blocks (at most {@link MOST_MAPPED_BLOCKS}) from `first` on, or fewer of them. */
  map(view: DatasetView, first: BlockIndex, count: number): MaybePromise<BlockMap>;
  /**
   * Copies bytes of one block to another, or within one, where the two parts do not overlap: holes stay holes. Undefined,
   * with nothing changed, if the two are not in one memory: then it takes a read and a write. ENOSPC.
   */
  copyBlock(
    from: BlockPosition,
    to: BlockPosition,
    lengthBytes: number,
  ): MaybePromise<{ storedDelta: number } | undefined>;
  /** Discards data beyond `view.truncatedBytes` as of `view.generation`. */
  discard(view: DatasetView): MaybePromise<{ storedDelta: number }>;
  /** Frees block 0 and all data blocks; nothing happens for a dataset that is not here. */
  free(inode: InodeId): MaybePromise<void>;
  usage(): MaybePromise<BlockUsage>;
  /** Where blocks are, for people who want to know; block 0 is number 0. Never fails for what a server does not tell. */
  locate(dataset: Dataset, blocks: readonly BlockIndex[]): MaybePromise<BlockLocation[]>;
}
