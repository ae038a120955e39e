/**
 * The data of regular files: open files, reads, writes, truncation, and telling the metadata server what became
 * of them. Invariant: block 0 never claims data that was not stored first.
 */
import {
  type BlockData,
  type BlockStore,
  type DataAttributes,
  type InnerSeed,
  type Payload,
  StaleGenerationError,
  UnconfirmedTruncationError,
} from '../blocks/store.ts';
import type { Clock } from '../clock.ts';
import { Errno, FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { InodeRecord, MetaStore } from '../meta/store.ts';
import { type MaybePromise, isPromiseLike, type Task, wait } from '../task.ts';
import { type AtimePolicy, atimeIsDue, mergeStat } from './attributes.ts';
import type { Background } from './background.ts';
import { HandleTable, levelOf, type OpenFile } from './handles.ts';
import { attributesIn, reportOf, viewOf } from './known-data.ts';
import { dropLeftovers } from './leftovers.ts';
import { Notes } from './notes.ts';
import { PageVersions } from './page-versions.ts';
import { readRange } from './reader.ts';
import { requireRegular } from './record-types.ts';
import { waitToTheEnd } from './settle.ts';
import type { Opened } from './types.ts';
import { MAX_FILE_BYTES, type Tally, writeBlocks } from './writer.ts';
import { WritesUnderWay } from './writes-under-way.ts';

/** How often a request is retried against truncations that overtake it before it fails with EIO. */
const MAX_STALE_RETRIES = 8;

/** How many truncations that nobody has confirmed one truncation clears up first, before it fails with EIO. */
const MAX_UNCONFIRMED = 100;

export interface FileDataOptions {
  meta: MetaStore;
  blocks: BlockStore;
  clock: Clock;
  atimePolicy: AtimePolicy;
  background: Background;
  /** Makes the kernel forget a file's pages. */
  dropPages: (inode: InodeId) => MaybePromise<void>;
}

/** A write as an engine passes it on. */
export interface WriteRequest {
  offset: number;
  /** O_APPEND: the offset is ignored, block 0's server reserves the range. */
  append: boolean;
  payload: Payload;
}

const NOTHING_READ: BlockData = { slices: [] };

export class FileData {
  readonly handles = new HandleTable();
  readonly #pages = new PageVersions();
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;
  readonly #clock: Clock;
  readonly #atimePolicy: AtimePolicy;
  readonly #background: Background;
  readonly #dropPages: FileDataOptions['dropPages'];

  constructor(options: FileDataOptions) {
    this.#meta = options.meta;
    this.#blocks = options.blocks;
    this.#clock = options.clock;
    this.#atimePolicy = options.atimePolicy;
    this.#background = options.background;
    this.#dropPages = options.dropPages;
  }

  // Opening and closing

  /** Opens a regular file; ESTALE if it is gone, EISDIR and EINVAL for what is no file. */
  *open(inode: InodeId, writes: boolean): Task<Opened> {
    return this.#opened(yield* this.acquire(inode, writes), writes);
  }

  #opened(file: OpenFile, writes: boolean): Opened {
    const keepsPages = this.#pages.opened(file.inode, file.known?.dataVersion ?? 0);
    return {
      handle: this.handles.addFile(file, writes),
      keepsPages: keepsPages || !this.#meta.shared,
    };
  }

  /** The file for one user more, to be given back by {@link leave}. */
  *acquire(inode: InodeId, writes: boolean): Task<OpenFile> {
    const shared = this.handles.enter(inode, writes);
    try {
      const level = levelOf(shared) === 'write' ? 'write' : 'read';
      const record = yield* wait(this.#meta.openInode(inode, level));
      requireRegular(record);
      return this.#describe(record, level, yield* this.#innerOf(record));
    } catch (error) {
      this.#abandon(inode, writes);
      throw error;
    }
  }

  /** As {@link acquire} for writing; where this mount has it open for writing, only the record is asked for. */
  *acquireForChange(inode: InodeId): Task<OpenFile> {
    const file = this.handles.openFile(inode);
    if (file?.registered !== 'write') return yield* this.acquire(inode, true);
    this.handles.enter(inode, true);
    try {
      file.record = yield* wait(this.#meta.inode(inode));
    } catch (error) {
      this.#abandon(inode, true);
      throw error;
    }
    return file;
  }

  /** Opens a file that this mount has just made, as `create` has registered it: it has no block 0 yet. */
  adopt(record: InodeRecord, writes: boolean): Opened {
    this.handles.enter(record.inode, writes);
    try {
      const file = this.#describe(record, writes ? 'write' : 'read', undefined);
      return this.#opened(file, writes);
    } catch (error) {
      this.#abandon(record.inode, writes);
      throw error;
    }
  }

  /** An open that has failed may have been registered. */
  #abandon(inode: InodeId, writes: boolean): void {
    const level = this.handles.leave(inode, writes);
    this.#background('closing a file after a failed open', () =>
      this.#meta.closeInode(inode, level),
    );
  }

  /** What an opener has learnt, put together with what is known of the file. */
  #describe(
    record: InodeRecord,
    level: 'read' | 'write',
    inner: DataAttributes | undefined,
  ): OpenFile {
    const shared = this.handles.shared(record.inode);
    const before = shared.file;
    if (before === undefined) {
      const file = this.#newFile(record, inner, level);
      shared.file = file;
      return file;
    }
    before.record = record;
    if (before.registered === 'read') before.registered = level;
    if (inner !== undefined) this.#learn(before, inner);
    return before;
  }

  #newFile(
    record: InodeRecord,
    inner: DataAttributes | undefined,
    registered: 'read' | 'write',
  ): OpenFile {
    const file: OpenFile = {
      inode: record.inode,
      record,
      view: viewOf(record, inner),
      born: inner !== undefined || !record.unborn,
      known: inner,
      // Born, yet not known to be: an earlier report has failed.
      unreported: inner !== undefined && record.unborn,
      capabilityIsGone: false,
      notes: new Notes((note) => this.#sendNote(file, note)),
      writes: new WritesUnderWay(),
      registered,
    };
    return file;
  }

  /** Block 0's attributes as the record has them or, if it may be out of date, as block 0 has them. */
  *#innerOf(record: InodeRecord): Task<DataAttributes | undefined> {
    if (record.unsettled) return yield* wait(this.#blocks.readInner(record));
    return record.unborn ? undefined : attributesIn(record);
  }

  #learn(file: OpenFile, inner: DataAttributes): void {
    file.born = true;
    if (inner.generation >= file.view.generation) file.view = viewOf(file.record, inner);
    const size = file.notes.pending ? Math.max(inner.sizeBytes, file.known?.sizeBytes ?? 0) : 0;
    file.known = size > inner.sizeBytes ? { ...inner, sizeBytes: size } : inner;
  }

  /** One user less. What has changed is reported when it was the last that could change anything. */
  *leave(file: OpenFile, writes: boolean): Task<void> {
    let failure: { error: unknown } | undefined;
    try {
      yield* file.notes.settle();
    } catch (error) {
      failure = { error };
    }
    const level = this.handles.leave(file.inode, writes);
    // What block 0 did not learn must not be reported; while this mount counts as a writer, everybody asks block 0.
    if (failure !== undefined) throw failure.error;
    const report = file.unreported && level !== 'write' ? reportOf(file) : undefined;
    if (report !== undefined || level !== file.registered) {
      file.registered = level;
      file.unreported = false;
      try {
        yield* waitToTheEnd(this.#meta.closeInode(file.inode, level, report));
      } catch (error) {
        file.unreported = report !== undefined;
        throw error;
      }
    }
  }

  /**
   * close(2) of one descriptor, and fsync(2): block 0 knows everything. A metadata server that counts openers asks
   * block 0 as long as there is one for writing; any other has to be told now.
   */
  *flush(file: OpenFile): Task<void> {
    yield* file.notes.settle();
    if (!file.unreported || this.#meta.shared) return;
    const report = reportOf(file);
    file.unreported = false;
    try {
      if (report !== undefined) yield* wait(this.#meta.reportData(file.inode, report));
    } catch (error) {
      file.unreported = true;
      throw error;
    }
  }

  /** The mount is gone: nothing is open any more. Throws what the first of them failed with, after all. */
  *closeAll(): Task<void> {
    let failure: { error: unknown } | undefined;
    for (const file of [...this.handles.files()]) {
      try {
        yield* file.notes.settle();
        const report = file.unreported ? reportOf(file) : undefined;
        yield* wait(this.#meta.closeInode(file.inode, 'none', report));
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  // Attributes

  /**
   * Block 0's attributes of a regular file, if there is a block 0; undefined where the record has all there is to know.
   */
  *attributesOf(record: InodeRecord): Task<DataAttributes | undefined> {
    const file = this.handles.openFile(record.inode);
    if (file?.notes.pending === true) yield* file.notes.pause();
    if (!record.unsettled) return undefined;
    const inner = yield* this.#readInnerIfThere(record);
    if (file !== undefined && inner !== undefined) this.#learn(file, inner);
    return inner;
  }

  /** Whether a regular file has a block 0. */
  *hasBlock0(record: InodeRecord): Task<boolean> {
    const file = this.handles.openFile(record.inode);
    if (file?.notes.pending === true) yield* file.notes.pause();
    if (file?.born === true) return true;
    if (!record.unsettled) return !record.unborn;
    return (yield* wait(this.#blocks.readInner(record))) !== undefined;
  }

  /** A lost block 0 must not keep its file from being seen and removed: the record knows what was reported last. */
  *#readInnerIfThere(record: InodeRecord): Task<DataAttributes | undefined> {
    try {
      return yield* wait(this.#blocks.readInner(record));
    } catch (error) {
      if (error instanceof FsError && error.errno === Errno.EIO) return undefined;
      throw error;
    }
  }

  /** {@link attributesOf} for many at once. */
  *attributesOfAll(records: readonly InodeRecord[]): Task<Map<InodeId, DataAttributes>> {
    for (const { inode } of records) {
      const file = this.handles.openFile(inode);
      if (file?.notes.pending === true) yield* file.notes.pause();
    }
    const unsettled = records.filter((record) => record.unsettled);
    if (unsettled.length === 0) return new Map();
    const found = yield* wait(this.#blocks.readInners(unsettled));
    const attributes = new Map<InodeId, DataAttributes>();
    for (const [index, { inode }] of unsettled.entries()) {
      const inner = found[index];
      if (inner !== undefined && !(inner instanceof FsError)) attributes.set(inode, inner);
    }
    return attributes;
  }

  /** Sets times in block 0; the dataset must have one. */
  *setTimes(record: InodeRecord, times: Parameters<BlockStore['setTimes']>[1]): Task<void> {
    const file = this.handles.openFile(record.inode);
    if (file !== undefined) yield* file.notes.pause();
    const inner = yield* wait(this.#blocks.setTimes(record, times));
    if (file === undefined) {
      yield* wait(this.#meta.reportData(record.inode, inner));
      return;
    }
    this.#learn(file, inner);
    file.unreported = true;
    // Nobody will close it for writing.
    if (file.registered !== 'write') yield* this.#reportNow(file);
  }

  *#reportNow(file: OpenFile): Task<void> {
    const report = reportOf(file);
    file.unreported = false;
    if (report !== undefined) yield* wait(this.#meta.reportData(file.inode, report));
  }

  // Data

  /** At most `length` bytes at `offset`; fewer only at the end of the file. EIO where a block is lost. */
  *read(file: OpenFile, range: { offset: number; length: number }): Task<BlockData> {
    const end = range.offset + range.length;
    if (file.known === undefined || (end > file.known.sizeBytes && file.record.unsettled)) {
      yield* this.refresh(file);
    }
    this.touchAtime(file);
    return yield* this.withFreshViews([file], () => this.#readWithin(file, range));
  }

  /** The size as far as this mount can know it: what it has written itself counts. */
  *sizeOf(file: OpenFile): Task<number> {
    if (file.known === undefined || file.record.unsettled) yield* this.refresh(file);
    return file.known?.sizeBytes ?? 0;
  }

  *#readWithin(file: OpenFile, range: { offset: number; length: number }): Task<BlockData> {
    const length = Math.min(range.length, (file.known?.sizeBytes ?? 0) - range.offset);
    if (length <= 0) return NOTHING_READ;
    return yield* readRange(this.#blocks, file.view, { offset: range.offset, length });
  }

  /** A read moves the access time, without waiting for it. */
  touchAtime(file: OpenFile): void {
    const { known } = file;
    if (known === undefined || !file.born || this.#atimePolicy === 'noatime') return;
    const now = this.#clock.now();
    if (!atimeIsDue(this.#atimePolicy, known, now)) return;
    file.known = { ...known, atime: now };
    this.#background('moving an access time', () => {
      const touched = this.#blocks.touchAtime(file.record, now);
      return this.#meta.shared ? bothOf(touched, this.#meta.touchAtime(file.inode, now)) : touched;
    });
  }

  /** Returns how many bytes were stored: all, or fewer when the store is full. ENOSPC, EFBIG. */
  *write(file: OpenFile, request: WriteRequest): Task<number> {
    if (request.payload.bytes.length === 0) return 0;
    const write = request.append ? this.#append(file, request.payload) : this.#store(file, request);
    return yield* this.#meta.shared ? file.writes.during(write) : write;
  }

  *#store(file: OpenFile, request: { offset: number; payload: Payload }): Task<number> {
    const { offset, payload } = request;
    if (offset + payload.bytes.length > MAX_FILE_BYTES) throw new FsError('EFBIG');
    if (!this.#meta.shared) yield* this.bear(file);
    const tally = { storedDelta: 0 };
    let stored = 0;
    try {
      stored = yield* this.withFreshViews([file], () =>
        writeBlocks(this.#blocks, file.view, request, tally),
      );
    } finally {
      if (stored > 0) this.changed(file, offset + stored, tally);
      else if (tally.storedDelta !== 0) this.changed(file, 0, tally);
      const left = payload.bytes.length - stored;
      const stores = { data: this, blocks: this.#blocks };
      if (left > 0) yield* dropLeftovers(stores, file, { offset: offset + stored, length: left });
    }
    return stored;
  }

  /**
   * Makes block 0 where the data to come may take its room. With servers elsewhere that would be one trip more, and the
   * next flush tells that there was none.
   */
  *bear(file: OpenFile): Task<void> {
    const seed = this.#seedFor(file);
    if (seed === undefined) return;
    this.#learn(file, yield* wait(this.#blocks.createInner(file.record, seed)));
    file.unreported = true;
  }

  *#append(file: OpenFile, payload: Payload): Task<number> {
    const wanted = payload.bytes.length;
    const seed = this.#seedFor(file);
    const { offset } = yield* waitToTheEnd(this.#blocks.reserveAppend(file.record, wanted, seed));
    file.born = true;
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
    yield* file.notes.pause();
    yield* this.#cut(file, { sizeBytes: from, onlyIfSizeBytes: to });
  }

  /** Data has changed: its end is now at `endBytes` or behind. Block 0 hears of it, and nobody waits for that. */
  changed(file: OpenFile, endBytes: number, { storedDelta }: Readonly<Tally>): void {
    file.unreported = true;
    const known = file.known ?? attributesIn(file.record);
    if (known.sizeBytes < endBytes) file.known = { ...known, sizeBytes: endBytes };
    file.notes.add({ endBytes, storedDelta });
  }

  /** Tells block 0 of a write; the first one makes it. */
  #sendNote(file: OpenFile, note: { endBytes: number; storedDelta: number }): MaybePromise<void> {
    const told = this.#blocks.noteWrite(file.record, note, this.#seedFor(file));
    const learn = (inner: DataAttributes): void => {
      this.#learn(file, inner);
      this.#pages.changedHere(file.inode, inner.dataVersion);
    };
    if (isPromiseLike(told)) return told.then(learn);
    learn(told);
  }

  /** What block 0 is made of if there is none. */
  #seedFor(file: OpenFile): InnerSeed | undefined {
    return file.born ? undefined : { stat: mergeStat(file.record, undefined) };
  }

  /** ftruncate(2) of an open file. Shrinking and growing again reads as zeros. EFBIG, EIO. */
  *truncate(file: OpenFile, sizeBytes: number): Task<void> {
    if (sizeBytes > MAX_FILE_BYTES) throw new FsError('EFBIG');
    yield* file.notes.pause();
    yield* file.writes.during(this.#cut(file, { sizeBytes }));
    file.unreported = true;
  }

  /** Cuts, and waits until no server has anything of what was cut off. */
  *#cut(file: OpenFile, truncation: { sizeBytes: number; onlyIfSizeBytes?: number }): Task<void> {
    let confirmedGeneration = 0;
    for (let attempt = 1; ; attempt++) {
      try {
        const inner = yield* waitToTheEnd(
          this.#blocks.truncate(
            file.record,
            { ...truncation, confirmedGeneration },
            this.#seedFor(file),
          ),
        );
        yield* this.#discard(file, inner);
        return;
      } catch (error) {
        if (!(error instanceof UnconfirmedTruncationError)) throw error;
        if (attempt > MAX_UNCONFIRMED) throw new FsError('EIO', error.message, { cause: error });
        // Whoever truncated last may have died before all servers had heard of it.
        yield* this.#discard(file, error.attributes);
        confirmedGeneration = error.attributes.generation;
      }
    }
  }

  /** Also where this mount has heard of the truncation before: that does not mean that all servers have. */
  *#discard(file: OpenFile, inner: DataAttributes): Task<void> {
    file.born = true;
    file.view = viewOf(file.record, inner);
    file.known = inner;
    this.#pages.changedHere(file.inode, inner.dataVersion);
    // Whoever has truncated since has seen to it that this one was carried out before: then that one is as good.
    const { storedDelta } = yield* this.withFreshViews([file], () =>
      waitToTheEnd(this.#blocks.discard(file.view)),
    );
    if (storedDelta !== 0) file.notes.add({ endBytes: 0, storedDelta });
    this.#background('confirming a truncation', () =>
      this.#blocks.confirmTruncation(file.record, inner.generation),
    );
  }

  /** Learns what block 0 says now. EIO if it is lost. */
  *refresh(file: OpenFile): Task<void> {
    const inner = yield* wait(this.#blocks.readInner(file.record));
    if (inner !== undefined) this.#learn(file, inner);
    else if (file.born) throw new FsError('EIO', `block 0 of inode ${file.inode} is lost`);
  }

  /**
   * Waits until all that was written here has arrived, and block 0 has heard of it; failures are left to fsync(2) and
   * close(2).
   */
  *pauseWrites(inode: InodeId): Task<void> {
    const file = this.handles.openFile(inode);
    if (file === undefined) return;
    yield* file.writes.ended();
    yield* file.notes.pause();
  }

  /**
   * A lock of an open file was granted: what others have written under theirs is seen from now on. Remembers the version
   * only when the pages are gone, so that others who ask meanwhile drop them, too.
   */
  *revalidate(inode: InodeId): Task<void> {
    const file = this.handles.openFile(inode);
    if (file === undefined) return;
    yield* file.notes.pause();
    yield* this.refresh(file);
    const version = file.known?.dataVersion ?? 0;
    if (this.#pages.areOf(inode, version)) return;
    yield* wait(this.#dropPages(inode));
    this.#pages.dropped(inode, version);
  }

  /** Runs `operation` again, with what block 0 says now, as long as truncations overtake it. */
  *withFreshViews<T>(files: readonly OpenFile[], operation: () => Task<T>): Task<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return yield* operation();
      } catch (error) {
        if (!(error instanceof StaleGenerationError)) throw error;
        if (attempt > MAX_STALE_RETRIES) throw new FsError('EIO', error.message, { cause: error });
      }
      for (const file of files) yield* this.refresh(file);
    }
  }
}

function bothOf(one: MaybePromise<void>, two: MaybePromise<void>): MaybePromise<void> {
  return Promise.all([one, two]).then(() => undefined);
}
