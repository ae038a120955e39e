/**
 * POSIX semantics, and only here: what each operation means in terms of the metadata and block stores. Engines
 * translate their protocol into these calls. Operations fail with FsError; anything else is a bug or a lost server.
 */
import type { BlockData, BlockStore, InnerSeed, Payload } from '../blocks/store.ts';
import type { Clock } from '../clock.ts';
import { Errno, FsError } from '../errno.ts';
import { type HandleId, type InodeId, metaServerOf } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { LockOwner } from '../meta/lock-store.ts';
import type {
  AclChange,
  Aloneness,
  EntryName,
  InodeRecord,
  MetaStore,
  NewInode,
  RenameFlags,
  Unlinked,
} from '../meta/store.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { isPromiseLike, runTask, type Task, wait } from '../task.ts';
import {
  type AtimePolicy,
  atimeIsDue,
  mergeStat,
  outerChange,
  requestedTimes,
} from './attributes.ts';
import { mayAccess } from './access.ts';
import { type Background, backgroundWith } from './background.ts';
import { listDirectory } from './directories.ts';
import { answerInfo, infoQuestion, type InfoSource } from './dataset-info.ts';
import { FileData, type WriteRequest } from './file-data.ts';
import { FileLocks } from './file-locks.ts';
import { type FileHandle, inodeOf, type OpenFile } from './handles.ts';
import { InodeReferences } from './inode-references.ts';
import { FileRanges } from './ranges.ts';
import { isDirectory, isRegular } from './record-types.ts';
import { waitToTheEnd } from './settle.ts';
import type {
  Caller,
  DirectorySink,
  Entry,
  FileSystemUsage,
  KnownStat,
  Opened,
  OpenMode,
  SetAttributes,
  UseCounts,
} from './types.ts';
import { fileSystemUsage } from './usage.ts';
import { ExtendedAttributes } from './xattrs.ts';

export interface VfsOptions {
  meta: MetaStore;
  blocks: BlockStore;
  clock: Clock;
  logger: Logger;
  /** The directory that the mount shows as its root. */
  root: InodeId;
  atimePolicy: AtimePolicy;
  /** ACLs are shown and may be changed; what is made inherits them in any case. */
  acl?: boolean;
  /** Block server on this node, or any other, for new files of policy LOCAL. */
  home?: number;
  /** What `imssfs info` calls the block servers, by number. */
  serverNames?: readonly string[];
}

export class Vfs {
  readonly root: InodeId;
  readonly references: InodeReferences;
  readonly xattrs: ExtendedAttributes;
  readonly ranges: FileRanges;
  /** {@link shutdown} has begun: nothing may be asked of it any more. */
  isShutDown = false;
  /** Told of inodes whose mode has changed in an operation that answers no attributes: a write, an open. */
  onModeChanged: ((inode: InodeId) => void) | undefined;
  /** Makes the kernel forget the pages that it has of an inode. */
  onStalePages: ((inode: InodeId) => Promise<void>) | undefined;
  /** Locks that hold between mounts; undefined where the kernel's own are all there can be. */
  readonly locks: FileLocks | undefined;
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #atimePolicy: AtimePolicy;
  readonly #data: FileData;
  readonly #background: Background;
  readonly #home: number | undefined;
  readonly #infoSource: InfoSource;

  constructor(options: VfsOptions) {
    this.root = options.root;
    this.#home = options.home;
    this.#infoSource = {
      blocks: options.blocks,
      serverNames: options.serverNames ?? [],
      metaServerOf: ({ inode }) => metaServerOf(inode),
      isAlone: () => !this.shared || this.lone?.isAlone === true,
    };
    this.#background = backgroundWith(options.logger);
    this.#meta = options.meta;
    this.#blocks = options.blocks;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#atimePolicy = options.atimePolicy;
    const changeAcl = (inode: InodeId, acl: AclChange): Task<KnownStat> =>
      this.setattr(inode, { acl });
    this.xattrs = new ExtendedAttributes({
      ...options,
      openFile: (inode) => this.#data.handles.openFile(inode),
      changeAcl: options.acl === true ? changeAcl : undefined,
    });
    this.#data = new FileData({
      ...options,
      background: this.#background,
      dropPages: (inode) => this.onStalePages?.(inode),
    });
    const { locks } = options.meta;
    this.locks = locks === undefined ? undefined : new FileLocks(locks, this.#data);
    this.ranges = new FileRanges({
      data: this.#data,
      blocks: options.blocks,
      dropPrivileges: (file, bits) => this.#dropPrivileges(file, bits),
      dropPages: (inode) => this.onStalePages?.(inode),
    });
    this.references = new InodeReferences((inode) => {
      this.#reap(inode);
    });
  }

  /** Others may change what this mount sees: the kernel is to ask each time. */
  get shared(): boolean {
    return this.#meta.shared;
  }

  /** Where others may come: whether there are any. */
  get lone(): Aloneness | undefined {
    return this.#meta.lone;
  }

  // Names

  /** ENOENT, ENOTDIR, ENAMETOOLONG. */
  *lookup(parent: InodeId, name: Buffer): Task<Entry> {
    return yield* this.#entry(yield* wait(this.#meta.lookup(parent, name)));
  }

  /** Makes a file and opens it; one that is there already is opened unless `exclusive`. EEXIST. */
  *create(
    entry: EntryName,
    spec: NewInode,
    mode: OpenMode & { exclusive: boolean },
  ): Task<Entry & Opened> {
    const level = mode.write ? 'write' : 'read';
    let record: InodeRecord;
    try {
      record = yield* waitToTheEnd(this.#meta.create(entry, this.#placed(spec), level));
    } catch (error) {
      if (mode.exclusive || !(error instanceof FsError) || error.errno !== Errno.EEXIST)
        throw error;
      const existing = yield* wait(this.#meta.lookup(entry.parent, entry.name));
      const opened = yield* this.open(existing.inode, mode);
      try {
        return { inode: existing.inode, stat: yield* this.getattr(existing.inode), ...opened };
      } catch (failure) {
        yield* this.release(opened.handle);
        throw failure;
      }
    }
    const opened = this.#data.adopt(record, mode.write);
    this.references.addHandle(record.inode);
    return { inode: record.inode, stat: mergeStat(record, undefined), ...opened };
  }

  /** O_TMPFILE: makes and opens a file without a name, which {@link link} may give it one. */
  *createNameless(parent: InodeId, spec: NewInode, mode: OpenMode): Task<Entry & Opened> {
    const level = mode.write ? 'write' : 'read';
    const created = this.#meta.createNameless(parent, this.#placed(spec), level);
    const record = yield* waitToTheEnd(created);
    const opened = this.#data.adopt(record, mode.write);
    this.references.addHandle(record.inode);
    this.references.orphaned(record.inode);
    return { inode: record.inode, stat: mergeStat(record, undefined), ...opened };
  }

  /** mkdir, mknod. EEXIST, ENOTDIR, EMLINK. */
  *make(entry: EntryName, spec: NewInode): Task<Entry> {
    return yield* this.#entry(yield* waitToTheEnd(this.#meta.create(entry, this.#placed(spec))));
  }

  #placed(spec: NewInode): NewInode {
    return this.#home === undefined ? spec : { ...spec, home: this.#home };
  }

  /** The record is whole before block 0 is, which nobody waits for. */
  *symlink(entry: EntryName, target: Buffer, owner: Pick<Caller, 'uid' | 'gid'>): Task<Entry> {
    const { uid, gid } = owner;
    const spec = { mode: FileType.SYMLINK | 0o777, uid, gid, target };
    const record = yield* waitToTheEnd(this.#meta.create(entry, this.#placed(spec)));
    const stat = mergeStat(record, undefined);
    this.#background('writing block 0 of a symlink', () =>
      runTask(this.#bearSymlink(record, { stat, target })),
    );
    return { inode: record.inode, stat };
  }

  /** A full store leaves the target in the record. */
  *#bearSymlink(record: InodeRecord, seed: InnerSeed): Task<void> {
    try {
      yield* wait(this.#blocks.createInner(record, seed));
    } catch (error) {
      if (error instanceof FsError && error.errno === Errno.ENOSPC) return;
      throw error;
    }
    yield* wait(this.#meta.confirmBorn(record.inode));
  }

  /** EINVAL for anything but a symlink. */
  *readlink(inode: InodeId): Task<Buffer> {
    const record = yield* wait(this.#meta.inode(inode));
    if (fileTypeOf(record.mode) !== FileType.SYMLINK) throw new FsError('EINVAL');
    this.#touchOuterAtime(record);
    return record.target ?? (yield* wait(this.#blocks.readTarget(record)));
  }

  *link(inode: InodeId, entry: EntryName): Task<Entry> {
    const record = yield* waitToTheEnd(this.#meta.link(inode, entry));
    this.references.named(inode);
    this.#copyToBlock0(record);
    return yield* this.#entry(record);
  }

  *unlink(entry: EntryName): Task<void> {
    this.#lostName(yield* waitToTheEnd(this.#meta.unlink(entry)));
  }

  *rmdir(entry: EntryName): Task<void> {
    this.#lostName(yield* waitToTheEnd(this.#meta.rmdir(entry)));
  }

  *rename(from: EntryName, to: EntryName, flags: RenameFlags): Task<void> {
    const replaced = yield* waitToTheEnd(this.#meta.rename(from, to, flags));
    if (replaced !== undefined) this.#lostName(replaced);
  }

  #lostName({ record }: Unlinked): void {
    if (record.nlink === 0) this.references.orphaned(record.inode);
    else this.#copyToBlock0(record);
  }

  #reap(inode: InodeId): void {
    const failed = (error: unknown): void => {
      // The metadata store keeps what is to be freed and tries again.
      this.#logger.error({ err: error, inode }, 'freeing a deleted dataset failed for now');
    };
    try {
      const done = this.#meta.reap(inode);
      if (isPromiseLike(done)) done.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }

  // Attributes

  /**
   * Extended attributes, and the questions of `imssfs info`. ENODATA; EOPNOTSUPP outside the namespaces that we keep,
   * EINVAL for a namespace without a name.
   */
  *getxattr(inode: InodeId, name: Buffer): Task<Buffer> {
    const question = infoQuestion(name);
    if (question === undefined) return yield* this.xattrs.get(inode, name);
    const record = yield* wait(this.#meta.inode(inode));
    const stat = yield* this.#stat(record);
    return yield* answerInfo(this.#infoSource, question, { record, stat });
  }

  /** ESTALE for an inode that is gone. */
  *getattr(inode: InodeId): Task<KnownStat> {
    return yield* this.#stat(yield* wait(this.#meta.inode(inode)));
  }

  /** chmod, chown, truncate, utimensat. EISDIR and EINVAL for the size of what is no file, EFBIG, ENOSPC. */
  *setattr(inode: InodeId, change: SetAttributes): Task<KnownStat> {
    const { sizeBytes } = change;
    if (sizeBytes === undefined) {
      return yield* this.#setattrOf(yield* wait(this.#meta.inode(inode)), change, undefined);
    }
    const file = yield* this.#data.acquireForChange(inode);
    let stat: KnownStat;
    try {
      stat = yield* this.#setattrOf(file.record, change, { file, sizeBytes });
    } catch (error) {
      yield* this.#data.leave(file, true);
      throw error;
    }
    yield* this.#data.leave(file, true);
    return stat;
  }

  *#setattrOf(
    record: InodeRecord,
    change: SetAttributes,
    truncation: { file: OpenFile; sizeBytes: number } | undefined,
  ): Task<KnownStat> {
    const times = requestedTimes(change, this.#clock);
    const hasBlock0 =
      isRegular(record) &&
      (truncation?.file.born === true || (yield* this.#data.hasBlock0(record)));
    const outer = outerChange(record, change, hasBlock0 ? undefined : times);
    if (outer !== undefined) {
      record = yield* waitToTheEnd(this.#meta.setAttributes(record.inode, outer));
      this.#copyToBlock0(record);
    }
    if (truncation !== undefined || outer?.uid !== undefined || outer?.gid !== undefined) {
      yield* this.xattrs.dropCapability(record);
    }
    if (truncation !== undefined) {
      const { file, sizeBytes } = truncation;
      if (outer !== undefined) file.record = record;
      yield* this.#data.truncate(file, sizeBytes);
    }
    // After the truncation, which sets times of its own.
    if (times !== undefined && (hasBlock0 || truncation !== undefined)) {
      yield* this.#data.setTimes(record, times);
    }
    if (truncation !== undefined) return mergeStat(record, truncation.file.known);
    return yield* this.#stat(
      times === undefined ? record : yield* wait(this.#meta.inode(record.inode)),
    );
  }

  /** access(2) for mounts whose permissions the kernel does not check. EACCES. */
  *access(caller: Caller, inode: InodeId, mask: number): Task<void> {
    const stat = yield* this.getattr(inode);
    if (!mayAccess(stat, caller, mask)) throw new FsError('EACCES');
  }

  statfs(): Task<FileSystemUsage> {
    return fileSystemUsage(this.#blocks, this.#meta);
  }

  useCounts(): UseCounts {
    const counts = { ...this.#data.handles.useCounts(), ...this.references.useCounts() };
    return this.lone === undefined ? counts : { ...counts, alone: this.lone.isAlone };
  }

  // Files

  /** EISDIR for a directory; special files never reach us. */
  *open(inode: InodeId, mode: OpenMode): Task<Opened> {
    const writes = mode.write || mode.truncate;
    const opened = yield* this.#data.open(inode, writes);
    this.references.addHandle(inode);
    if (!mode.truncate) return opened;
    try {
      const file = this.#data.handles.file(opened.handle);
      if (mode.dropPrivilegeBits === true) yield* this.#dropPrivilegeBits(file.record);
      yield* this.xattrs.dropCapability(file.record);
      yield* this.#data.truncate(file, 0);
    } catch (error) {
      yield* this.release(opened.handle);
      throw error;
    }
    return opened;
  }

  /** Slices of stored data: use them before anything else runs, then release them. EBADF, EIO. */
  *read(handle: HandleId, range: { offset: number; length: number }): Task<BlockData> {
    return yield* this.#data.read(this.#data.handles.file(handle), range);
  }

  /** Returns the bytes stored; ENOSPC only when none were. EBADF, EFBIG. */
  *write(
    handle: HandleId,
    request: WriteRequest & { payload: Payload; dropPrivilegeBits: boolean },
  ): Task<number> {
    const file = this.#data.handles.file(handle);
    if (request.dropPrivilegeBits) {
      const record = yield* wait(this.#meta.inode(file.inode));
      yield* this.#dropPrivilegeBits(record);
      yield* this.xattrs.dropCapability(record);
    } else if (request.append && this.shared && !file.capabilityIsGone && file.born) {
      // Appends bypass the page cache, and there the kernel asks for no capability to be dropped if root writes.
      yield* this.xattrs.dropCapability(file.record);
    }
    file.capabilityIsGone = true;
    return yield* this.#data.write(file, request);
  }

  /** Before a change of data of which the kernel has not said what is to be dropped; `bits` is for who may not keep them. */
  *#dropPrivileges(file: OpenFile, bits: boolean): Task<void> {
    if (bits) yield* this.#dropPrivilegeBits(yield* wait(this.#meta.inode(file.inode)));
    if (!file.capabilityIsGone && file.born) yield* this.xattrs.dropCapability(file.record);
    file.capabilityIsGone = true;
  }

  *#dropPrivilegeBits(record: InodeRecord): Task<void> {
    const change = outerChange(record, { dropPrivilegeBits: true }, undefined);
    if (change === undefined) return;
    this.#copyToBlock0(yield* waitToTheEnd(this.#meta.setAttributes(record.inode, change)));
    this.onModeChanged?.(record.inode);
  }

  /** close(2) of one descriptor, and fsync(2): what is stored becomes visible to other mounts. */
  *flush(handle: HandleId): Task<void> {
    yield* this.#data.flush(this.#data.handles.file(handle));
  }

  /** close(2) of a descriptor by a process that may have fcntl(2) locks of the file, which it loses. */
  *flushAndUnlock(handle: HandleId, owner: LockOwner): Task<void> {
    const { inode } = this.#data.handles.file(handle);
    try {
      yield* this.flush(handle);
    } finally {
      if (this.locks !== undefined) yield* this.locks.closed(inode, owner);
    }
  }

  /** The last descriptor of a handle, of a file or a directory, is closed. */
  *release(handle: HandleId): Task<void> {
    const closed = this.#data.handles.remove(handle);
    try {
      if (closed.kind === 'file') yield* this.#leave(handle, closed);
    } finally {
      this.references.dropHandle(inodeOf(closed));
    }
  }

  *#leave(handle: HandleId, { file, writes }: FileHandle): Task<void> {
    try {
      yield* this.#data.leave(file, writes);
    } finally {
      if (this.locks !== undefined) yield* this.locks.released(handle, file.inode);
    }
  }

  // Directories

  *opendir(inode: InodeId): Task<HandleId> {
    const record = yield* wait(this.#meta.inode(inode));
    if (!isDirectory(record)) throw new FsError('ENOTDIR');
    this.references.addHandle(inode);
    return this.#data.handles.addDirectory(inode);
  }

  /**
   * Entries from `offset` on, until the sink is full. Offset 0 is the beginning and takes note of the newest
   * entry, where the listing will end; other offsets are those that the sink was given.
   */
  *readdir(
    handle: HandleId,
    page: { offset: number; expectedEntries: number; withAttributes: boolean },
    sink: DirectorySink,
  ): Task<void> {
    const directory = this.#data.handles.directory(handle);
    if (page.offset === 0) directory.upTo = undefined;
    const stats = page.withAttributes
      ? (records: readonly InodeRecord[]): Task<Map<InodeId, KnownStat>> => this.#statsOf(records)
      : undefined;
    const listing = { meta: this.#meta, directory, root: this.root, stats };
    const record = yield* listDirectory(listing, page, sink);
    if (page.offset === 0 && record !== undefined) this.#touchOuterAtime(record);
  }

  *#statsOf(records: readonly InodeRecord[]): Task<Map<InodeId, KnownStat>> {
    const inners = yield* this.#data.attributesOfAll(records);
    return new Map(
      records.map((record) => [record.inode, mergeStat(record, inners.get(record.inode))]),
    );
  }

  /** The mount is gone: every open file reports, every orphan is reaped. */
  *shutdown(): Task<void> {
    this.isShutDown = true;
    try {
      yield* this.#data.closeAll();
    } catch (error) {
      this.#logger.error({ err: error }, 'the last report of a file failed');
    }
    this.references.forgetAll();
  }

  // Shared steps

  *#entry(record: InodeRecord): Task<Entry> {
    return { inode: record.inode, stat: yield* this.#stat(record) };
  }

  *#stat(record: InodeRecord): Task<KnownStat> {
    return mergeStat(record, yield* this.#data.attributesOf(record));
  }

  /** Outer attributes have changed: what is known of an open file, and block 0's copy, which nobody waits for. */
  #copyToBlock0(record: InodeRecord): void {
    const file = this.#data.handles.openFile(record.inode);
    if (file !== undefined) file.record = record;
    if (record.unborn && !record.unsettled) return;
    const stat = mergeStat(record, undefined);
    this.#background('copying attributes to block 0', () => this.#blocks.copyStat(record, stat));
  }

  #touchOuterAtime(record: InodeRecord): void {
    if (this.#atimePolicy === 'noatime') return;
    const now = this.#clock.now();
    if (!atimeIsDue(this.#atimePolicy, record, now)) return;
    this.#background('moving an access time', () => this.#meta.touchAtime(record.inode, now));
  }
}
