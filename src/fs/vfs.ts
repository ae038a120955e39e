/**
 * POSIX semantics, and only here: what each operation means in terms of the metadata and block stores. Engines
 * translate their protocol into these calls. Operations fail with FsError; anything else is a bug or a lost server.
 */
import type { BlockStore, Payload } from '../blocks/store.ts';
import type { Clock } from '../clock.ts';
import { Errno, FsError } from '../errno.ts';
import type { HandleId, InodeId } from '../ids.ts';
import type { Logger } from '../log.ts';
import type {
  AttributeChange,
  EntryName,
  InodeRecord,
  MetaStore,
  NewInode,
  RenameFlags,
  Unlinked,
} from '../meta/store.ts';
import { FileType, fileTypeOf, type Stat } from '../stat.ts';
import { isPromiseLike, type Task, wait } from '../task.ts';
import { type AtimePolicy, atimeIsDue, mergeStat, outerChange } from './attributes.ts';
import { mayAccess } from './access.ts';
import { listDirectory } from './directories.ts';
import { FileData, type WriteRequest } from './file-data.ts';
import { InodeReferences } from './inode-references.ts';
import type {
  Caller,
  DirectorySink,
  Entry,
  FileSystemUsage,
  OpenMode,
  SetAttributes,
  UseCounts,
} from './types.ts';
import { ExtendedAttributes } from './xattrs.ts';

/** statfs(2) promises as many further inodes as there are free pages of this size. */
const BYTES_PER_FREE_INODE = 4096;

export interface VfsOptions {
  meta: MetaStore;
  blocks: BlockStore;
  clock: Clock;
  logger: Logger;
  /** The directory that the mount shows as its root. */
  root: InodeId;
  atimePolicy: AtimePolicy;
}

export class Vfs {
  readonly root: InodeId;
  readonly references: InodeReferences;
  readonly xattrs: ExtendedAttributes;
  /** {@link shutdown} has begun: nothing may be asked of it any more. */
  isShutDown = false;
  /** Told of inodes whose mode has changed in an operation that answers no attributes: a write, an open. */
  onModeChanged: ((inode: InodeId) => void) | undefined;
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #atimePolicy: AtimePolicy;
  readonly #data: FileData;

  constructor(options: VfsOptions) {
    this.root = options.root;
    this.#meta = options.meta;
    this.#blocks = options.blocks;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#atimePolicy = options.atimePolicy;
    this.#data = new FileData(options);
    this.xattrs = new ExtendedAttributes(options);
    this.references = new InodeReferences((inode) => {
      this.#reap(inode);
    });
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
  ): Task<Entry & { handle: HandleId }> {
    let record: InodeRecord;
    try {
      record = yield* wait(this.#meta.create(entry, spec));
    } catch (error) {
      if (mode.exclusive || !(error instanceof FsError) || error.errno !== Errno.EEXIST)
        throw error;
      const existing = yield* this.lookup(entry.parent, entry.name);
      const handle = yield* this.open(existing.inode, mode);
      return { inode: existing.inode, stat: yield* this.getattr(existing.inode), handle };
    }
    const handle = yield* this.#openHandle(record);
    return { ...(yield* this.#entry(record)), handle };
  }

  /** mkdir, mknod. EEXIST, ENOTDIR, EMLINK. */
  *make(entry: EntryName, spec: NewInode): Task<Entry> {
    return yield* this.#entry(yield* wait(this.#meta.create(entry, spec)));
  }

  /** The record is whole before block 0 is; a full store leaves the target in the record. */
  *symlink(entry: EntryName, target: Buffer, owner: Pick<Caller, 'uid' | 'gid'>): Task<Entry> {
    const mode = FileType.SYMLINK | 0o777;
    const record = yield* wait(
      this.#meta.create(entry, { mode, uid: owner.uid, gid: owner.gid, target }),
    );
    const stat = mergeStat(record, undefined);
    try {
      yield* wait(this.#blocks.createInner(record.inode, { stat, target }));
    } catch (error) {
      if (error instanceof FsError && error.errno === Errno.ENOSPC)
        return { inode: record.inode, stat };
      throw error;
    }
    yield* wait(this.#meta.confirmBorn(record.inode));
    return { inode: record.inode, stat };
  }

  /** EINVAL for anything but a symlink. */
  *readlink(inode: InodeId): Task<Buffer> {
    const record = yield* wait(this.#meta.inode(inode));
    if (fileTypeOf(record.mode) !== FileType.SYMLINK) throw new FsError('EINVAL');
    yield* this.#touchOuterAtime(record);
    return record.target ?? (yield* wait(this.#blocks.readTarget(inode)));
  }

  *link(inode: InodeId, entry: EntryName): Task<Entry> {
    const record = yield* wait(this.#meta.link(inode, entry));
    return { inode, stat: yield* this.#copyToBlock0(record) };
  }

  *unlink(entry: EntryName): Task<void> {
    yield* this.#lostName(yield* wait(this.#meta.unlink(entry)));
  }

  *rmdir(entry: EntryName): Task<void> {
    yield* this.#lostName(yield* wait(this.#meta.rmdir(entry)));
  }

  *rename(from: EntryName, to: EntryName, flags: RenameFlags): Task<void> {
    const replaced = yield* wait(this.#meta.rename(from, to, flags));
    if (replaced !== undefined) yield* this.#lostName(replaced);
  }

  *#lostName({ record }: Unlinked): Task<void> {
    if (record.nlink === 0) this.references.orphaned(record.inode);
    else yield* this.#copyToBlock0(record);
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

  /** ESTALE for an inode that is gone. */
  *getattr(inode: InodeId): Task<Stat> {
    return yield* this.#stat(yield* wait(this.#meta.inode(inode)));
  }

  /** chmod, chown, truncate, utimensat. EISDIR and EINVAL for the size of what is no file, EFBIG, ENOSPC. */
  *setattr(inode: InodeId, change: SetAttributes): Task<Stat> {
    let record = yield* wait(this.#meta.inode(inode));
    const { sizeBytes } = change;
    if (sizeBytes !== undefined) requireRegular(record);
    const times = this.#resolveTimes(change);
    const hasBlock0 = isRegular(record) && (yield* this.#data.innerOf(record)) !== undefined;
    const outer = outerChange(record, change, hasBlock0 ? undefined : times);
    if (outer !== undefined) {
      record = yield* wait(this.#meta.setAttributes(inode, outer));
      yield* this.#copyToBlock0(record);
    }
    if (sizeBytes !== undefined || outer?.uid !== undefined || outer?.gid !== undefined) {
      yield* this.xattrs.dropCapability(record);
    }
    if (sizeBytes !== undefined) {
      yield* this.#data.truncate(record, sizeBytes);
      record = yield* wait(this.#meta.inode(inode));
    }
    // After the truncation, which sets times of its own.
    if (times !== undefined && (hasBlock0 || sizeBytes !== undefined)) {
      yield* this.#data.setTimes(record, times);
    }
    return yield* this.#stat(record);
  }

  #resolveTimes(change: SetAttributes): Pick<AttributeChange, 'atime' | 'mtime'> | undefined {
    const { atime, mtime } = change;
    if (atime === undefined && mtime === undefined) return undefined;
    const now = this.#clock.now();
    return {
      ...(atime !== undefined && { atime: atime === 'now' ? now : atime }),
      ...(mtime !== undefined && { mtime: mtime === 'now' ? now : mtime }),
    };
  }

  /** access(2) for mounts whose permissions the kernel does not check. EACCES. */
  *access(caller: Caller, inode: InodeId, mask: number): Task<void> {
    const stat = yield* this.getattr(inode);
    if (!mayAccess(stat, caller, mask)) throw new FsError('EACCES');
  }

  *statfs(): Task<FileSystemUsage> {
    const usage = yield* wait(this.#blocks.usage());
    const inodes = yield* wait(this.#meta.inodeCount());
    const freeBytes = Math.max(0, usage.capacityBytes - usage.usedBytes);
    return {
      capacityBytes: usage.capacityBytes,
      freeBytes,
      inodes,
      freeInodes: Math.floor(freeBytes / BYTES_PER_FREE_INODE),
    };
  }

  useCounts(): UseCounts {
    return { ...this.#data.handles.useCounts(), ...this.references.useCounts() };
  }

  // Files

  /** EISDIR for a directory; special files never reach us. */
  *open(inode: InodeId, mode: OpenMode): Task<HandleId> {
    let record = yield* wait(this.#meta.inode(inode));
    requireRegular(record);
    if (mode.truncate) {
      if (mode.dropPrivilegeBits === true) yield* this.#dropPrivilegeBits(record);
      yield* this.xattrs.dropCapability(record);
      yield* this.#data.truncate(record, 0);
      record = yield* wait(this.#meta.inode(inode));
    }
    return yield* this.#openHandle(record);
  }

  *#openHandle(record: InodeRecord): Task<HandleId> {
    const handle = yield* this.#data.open(record);
    this.references.addHandle(record.inode);
    return handle;
  }

  /** Slices of stored data: use them before anything else runs. EBADF, EIO. */
  *read(handle: HandleId, range: { offset: number; length: number }): Task<Buffer[]> {
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
    }
    return yield* this.#data.write(file, request);
  }

  *#dropPrivilegeBits(record: InodeRecord): Task<void> {
    const change = outerChange(record, { dropPrivilegeBits: true }, undefined);
    if (change === undefined) return;
    yield* this.#copyToBlock0(yield* wait(this.#meta.setAttributes(record.inode, change)));
    this.onModeChanged?.(record.inode);
  }

  /** close(2) of one descriptor, and fsync(2): what is stored becomes visible to other mounts. */
  *flush(handle: HandleId): Task<void> {
    yield* this.#data.report(this.#data.handles.file(handle));
  }

  /** The last descriptor of a handle, of a file or a directory, is closed. */
  *release(handle: HandleId): Task<void> {
    const { handles } = this.#data;
    const file = handles.openFile(handles.inodeOf(handle));
    try {
      if (file !== undefined) yield* this.#data.report(file);
    } finally {
      this.references.dropHandle(handles.remove(handle));
    }
  }

  // Directories

  *opendir(inode: InodeId): Task<HandleId> {
    const record = yield* wait(this.#meta.inode(inode));
    if (!isDirectory(record)) throw new FsError('ENOTDIR');
    const upTo = yield* wait(this.#meta.lastSequence(inode));
    this.references.addHandle(inode);
    return this.#data.handles.addDirectory(inode, upTo);
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
    const record = yield* wait(this.#meta.inode(directory.inode));
    if (page.offset === 0) {
      directory.upTo = yield* wait(this.#meta.lastSequence(directory.inode));
      yield* this.#touchOuterAtime(record);
    }
    const stat = page.withAttributes
      ? (inode: InodeId): Task<Stat | undefined> => this.#statIfThere(inode)
      : undefined;
    yield* listDirectory(
      { meta: this.#meta, directory, record, root: this.root, stat },
      page,
      sink,
    );
  }

  *#statIfThere(inode: InodeId): Task<Stat | undefined> {
    try {
      return yield* this.getattr(inode);
    } catch (error) {
      if (error instanceof FsError) return undefined;
      throw error;
    }
  }

  /** The mount is gone: every open file reports, every orphan is reaped. */
  *shutdown(): Task<void> {
    this.isShutDown = true;
    for (const file of this.#data.handles.files()) {
      try {
        yield* this.#data.report(file);
      } catch (error) {
        this.#logger.error({ err: error, inode: file.inode }, 'the last report of a file failed');
      }
    }
    this.references.forgetAll();
  }

  // Shared steps

  *#entry(record: InodeRecord): Task<Entry> {
    return { inode: record.inode, stat: yield* this.#stat(record) };
  }

  *#stat(record: InodeRecord): Task<Stat> {
    return mergeStat(record, yield* this.#data.innerOf(record));
  }

  /** Keeps block 0's copy of the outer attributes true; returns the merged attributes. */
  *#copyToBlock0(record: InodeRecord): Task<Stat> {
    const inner = yield* this.#data.innerOf(record);
    const stat = mergeStat(record, inner);
    if (inner !== undefined) yield* wait(this.#blocks.copyStat(record.inode, stat));
    return stat;
  }

  *#touchOuterAtime(record: InodeRecord): Task<void> {
    if (this.#atimePolicy === 'noatime') return;
    const now = this.#clock.now();
    if (atimeIsDue(this.#atimePolicy, record, now)) {
      yield* wait(this.#meta.touchAtime(record.inode, now));
    }
  }
}

function isRegular(record: InodeRecord): boolean {
  return fileTypeOf(record.mode) === FileType.REGULAR;
}

function isDirectory(record: InodeRecord): boolean {
  return fileTypeOf(record.mode) === FileType.DIRECTORY;
}

function requireRegular(record: InodeRecord): void {
  if (isDirectory(record)) throw new FsError('EISDIR');
  if (!isRegular(record)) throw new FsError('EINVAL');
}
