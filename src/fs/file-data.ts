/**
 * The data of regular files: open files, reads, writes, truncation, and telling the metadata server what became
 * of them. Invariant: block 0 never claims data that was not stored first.
 */
import {
  type BlockStore,
  type DataAttributes,
  type DatasetView,
  type Payload,
  StaleGenerationError,
} from '../blocks/store.ts';
import type { Clock } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { HandleId, InodeId } from '../ids.ts';
import type { DataReport, InodeRecord, MetaStore } from '../meta/store.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import { type AtimePolicy, atimeIsDue, mergeStat } from './attributes.ts';
import { HandleTable, type OpenFile } from './handles.ts';
import { readRange } from './reader.ts';
import { MAX_FILE_BYTES, writeBlocks, type Written } from './writer.ts';

/** How often a request is retried against truncations that overtake it before it fails with EIO. */
const MAX_STALE_RETRIES = 8;

export interface FileDataOptions {
  meta: MetaStore;
  blocks: BlockStore;
  clock: Clock;
  atimePolicy: AtimePolicy;
}

/** A write as an engine passes it on. */
export interface WriteRequest {
  offset: number;
  /** O_APPEND: the offset is ignored, block 0's server reserves the range. */
  append: boolean;
  payload: Payload;
}

export class FileData {
  readonly handles = new HandleTable();
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;
  readonly #clock: Clock;
  readonly #atimePolicy: AtimePolicy;

  constructor(options: FileDataOptions) {
    this.#meta = options.meta;
    this.#blocks = options.blocks;
    this.#clock = options.clock;
    this.#atimePolicy = options.atimePolicy;
  }

  /**
   * Block 0's attributes, if there is one. A regular file is asked for even while its record is unborn: its writer may
   * have failed to report, and its data must not vanish for that.
   */
  *innerOf(record: InodeRecord): Task<DataAttributes | undefined> {
    const mayExist = !record.unborn || fileTypeOf(record.mode) === FileType.REGULAR;
    return mayExist ? yield* wait(this.#blocks.readInner(record.inode)) : undefined;
  }

  /** Opens a regular file. */
  *open(record: InodeRecord): Task<HandleId> {
    const open = this.handles.openFile(record.inode);
    return this.handles.addFile(open ?? (yield* this.#describe(record)));
  }

  /** The shared state of an open file, or a description that is good for one operation. */
  *#describe(record: InodeRecord): Task<OpenFile> {
    const open = this.handles.openFile(record.inode);
    if (open !== undefined) return open;
    const inner = yield* this.innerOf(record);
    return {
      inode: record.inode,
      view: viewOf(record.inode, record.layout.blockSizeBytes, inner),
      born: inner !== undefined || !record.unborn,
      // Born, yet not known to be: an earlier report has failed.
      unreported: inner !== undefined && record.unborn,
      handleCount: 0,
    };
  }

  /** At most `length` bytes at `offset`; fewer only at the end of the file. EIO where a block is lost. */
  *read(file: OpenFile, range: { offset: number; length: number }): Task<Buffer[]> {
    if (!file.born) return [];
    const inner = yield* this.#innerOfOpen(file);
    const length = Math.min(range.length, inner.sizeBytes - range.offset);
    if (length <= 0) return [];
    if (this.#atimePolicy !== 'noatime') {
      const now = this.#clock.now();
      if (atimeIsDue(this.#atimePolicy, inner, now)) {
        yield* wait(this.#blocks.touchAtime(file.inode, now));
      }
    }
    return yield* this.#withFreshView(file, () =>
      readRange(this.#blocks, file.view, { offset: range.offset, length }),
    );
  }

  /** Returns how many bytes were stored: all, or fewer when the store is full. ENOSPC, EFBIG. */
  *write(file: OpenFile, request: WriteRequest): Task<number> {
    if (request.payload.bytes.length === 0) return 0;
    yield* this.#bear(file);
    return request.append
      ? yield* this.#append(file, request.payload)
      : yield* this.#store(file, request);
  }

  *#store(file: OpenFile, request: { offset: number; payload: Payload }): Task<number> {
    const { offset, payload } = request;
    if (offset + payload.bytes.length > MAX_FILE_BYTES) throw new FsError('EFBIG');
    const written = yield* this.#withFreshView(file, () =>
      writeBlocks(this.#blocks, file.view, offset, payload),
    );
    file.unreported = true;
    yield* this.#noteWrite(file, offset + written.length, written);
    return written.length;
  }

  *#append(file: OpenFile, payload: Payload): Task<number> {
    const wanted = payload.bytes.length;
    const { offset } = yield* wait(this.#blocks.reserveAppend(file.inode, wanted));
    file.unreported = true;
    let stored = 0;
    try {
      stored = yield* this.#store(file, { offset, payload });
    } finally {
      if (stored < wanted) yield* this.#giveBackTail(file, offset + stored, offset + wanted);
    }
    return stored;
  }

  /** Takes back the end of a reserved range that could not be stored, unless others have appended since. */
  *#giveBackTail(file: OpenFile, from: number, to: number): Task<void> {
    const inner = yield* wait(this.#blocks.readInner(file.inode));
    if (inner?.sizeBytes === to) yield* this.#cut(file, from);
  }

  *#noteWrite(file: OpenFile, endBytes: number, written: Written): Task<DataAttributes> {
    const change = { endBytes, storedDelta: written.storedDelta };
    return yield* wait(this.#blocks.noteWrite(file.inode, change));
  }

  /** truncate(2). Shrinking and growing again reads as zeros. EFBIG, EIO. */
  *truncate(record: InodeRecord, sizeBytes: number): Task<void> {
    if (sizeBytes > MAX_FILE_BYTES) throw new FsError('EFBIG');
    const file = yield* this.#describe(record);
    yield* this.#bear(file);
    yield* this.#cut(file, sizeBytes);
    yield* this.#changed(file);
  }

  *#cut(file: OpenFile, sizeBytes: number): Task<void> {
    const attributes = yield* wait(this.#blocks.truncate(file.inode, sizeBytes));
    file.view = viewOf(file.inode, file.view.blockSizeBytes, attributes);
    const { storedDelta } = yield* wait(this.#blocks.discard(file.view));
    if (storedDelta !== 0) yield* this.#noteWrite(file, 0, { length: 0, storedDelta });
  }

  /** Sets times in block 0; the dataset must have one. */
  *setTimes(record: InodeRecord, times: Parameters<BlockStore['setTimes']>[1]): Task<void> {
    const file = yield* this.#describe(record);
    yield* wait(this.#blocks.setTimes(record.inode, times));
    yield* this.#changed(file);
  }

  /** Block 0 is written for the first time, if this is the first time. ENOSPC. */
  *#bear(file: OpenFile): Task<void> {
    if (file.born) return;
    const record = yield* wait(this.#meta.inode(file.inode));
    const seed = { stat: mergeStat(record, undefined) };
    const attributes = yield* wait(this.#blocks.createInner(file.inode, seed));
    file.view = viewOf(file.inode, file.view.blockSizeBytes, attributes);
    file.born = true;
    file.unreported = true;
  }

  /** Block 0 has changed: an open file reports when it is flushed, another at once. */
  *#changed(file: OpenFile): Task<void> {
    file.unreported = true;
    if (file.handleCount === 0) yield* this.report(file);
  }

  /** Tells the metadata server a file's size, times and version, if they have changed since it was told. */
  *report(file: OpenFile): Task<void> {
    if (!file.unreported) return;
    const inner = yield* this.#innerOfOpen(file);
    file.unreported = false;
    try {
      yield* wait(this.#meta.reportData(file.inode, reportOf(inner)));
    } catch (error) {
      file.unreported = true;
      throw error;
    }
  }

  *#innerOfOpen(file: OpenFile): Task<DataAttributes> {
    const inner = yield* wait(this.#blocks.readInner(file.inode));
    if (inner === undefined) throw new FsError('EIO', `block 0 of inode ${file.inode} is lost`);
    return inner;
  }

  /** Runs `operation` again, with what block 0 says now, as long as truncations overtake it. */
  *#withFreshView<T>(file: OpenFile, operation: () => Task<T>): Task<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return yield* operation();
      } catch (error) {
        if (!(error instanceof StaleGenerationError)) throw error;
        if (attempt > MAX_STALE_RETRIES) throw new FsError('EIO', error.message, { cause: error });
      }
      file.view = viewOf(file.inode, file.view.blockSizeBytes, yield* this.#innerOfOpen(file));
    }
  }
}

function viewOf(
  inode: InodeId,
  blockSizeBytes: number,
  attributes: DataAttributes | undefined,
): DatasetView {
  return {
    inode,
    blockSizeBytes,
    generation: attributes?.generation ?? 0,
    truncatedBytes: attributes?.truncatedBytes ?? 0,
  };
}

function reportOf(inner: DataAttributes): DataReport {
  const { sizeBytes, storedBytes, atime, mtime, dataVersion } = inner;
  return { sizeBytes, storedBytes, atime, mtime, dataVersion };
}
