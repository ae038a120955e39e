/**
 * One handler per FUSE operation: kernel words in, VFS calls, kernel words out. Handlers are tasks; the session
 * runs them, sends what they return and then counts the lookups.
 */
import type { BlockLease, XattrMode } from '../../blocks/store.ts';
import { FsError } from '../../errno.ts';
import type { HandleId } from '../../ids.ts';
import { FileType, PERMISSION_MASK } from '../../stat.ts';
import { type Task, wait } from '../../task.ts';
import type { Entry, Opened, OpenMode, SetAttributes } from '../types.ts';
import {
  FUSE_STATFS_OUT,
  FUSE_WRITE_OUT,
  OpenFlag,
  OpenInFlag,
  type OperationName,
  SetattrValid,
  SetxattrFlag,
  WriteFlag,
} from './abi.ts';
import { NOT_KEPT } from './keeping.ts';
import { readdir, readdirplus } from './listing-operations.ts';
import { LOCK_HANDLERS } from './lock-operations.ts';
import {
  attrReply,
  done,
  entryReply,
  entryValues,
  negativeEntry,
  type OperationContext,
  openReply,
  openValues,
  plain,
  type Reply,
  single,
  toInode,
  xattrReply,
} from './operation-replies.ts';
import { copyFileRange, copyFileRange64, fallocate, lseek } from './range-operations.ts';
import { createReply, dataHeader, dataReply, structReply } from './reply.ts';
import type { Request, RequestHeader, RequestOf } from './request.ts';

/** Open flags of fcntl.h (x86-64 and arm64 agree on these). */
const O_ACCMODE = 0o3;
const O_RDONLY = 0o0;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

/** Flags of renameat2(2) and setxattr(2). */
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

const NAME_MAX_BYTES = 255;
const STATFS_UNIT_BYTES = 4096;

type Handler<R> = (context: OperationContext, request: R, payload: BlockLease) => Task<Reply>;
type Handlers = { readonly [O in OperationName]?: Handler<RequestOf<O>> };

/** The operation as a task that has not begun; undefined for what we do not implement (ENOSYS). */
export function operationFor(
  context: OperationContext,
  request: Request,
  payload: BlockLease,
): Task<Reply> | undefined {
  if (request.op === 'UNKNOWN') return undefined;
  // The table's type pairs each name with its own request.
  const handler = HANDLERS[request.op] as Handler<typeof request> | undefined;
  return handler?.(context, request, payload);
}

/** In requests that make something, the umask is still to be applied (DONT_MASK), or was already, and does no harm again. */
const HANDLERS: Handlers = {
  ...LOCK_HANDLERS,

  *LOOKUP(context, { header, names }) {
    const parent = toInode(context, header.nodeid);
    try {
      return entryReply(context, header, yield* context.vfs.lookup(parent, names[0]));
    } catch (error) {
      if (error instanceof FsError && error.code === 'ENOENT')
        return negativeEntry(context, header);
      throw error;
    }
  },

  *GETATTR(context, { header }) {
    const inode = toInode(context, header.nodeid);
    // What was told before this was asked may have changed since.
    const told = context.fresh.take(header.pid, inode);
    if (told !== undefined) return attrReply({ ...context, keeping: NOT_KEPT }, header, told);
    return attrReply(context, header, yield* context.vfs.getattr(inode));
  },

  *SETATTR(context, { header, input }) {
    const inode = toInode(context, header.nodeid);
    return attrReply(
      context,
      header,
      yield* context.vfs.setattr(inode, requestedAttributes(input)),
    );
  },

  *READLINK(context, { header }) {
    return plain(
      dataReply(header.unique, [yield* context.vfs.readlink(toInode(context, header.nodeid))]),
    );
  },

  *SYMLINK(context, { header, names: [name, target] }) {
    const entry = { parent: toInode(context, header.nodeid), name };
    return entryReply(context, header, yield* context.vfs.symlink(entry, target, header));
  },

  *MKNOD(context, { header, input, names }) {
    const { uid, gid } = header;
    const spec = { mode: input.mode, umask: input.umask, uid, gid, rdev: input.rdev };
    const made = yield* context.vfs.make(
      { parent: toInode(context, header.nodeid), name: names[0] },
      spec,
    );
    return entryReply(context, header, made);
  },

  *MKDIR(context, { header, input, names }) {
    const { uid, gid } = header;
    const mode = FileType.DIRECTORY | (input.mode & PERMISSION_MASK);
    const spec = { mode, umask: input.umask, uid, gid };
    const made = yield* context.vfs.make(
      { parent: toInode(context, header.nodeid), name: names[0] },
      spec,
    );
    return entryReply(context, header, made);
  },

  *UNLINK(context, { header, names }) {
    yield* context.vfs.unlink({ parent: toInode(context, header.nodeid), name: names[0] });
    return done(header);
  },

  *RMDIR(context, { header, names }) {
    yield* context.vfs.rmdir({ parent: toInode(context, header.nodeid), name: names[0] });
    return done(header);
  },

  *RENAME(context, { header, input, names }) {
    return yield* rename(context, header, names, { newdir: input.newdir, flags: 0 });
  },

  *RENAME2(context, { header, input, names }) {
    return yield* rename(context, header, names, input);
  },

  *LINK(context, { header, input, names }) {
    const entry = { parent: toInode(context, header.nodeid), name: names[0] };
    return entryReply(
      context,
      header,
      yield* context.vfs.link(toInode(context, input.oldnodeid), entry),
    );
  },

  *CREATE(context, { header, input, names }) {
    const { uid, gid } = header;
    const entry = { parent: toInode(context, header.nodeid), name: names[0] };
    const permissions = input.mode & PERMISSION_MASK;
    const spec = { mode: FileType.REGULAR | permissions, umask: input.umask, uid, gid };
    const mode = { ...openMode(input), exclusive: (input.flags & O_EXCL) !== 0 };
    const created = yield* context.vfs.create(entry, spec, mode);
    if (context.vfs.shared) context.fresh.remember(header.pid, created);
    return createdReply(context, { header, input }, created);
  },

  *TMPFILE(context, { header, input }) {
    const { uid, gid } = header;
    const mode = FileType.REGULAR | (input.mode & PERMISSION_MASK);
    const spec = { mode, umask: input.umask, uid, gid };
    const parent = toInode(context, header.nodeid);
    const created = yield* context.vfs.createNameless(parent, spec, openMode(input));
    return createdReply(context, { header, input }, created);
  },

  *OPEN(context, { header, input }) {
    const inode = toInode(context, header.nodeid);
    const opened = yield* context.vfs.open(inode, openMode(input));
    return openReply(header, opened, openFlags(context, input, opened));
  },

  *READ(context, { header, input }) {
    const range = { offset: input.offset, length: input.size };
    const data = yield* context.vfs.read(input.fh as HandleId, range);
    const { piped, release } = data;
    if (piped?.pipe === undefined) {
      return { ...plain(dataReply(header.unique, data.slices)), release };
    }
    return { ...plain([dataHeader(header.unique, piped.lengthBytes)]), piped, release };
  },

  *WRITE(context, { header, input, data }, payload) {
    const isWriteBack = (input.write_flags & WriteFlag.CACHE) !== 0;
    const size = yield* context.vfs.write(input.fh as HandleId, {
      offset: input.offset,
      // Taken from this request, never from the handle: pages written back keep their offset.
      append: !isWriteBack && (input.flags & O_APPEND) !== 0,
      payload: { bytes: data, lease: payload },
      dropPrivilegeBits: (input.write_flags & WriteFlag.KILL_SUIDGID) !== 0,
    });
    return single(structReply(header.unique, FUSE_WRITE_OUT, { size }));
  },

  FALLOCATE: fallocate,
  LSEEK: lseek,
  COPY_FILE_RANGE: copyFileRange,
  COPY_FILE_RANGE_64: copyFileRange64,

  *FLUSH(context, { header, input }) {
    const owner = { kind: 'posix', ...input.lock_owner } as const;
    yield* context.vfs.flushAndUnlock(input.fh as HandleId, owner);
    return done(header);
  },

  *FSYNC(context, { header, input }) {
    yield* context.vfs.flush(input.fh as HandleId);
    return done(header);
  },

  *RELEASE(context, { header, input }) {
    yield* context.vfs.release(input.fh as HandleId);
    return done(header);
  },

  *OPENDIR(context, { header }) {
    const handle = yield* context.vfs.opendir(toInode(context, header.nodeid));
    return openReply(header, { handle }, 0);
  },

  READDIR: readdir,
  READDIRPLUS: readdirplus,

  *RELEASEDIR(context, { header, input }) {
    yield* context.vfs.release(input.fh as HandleId);
    return done(header);
  },

  // What an operation changes is stored when it returns.
  FSYNCDIR: acknowledge,
  SYNCFS: acknowledge,
  DESTROY: acknowledge,

  *STATFS(context, { header }) {
    const usage = yield* context.vfs.statfs();
    const free = Math.floor(usage.freeBytes / STATFS_UNIT_BYTES);
    return single(
      structReply(header.unique, FUSE_STATFS_OUT, {
        st: {
          blocks: Math.floor(usage.capacityBytes / STATFS_UNIT_BYTES),
          bfree: free,
          bavail: free,
          files: usage.inodes + usage.freeInodes,
          ffree: usage.freeInodes,
          bsize: STATFS_UNIT_BYTES,
          namelen: NAME_MAX_BYTES,
          frsize: STATFS_UNIT_BYTES,
        },
      }),
    );
  },

  *ACCESS(context, { header, input }) {
    yield* context.vfs.access(header, toInode(context, header.nodeid), input.mask);
    return done(header);
  },

  *GETXATTR(context, { header, input, names }) {
    const value = yield* context.vfs.getxattr(toInode(context, header.nodeid), names[0]);
    return xattrReply(header, value, input.size);
  },

  *LISTXATTR(context, { header, input }) {
    const list = yield* context.vfs.xattrs.list(toInode(context, header.nodeid), header);
    return xattrReply(header, list, input.size);
  },

  *SETXATTR(context, { header, input, names, data }) {
    const inode = toInode(context, header.nodeid);
    const dropSetGid = (input.setxattr_flags & SetxattrFlag.ACL_KILL_SGID) !== 0;
    yield* context.vfs.xattrs.set(inode, names[0], data, xattrMode(input.flags), dropSetGid);
    return done(header);
  },

  *REMOVEXATTR(context, { header, names }) {
    yield* context.vfs.xattrs.remove(toInode(context, header.nodeid), names[0]);
    return done(header);
  },
};

/** What this session answers with something else than ENOSYS. */
export const HANDLED_OPERATIONS = Object.keys(HANDLERS) as readonly OperationName[];

/** A new inode and its handle. */
function createdReply(
  context: OperationContext,
  { header, input }: { header: RequestHeader; input: { flags: number } },
  created: Entry & Opened,
): Reply {
  const how = openFlags(context, input, created);
  const values = entryValues(context, header.nodeid, created);
  const reply = createReply(header.unique, values, openValues(created, how));
  return { parts: [reply], lookups: [created.inode], opened: created.handle };
}

function* rename(
  context: OperationContext,
  header: RequestHeader,
  [oldName, newName]: readonly [Buffer, Buffer],
  input: { newdir: number; flags: number },
): Task<Reply> {
  if ((input.flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) throw new FsError('EINVAL');
  yield* context.vfs.rename(
    { parent: toInode(context, header.nodeid), name: oldName },
    { parent: toInode(context, input.newdir), name: newName },
    {
      noReplace: (input.flags & RENAME_NOREPLACE) !== 0,
      exchange: (input.flags & RENAME_EXCHANGE) !== 0,
    },
  );
  return done(header);
}

function requestedAttributes(input: RequestOf<'SETATTR'>['input']): SetAttributes {
  const { valid } = input;
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const change: SetAttributes = {};
  if (has(SetattrValid.MODE)) change.permissions = input.mode & PERMISSION_MASK;
  if (has(SetattrValid.UID)) change.uid = input.uid;
  if (has(SetattrValid.GID)) change.gid = input.gid;
  if (has(SetattrValid.SIZE)) change.sizeBytes = input.size;
  if (has(SetattrValid.ATIME)) {
    change.atime = has(SetattrValid.ATIME_NOW)
      ? 'now'
      : { seconds: input.atime, nanoseconds: input.atimensec };
  }
  if (has(SetattrValid.MTIME)) {
    change.mtime = has(SetattrValid.MTIME_NOW)
      ? 'now'
      : { seconds: input.mtime, nanoseconds: input.mtimensec };
  }
  if (has(SetattrValid.KILL_SUIDGID)) change.dropPrivilegeBits = true;
  return change;
}

function openMode(input: {
  flags: number;
  open_flags: number;
}): OpenMode & { dropPrivilegeBits: boolean } {
  return {
    write: (input.flags & O_ACCMODE) !== O_RDONLY,
    truncate: (input.flags & O_TRUNC) !== 0,
    dropPrivilegeBits: (input.open_flags & OpenInFlag.KILL_SUIDGID) !== 0,
  };
}

/**
 * What the kernel may do with an open file on its own. A handle that cannot write has nothing to flush, so its close(2)
 * need not ask us, unless we keep locks: FLUSH is what drops fcntl(2)'s. Appends
 * beside those of other mounts must come to us whole, and their end is not where the kernel thinks.
 */
function openFlags(
  { vfs }: OperationContext,
  { flags }: { flags: number },
  { keepsPages }: { keepsPages: boolean },
): number {
  const isReadOnly = (flags & O_ACCMODE) === O_RDONLY;
  const isSharedAppend = vfs.shared && !isReadOnly && (flags & O_APPEND) !== 0;
  return (
    (keepsPages ? OpenFlag.KEEP_CACHE : 0) |
    (isReadOnly && vfs.locks === undefined ? OpenFlag.NOFLUSH : 0) |
    (isSharedAppend ? OpenFlag.DIRECT_IO : 0)
  );
}

function xattrMode(flags: number): XattrMode {
  if (flags === 0) return 'either';
  if (flags === XATTR_CREATE) return 'create';
  if (flags === XATTR_REPLACE) return 'replace';
  throw new FsError('EINVAL', `setxattr flags ${flags}`);
}

function acknowledge(_context: OperationContext, request: { header: RequestHeader }): Task<Reply> {
  return wait(done(request.header));
}
