/**
 * Operations on ranges of regular files: fallocate(2), lseek(2) for data and holes, copy_file_range(2). They change what
 * writes change, and drop the same privileges; block 0 hears of them as of writes.
 */
import {
  type BlockExtent,
  type BlockStore,
  MOST_EXTENTS_AT_ONCE,
  type RoomUse,
} from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { HandleId, InodeId } from '../ids.ts';
import { type MaybePromise, type Task, wait } from '../task.ts';
import { copyRange } from './copying.ts';
import { extentAt } from './extents.ts';
import type { FileData } from './file-data.ts';
import { levelOf, type OpenFile } from './handles.ts';
import { findData, findHole } from './seeking.ts';
import { waitToTheEnd } from './settle.ts';
import { MAX_FILE_BYTES } from './writer.ts';

/** Bytes `[offset, offset + length)` of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** How fallocate(2) was asked to change a range. */
export interface RangeChange {
  readonly range: ByteRange;
  /** FALLOC_FL_KEEP_SIZE: the file does not grow. */
  readonly keepsSize: boolean;
  /** The caller may not keep set-uid and set-gid bits of what it changes. */
  readonly dropPrivilegeBits: boolean;
}

export interface FileRangesOptions {
  data: FileData;
  blocks: BlockStore;
  /** Drops capabilities and, with `bits`, set-uid and set-gid, before data is changed. */
  dropPrivileges: (file: OpenFile, bits: boolean) => Task<void>;
  /** Makes the kernel forget a file's pages, when it has written those that were changed. */
  dropPages: (inode: InodeId) => MaybePromise<void>;
}

export class FileRanges {
  readonly #data: FileData;
  readonly #blocks: BlockStore;
  readonly #dropPrivileges: FileRangesOptions['dropPrivileges'];
  readonly #dropPages: FileRangesOptions['dropPages'];

  constructor(options: FileRangesOptions) {
    this.#data = options.data;
    this.#blocks = options.blocks;
    this.#dropPrivileges = options.dropPrivileges;
    this.#dropPages = options.dropPages;
  }

  /** Room for the range: writes there will not fail with ENOSPC. EBADF, EFBIG, EINVAL, ENOSPC (nothing has changed then). */
  *allocate(handle: HandleId, change: RangeChange): Task<void> {
    const file = yield* this.#begin(handle, change);
    const storedDelta = yield* this.#reserve(file, change.range);
    this.#data.changed(file, newEnd(change), { storedDelta });
  }

  /** The range reads as zeros, and its memory is free. The size stays. EBADF, EFBIG, EINVAL. */
  *punch(handle: HandleId, change: RangeChange): Task<void> {
    const file = yield* this.#begin(handle, change);
    const punched = yield* file.writes.during(this.#punch(file, change.range, 'freed'));
    this.#data.changed(file, 0, punched);
  }

  /** The range reads as zeros, and has its room as after {@link allocate}. */
  *zero(handle: HandleId, change: RangeChange): Task<void> {
    const file = yield* this.#begin(handle, change);
    let storedDelta = yield* this.#reserve(file, change.range);
    let end = 0;
    try {
      const zeroed = file.writes.during(this.#punch(file, change.range, 'reserved'));
      const punched = yield* zeroed;
      storedDelta += punched.storedDelta;
      end = newEnd(change);
    } finally {
      this.#data.changed(file, end, { storedDelta });
    }
  }

  *#begin(handle: HandleId, { range, dropPrivilegeBits }: RangeChange): Task<OpenFile> {
    const file = this.#data.handles.file(handle);
    if (range.length === 0) throw new FsError('EINVAL', 'an empty range');
    if (range.offset + range.length > MAX_FILE_BYTES) throw new FsError('EFBIG');
    yield* this.#dropPrivileges(file, dropPrivilegeBits);
    yield* this.#data.bear(file);
    return file;
  }

  *#punch(file: OpenFile, range: ByteRange, room: RoomUse): Task<{ storedDelta: number }> {
    return yield* this.#data.withFreshViews([file], () =>
      waitToTheEnd(this.#blocks.punch(file.view, range, room)),
    );
  }

  /** Returns the change of stored bytes. */
  *#reserve(file: OpenFile, range: ByteRange): Task<number> {
    yield* this.#requireRoom(file, range);
    const added: Added[] = [];
    let storedDelta = 0;
    try {
      for (const part of partsOf(range, file.view.layout.blockSizeBytes)) {
        const reserved = yield* this.#data.withFreshViews([file], () =>
          waitToTheEnd(this.#blocks.reserve(file.view, part.extents)),
        );
        storedDelta += reserved.storedDelta;
        added.push(isAll(part.extents, reserved.added) ? part.range : reserved.added);
      }
    } catch (error) {
      storedDelta += yield* this.#takeBack(file, added);
      if (storedDelta !== 0) this.#data.changed(file, 0, { storedDelta });
      throw error;
    }
    return storedDelta;
  }

  /** ENOSPC for what cannot fit, before the store is filled in trying. Others may take the room before it is reserved. */
  *#requireRoom(file: OpenFile, { length }: ByteRange): Task<void> {
    yield* file.notes.pause();
    yield* this.#data.refresh(file);
    const { capacityBytes, usedBytes } = yield* wait(this.#blocks.usage());
    const stored = file.known?.storedBytes ?? 0;
    if (length - stored > capacityBytes - usedBytes) {
      throw new FsError('ENOSPC', `no room for ${length} bytes`);
    }
  }

  /** What a server that is away keeps reserved is freed with the file. */
  *#takeBack(file: OpenFile, added: readonly Added[]): Task<number> {
    let storedDelta = 0;
    for (const one of added) {
      const parts =
        'offset' in one ? partsOf(one, file.view.layout.blockSizeBytes) : [{ extents: one }];
      for (const { extents } of parts) {
        try {
          const taken = yield* this.#data.withFreshViews([file], () =>
            waitToTheEnd(this.#blocks.unreserve(file.view, extents)),
          );
          storedDelta += taken.storedDelta;
        } catch (error) {
          if (!(error instanceof Error)) throw error;
        }
      }
    }
    return storedDelta;
  }

  /** SEEK_DATA: where data is at `offset` or after it. ENXIO, EBADF. */
  *seekData(handle: HandleId, offset: number): Task<number> {
    return yield* this.#seek(handle, offset, findData);
  }

  /** SEEK_HOLE: where a hole, or the end of the file, is at `offset` or after it. ENXIO, EBADF. */
  *seekHole(handle: HandleId, offset: number): Task<number> {
    return yield* this.#seek(handle, offset, findHole);
  }

  *#seek(handle: HandleId, offset: number, find: typeof findData): Task<number> {
    const file = this.#data.handles.file(handle);
    yield* this.#writeMapped(file);
    const sizeBytes = yield* this.#data.sizeOf(file);
    if (offset < 0 || offset >= sizeBytes) throw new FsError('ENXIO');
    return yield* this.#data.withFreshViews([file], () =>
      find(this.#blocks, file.view, { offset, sizeBytes }),
    );
  }

  /**
   * What was changed in a shared mapping is in the kernel's pages alone until it writes them, and of lseek(2) it does not
   * write them first (`fuse_file_llseek`): what they hold would be taken for holes.
   */
  *#writeMapped({ inode }: OpenFile): Task<void> {
    if (levelOf(this.#data.handles.shared(inode)) !== 'write') return;
    yield* wait(this.#dropPages(inode));
  }

  /**
   * copy_file_range(2): returns how many bytes were copied, which may be fewer than asked for; 0 only at the source's
   * end. EBADF, EINVAL, EFBIG, ENOSPC, EIO.
   */
  *copy(
    from: { handle: HandleId; offset: number },
    to: { handle: HandleId; offset: number },
    asked: { length: number; dropPrivilegeBits: boolean },
  ): Task<number> {
    const source = { file: this.#data.handles.file(from.handle), offset: from.offset };
    const target = { file: this.#data.handles.file(to.handle), offset: to.offset };
    const sizeBytes = yield* this.#data.sizeOf(source.file);
    const length = Math.min(asked.length, sizeBytes - source.offset);
    if (length <= 0) return 0;
    if (target.offset >= MAX_FILE_BYTES) throw new FsError('EFBIG');
    const isOverlap = Math.abs(source.offset - target.offset) < length;
    if (source.file === target.file && isOverlap) throw new FsError('EINVAL', 'the ranges overlap');
    yield* this.#dropPrivileges(target.file, asked.dropPrivilegeBits);
    yield* this.#data.bear(target.file);
    this.#data.touchAtime(source.file);
    const most = Math.min(length, MAX_FILE_BYTES - target.offset);
    const stores = { data: this.#data, blocks: this.#blocks, dropPages: this.#dropPages };
    return yield* target.file.writes.during(copyRange(stores, source, target, most));
  }
}

/** What one part of a reservation has added: all of a range, or some extents. */
type Added = ByteRange | readonly BlockExtent[];

function newEnd({ range, keepsSize }: RangeChange): number {
  return keepsSize ? 0 : range.offset + range.length;
}

/** A range cut into as many extents as are reserved at once. */
function* partsOf(
  range: ByteRange,
  blockSizeBytes: number,
): Generator<{ range: ByteRange; extents: BlockExtent[] }> {
  const end = range.offset + range.length;
  for (let at = range.offset; at < end;) {
    const offset = at;
    const extents: BlockExtent[] = [];
    while (at < end && extents.length < MOST_EXTENTS_AT_ONCE) {
      const extent = extentAt(at, end - at, blockSizeBytes);
      extents.push(extent);
      at += extent.length;
    }
    yield { range: { offset, length: at - offset }, extents };
  }
}

function isAll(extents: readonly BlockExtent[], added: readonly BlockExtent[]): boolean {
  return added.length === extents.length && bytesIn(added) >= bytesIn(extents);
}

function bytesIn(extents: readonly BlockExtent[]): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}
