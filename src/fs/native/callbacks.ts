/**
 * The package's callbacks, as tasks over the same VFS that the kernel engine serves: from paths and small numbers to
 * inodes and handles. Each is run, and answered, by {@link Runner}.
 */
import type { Timespec } from '../../clock.ts';
import { fromMilliseconds } from '../../clock.ts';
import { FsError } from '../../errno.ts';
import type { InodeId } from '../../ids.ts';
import { FileType, PERMISSION_MASK } from '../../stat.ts';
import type { Task } from '../../task.ts';
import type { XattrMode } from '../../blocks/store.ts';
import type { Caller, SetAttributes } from '../types.ts';
import type { Vfs } from '../vfs.ts';
import { packageInode, packageStat, packageStatfs } from './attributes.ts';
import type { Operations, PackageStat, ReaddirDone } from './fuse-native.d.ts';
import { HandleNumbers } from './handle-numbers.ts';
import { resolve, resolveName, toBytes, toText } from './paths.ts';
import { Runner, type RunnerOptions } from './runner.ts';

/** Flags of fcntl.h and sys/xattr.h. */
const O_ACCMODE = 0o3;
const O_RDONLY = 0o0;
const O_TRUNC = 0o1000;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;

/** How uid_t and gid_t say that the owner stays: -1. */
const UNCHANGED = 2 ** 32 - 1;

/** So many entries are taken from the store at a time. */
const LISTING_PAGE = 1024;

export interface CallbackOptions extends RunnerOptions {
  vfs: Vfs;
  /** The one user who gets in: who has mounted. */
  caller: Caller;
}

interface Context {
  readonly vfs: Vfs;
  readonly caller: Caller;
  readonly handles: HandleNumbers;
  readonly runner: Runner;
}

/** All callbacks of one mount. */
export function callbacksFor(options: CallbackOptions): Operations {
  const { vfs, caller } = options;
  const context = { vfs, caller, handles: new HandleNumbers(), runner: new Runner(options) };
  return {
    ...attributeCallbacks(context),
    ...timeAndSizeCallbacks(context),
    ...nameCallbacks(context),
    ...fileCallbacks(context),
    ...listingCallbacks(context),
    ...xattrCallbacks(context),
  };
}

function attributeCallbacks({
  vfs,
  caller,
  handles,
  runner,
}: Context): Pick<Operations, 'getattr' | 'fgetattr' | 'access' | 'statfs' | 'chown' | 'chmod'> {
  function* statAt(path: string): Task<PackageStat> {
    return packageStat((yield* resolve(vfs, path)).stat);
  }
  function* statOf(fd: number): Task<PackageStat> {
    return packageStat(yield* vfs.getattr(handles.get(fd).inode));
  }
  return {
    getattr: (path, done) => {
      runner.fetch(() => `getattr ${quoted(path)}`, statAt(path), done);
    },
    fgetattr: (path, fd, done) => {
      runner.fetch(
        () => `fgetattr ${quoted(path)} ${fd}`,
        fd === 0 ? statAt(path) : statOf(fd),
        done,
      );
    },
    access: (path, mode, done) => {
      function* access(): Task<void> {
        yield* vfs.access(caller, (yield* resolve(vfs, path)).inode, mode);
      }
      runner.perform(() => `access ${quoted(path)} ${mode}`, access(), done);
    },
    statfs: (_path, done) => {
      function* statfs(): Task<ReturnType<typeof packageStatfs>> {
        return packageStatfs(yield* vfs.statfs());
      }
      runner.fetch(() => 'statfs', statfs(), done);
    },
    chown: (path, uid, gid, done) => {
      const change = {
        ...(uid !== UNCHANGED && { uid }),
        ...(gid !== UNCHANGED && { gid }),
      };
      runner.perform(() => `chown ${quoted(path)} ${uid} ${gid}`, setAt(vfs, path, change), done);
    },
    chmod: (path, mode, done) => {
      const change = { permissions: mode & PERMISSION_MASK };
      runner.perform(
        () => `chmod ${quoted(path)} ${mode.toString(8)}`,
        setAt(vfs, path, change),
        done,
      );
    },
  };
}

function timeAndSizeCallbacks({
  vfs,
  handles,
  runner,
}: Context): Pick<Operations, 'truncate' | 'ftruncate' | 'utimens'> {
  return {
    truncate: (path, sizeBytes, done) => {
      runner.perform(
        () => `truncate ${quoted(path)} ${sizeBytes}`,
        setAt(vfs, path, { sizeBytes }),
        done,
      );
    },
    ftruncate: (path, fd, sizeBytes, done) => {
      function* truncate(): Task<void> {
        yield* vfs.setattr(handles.get(fd).inode, { sizeBytes });
      }
      runner.perform(() => `ftruncate ${quoted(path)} ${fd} ${sizeBytes}`, truncate(), done);
    },
    utimens: (path, atimeMs, mtimeMs, done) => {
      const change = { atime: timeOf(atimeMs), mtime: timeOf(mtimeMs) };
      runner.perform(
        () => `utimens ${quoted(path)} ${atimeMs} ${mtimeMs}`,
        setAt(vfs, path, change),
        done,
      );
    },
  };
}

/** A path in a log line. */
function quoted(path: string): string {
  return JSON.stringify(path);
}

/** Whole milliseconds, without the rounding of their fraction. */
function timeOf(ms: number): Timespec {
  return fromMilliseconds(Math.floor(ms));
}

function* setAt(vfs: Vfs, path: string, change: SetAttributes): Task<void> {
  yield* vfs.setattr((yield* resolve(vfs, path)).inode, change);
}

function nameCallbacks({
  vfs,
  caller,
  runner,
}: Context): Pick<
  Operations,
  'mknod' | 'mkdir' | 'unlink' | 'rmdir' | 'rename' | 'link' | 'symlink' | 'readlink'
> {
  const { uid, gid } = caller;
  function* make(path: string, mode: number, rdev: number): Task<void> {
    yield* vfs.make(yield* resolveName(vfs, path), { mode, uid, gid, rdev });
  }
  function* unlink(path: string): Task<void> {
    yield* vfs.unlink(yield* resolveName(vfs, path));
  }
  function* rmdir(path: string): Task<void> {
    yield* vfs.rmdir(yield* resolveName(vfs, path));
  }
  function* rename(from: string, to: string): Task<void> {
    yield* vfs.rename(yield* resolveName(vfs, from), yield* resolveName(vfs, to), {});
  }
  function* link(path: string, newPath: string): Task<void> {
    yield* vfs.link((yield* resolve(vfs, path)).inode, yield* resolveName(vfs, newPath));
  }
  function* symlink(target: string, path: string): Task<void> {
    yield* vfs.symlink(yield* resolveName(vfs, path), toBytes(target), { uid, gid });
  }
  function* readlink(path: string): Task<string> {
    const target = toText(yield* vfs.readlink((yield* resolve(vfs, path)).inode));
    if (target === undefined) throw new FsError('EILSEQ', 'a symlink to what is not UTF-8');
    return target;
  }
  return {
    mknod: (path, mode, dev, done) => {
      runner.perform(
        () => `mknod ${quoted(path)} ${mode.toString(8)}`,
        make(path, mode, dev),
        done,
      );
    },
    mkdir: (path, mode, done) => {
      const fullMode = FileType.DIRECTORY | (mode & PERMISSION_MASK);
      runner.perform(
        () => `mkdir ${quoted(path)} ${mode.toString(8)}`,
        make(path, fullMode, 0),
        done,
      );
    },
    unlink: (path, done) => {
      runner.perform(() => `unlink ${quoted(path)}`, unlink(path), done);
    },
    rmdir: (path, done) => {
      runner.perform(() => `rmdir ${quoted(path)}`, rmdir(path), done);
    },
    rename: (from, to, done) => {
      runner.perform(() => `rename ${quoted(from)} ${quoted(to)}`, rename(from, to), done);
    },
    link: (path, newPath, done) => {
      runner.perform(() => `link ${quoted(path)} ${quoted(newPath)}`, link(path, newPath), done);
    },
    symlink: (target, path, done) => {
      runner.perform(
        () => `symlink ${quoted(target)} ${quoted(path)}`,
        symlink(target, path),
        done,
      );
    },
    readlink: (path, done) => {
      runner.fetch(() => `readlink ${quoted(path)}`, readlink(path), done);
    },
  };
}

function fileCallbacks({
  vfs,
  caller,
  handles,
  runner,
}: Context): Pick<
  Operations,
  'create' | 'open' | 'read' | 'write' | 'flush' | 'fsync' | 'release'
> {
  function* create(path: string, mode: number): Task<number> {
    const { uid, gid } = caller;
    const spec = { mode: FileType.REGULAR | (mode & PERMISSION_MASK), uid, gid };
    // The package does not tell of open(2)'s flags. The kernel creates only what it knows to be missing.
    const how = { write: true, truncate: false, exclusive: false };
    return handles.add(yield* vfs.create(yield* resolveName(vfs, path), spec, how));
  }
  function* open(path: string, flags: number): Task<number> {
    const { inode } = yield* resolve(vfs, path);
    const write = (flags & O_ACCMODE) !== O_RDONLY;
    const { handle } = yield* vfs.open(inode, { write, truncate: (flags & O_TRUNC) !== 0 });
    return handles.add({ handle, inode });
  }
  function* read(fd: number, room: Buffer, offset: number): Task<number> {
    const range = { offset, length: room.length };
    const { slices, release } = yield* vfs.read(handles.get(fd).handle, range);
    let end = 0;
    for (const slice of slices) end += slice.copy(room, end);
    release?.();
    return end;
  }
  function* write(fd: number, bytes: Buffer, offset: number): Task<number> {
    const { handle } = handles.get(fd);
    const payload = { bytes };
    // The kernel has found the end of the file for O_APPEND, and taken set-user-ID bits away by chmod.
    const request = { offset, append: false, payload, dropPrivilegeBits: false };
    return yield* vfs.write(handle, request);
  }
  function* flush(fd: number): Task<void> {
    yield* vfs.flush(handles.get(fd).handle);
  }
  function* release(fd: number): Task<void> {
    yield* vfs.release(handles.remove(fd).handle);
  }
  return {
    create: (path, mode, done) => {
      runner.fetch(() => `create ${quoted(path)} ${mode.toString(8)}`, create(path, mode), done);
    },
    open: (path, flags, done) => {
      runner.fetch(() => `open ${quoted(path)} ${flags.toString(8)}`, open(path, flags), done);
    },
    read: (path, fd, room, length, offset, done) => {
      const task = read(fd, room.subarray(0, length), offset);
      runner.count(() => `read ${quoted(path)} ${fd} ${length} at ${offset}`, task, done);
    },
    write: (path, fd, bytes, length, offset, done) => {
      const task = write(fd, bytes.subarray(0, length), offset);
      runner.count(() => `write ${quoted(path)} ${fd} ${length} at ${offset}`, task, done);
    },
    flush: (path, fd, done) => {
      runner.perform(() => `flush ${quoted(path)} ${fd}`, flush(fd), done);
    },
    fsync: (path, _datasync, fd, done) => {
      runner.perform(() => `fsync ${quoted(path)} ${fd}`, flush(fd), done);
    },
    release: (path, fd, done) => {
      runner.perform(() => `release ${quoted(path)} ${fd}`, release(fd), done);
    },
  };
}

interface Listing {
  names: string[];
  stats: Pick<PackageStat, 'mode' | 'ino'>[];
}

function listingCallbacks({ vfs, runner }: Context): Pick<Operations, 'readdir'> {
  /** The whole directory at once: the package has no way to go on later. Names that are not UTF-8 are left out. */
  function* list(path: string): Task<Listing> {
    const listing: Listing = { names: [], stats: [] };
    const handle = yield* vfs.opendir((yield* resolve(vfs, path)).inode);
    try {
      const page = { offset: 0, expectedEntries: LISTING_PAGE, withAttributes: false };
      yield* vfs.readdir(handle, page, {
        add: ({ name, inode, type }: { name: Buffer; inode: InodeId; type: number }) => {
          const text = toText(name);
          if (text === undefined) return true;
          listing.names.push(text);
          listing.stats.push({ mode: type, ino: packageInode(inode) });
          return true;
        },
      });
    } finally {
      yield* vfs.release(handle);
    }
    return listing;
  }
  return {
    readdir: (path, done: ReaddirDone) => {
      const answer = ({ names, stats }: Listing): void => {
        done(0, names, stats);
      };
      runner.run(() => `readdir ${quoted(path)}`, list(path), { answer, refuse: done });
    },
  };
}

function xattrCallbacks({
  vfs,
  caller,
  runner,
}: Context): Pick<Operations, 'setxattr' | 'getxattr' | 'listxattr' | 'removexattr'> {
  function* set(path: string, name: string, value: Buffer, flags: number): Task<void> {
    const { inode } = yield* resolve(vfs, path);
    yield* vfs.xattrs.set(inode, toBytes(name), value, xattrMode(flags));
  }
  function* get(path: string, name: string): Task<Buffer> {
    return yield* vfs.getxattr((yield* resolve(vfs, path)).inode, toBytes(name));
  }
  function* list(path: string): Task<Buffer> {
    const all = yield* vfs.xattrs.list((yield* resolve(vfs, path)).inode, caller);
    // One that is not UTF-8 could not be asked for.
    const names = all.toString('latin1').split('\0').slice(0, -1);
    const known = names.filter((name) => toText(Buffer.from(name, 'latin1')) !== undefined);
    return Buffer.from(known.map((name) => `${name}\0`).join(''), 'latin1');
  }
  function* remove(path: string, name: string): Task<void> {
    yield* vfs.xattrs.remove((yield* resolve(vfs, path)).inode, toBytes(name));
  }
  return {
    setxattr: (path, name, value, _position, flags, done) => {
      // libfuse takes its memory back when it has the answer; the store may keep the value.
      const task = set(path, name, Buffer.from(value), flags);
      runner.perform(() => `setxattr ${quoted(path)} ${name} ${value.length}`, task, done);
    },
    getxattr: (path, name, _position, done) => {
      runner.fetch(() => `getxattr ${quoted(path)} ${name}`, get(path, name), done);
    },
    listxattr: (path, done) => {
      runner.fetch(() => `listxattr ${quoted(path)}`, list(path), done);
    },
    removexattr: (path, name, done) => {
      runner.perform(() => `removexattr ${quoted(path)} ${name}`, remove(path, name), done);
    },
  };
}

function xattrMode(flags: number): XattrMode {
  if (flags === 0) return 'either';
  if (flags === XATTR_CREATE) return 'create';
  if (flags === XATTR_REPLACE) return 'replace';
  throw new FsError('EINVAL', `setxattr flags ${flags}`);
}
