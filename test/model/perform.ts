/** One system call for each operation of a script; the result is text: `ok`, a count, what was read, or an errno. */
import { isOurs, listDirectory, look, showBytes, targetAt, targetOf } from './observe.ts';
import type { Operation, TimeValue } from './operation.ts';
import * as calls from './system-calls.ts';

/** The operations that concern files one by one. */
export type Act = Exclude<Operation, { op: 'tree' | 'umask' | 'forgetNames' | 'chdir' | 'goHome' }>;
export type PathAct = Extract<Act, { path: string }>;
export type DescriptorAct = Exclude<Act, { path: string }>;

/** Open descriptors of this process, by slot. */
export type Slots = Map<number, number>;

/** The descriptor in a slot or, so that few operations come to nothing, else the one that was opened first. */
export function descriptorFor(
  slots: Slots,
  slot: number,
): { slot: number; fd: number } | undefined {
  const fd = slots.get(slot);
  if (fd !== undefined) return { slot, fd };
  const [first] = slots;
  return first === undefined ? undefined : { slot: first[0], fd: first[1] };
}

/** The operation needs a descriptor that is not open: nothing was done. */
export const NO_DESCRIPTOR = 'no descriptor';

const MAX_FILL_BYTES = 4 * 1024 * 1024;
const PATTERN_PERIOD = 251;
const pattern = Buffer.from(
  Uint8Array.from(
    { length: MAX_FILL_BYTES + PATTERN_PERIOD },
    (_, at) => 1 + (at % PATTERN_PERIOD),
  ),
);
const room = Buffer.alloc(MAX_FILL_BYTES);

/** Bytes that are never zero, and that differ by `fill` at every offset. */
function fillOf(fill: number, length: number): Buffer {
  const start = fill % PATTERN_PERIOD;
  return pattern.subarray(start, start + length);
}

function showRead(length: number): string {
  return length < 0 ? calls.showResult(length) : showBytes(room.subarray(0, length));
}

export function actOnPath(
  act: PathAct,
  context: { from: number; slots: Slots; path: (text: string) => Buffer },
): string {
  const { from, slots } = context;
  const path = context.path(act.path);
  const here = calls.AT_FDCWD;
  switch (act.op) {
    case 'open': {
      const fd = calls.openat(from, path, calls.openFlags(act.flags), act.mode);
      if (fd < 0) return calls.showResult(fd);
      const old = slots.get(act.slot);
      if (old !== undefined) calls.close(old);
      slots.set(act.slot, fd);
      return 'ok';
    }
    case 'truncate': {
      const seen = look(targetAt('', here, path, true));
      const same = typeof seen !== 'number' && seen.type === 'file' && seen.sizeBytes === act.size;
      return same ? 'has this size' : calls.showResult(calls.truncate(path, act.size));
    }
    case 'stat':
      // The attributes are what is looked at around every operation.
      return 'ok';
    case 'mkdir':
      return calls.showResult(calls.mkdirat(from, path, act.mode));
    case 'rmdir':
      return calls.showResult(calls.unlinkat(from, path, calls.AT_REMOVEDIR));
    case 'unlink':
      return calls.showResult(calls.unlinkat(from, path, 0));
    case 'rename': {
      const flag = { plain: 0, noreplace: 1, exchange: 2 }[act.flag];
      return calls.showResult(calls.renameat2(from, path, here, context.path(act.to), flag));
    }
    case 'link': {
      const flag = act.follow ? calls.AT_SYMLINK_FOLLOW : 0;
      return calls.showResult(calls.linkat(from, path, here, context.path(act.to), flag));
    }
    case 'symlink':
      return calls.showResult(calls.symlinkat(context.path(act.target), from, path));
    case 'readlink':
      return showRead(calls.readlinkat(from, path, room, 4096));
    case 'mknod': {
      const type = { fifo: 0o010000, file: 0o100000, socket: 0o140000, null: 0o020000 }[act.type];
      // 1:3 is /dev/null.
      const device = act.type === 'null' ? 0x103 : 0;
      return calls.showResult(calls.mknodat(from, path, type | act.mode, device));
    }
    default:
      return actOnAttributes(act, { from, path });
  }
}

type AttributeAct = Extract<
  PathAct,
  {
    op: 'chmod' | 'chown' | 'utimens' | 'access' | `${'set' | 'get' | 'list' | 'remove'}xattr`;
  }
>;

function actOnAttributes(act: AttributeAct, where: { from: number; path: Buffer }): string {
  const { from, path } = where;
  switch (act.op) {
    case 'chmod':
      return calls.showResult(calls.chmod(path, act.mode));
    case 'chown': {
      const flag = act.follow ? 0 : calls.AT_SYMLINK_NOFOLLOW;
      return calls.showResult(calls.fchownat(from, path, act.owner.uid, act.owner.gid, flag));
    }
    case 'utimens': {
      const flag = act.follow ? 0 : calls.AT_SYMLINK_NOFOLLOW;
      return calls.showResult(calls.utimensat(from, path, timesOf(act), flag));
    }
    case 'access':
      return calls.showResult(calls.access(path, act.mask));
    case 'setxattr': {
      const call = act.follow ? calls.setxattr : calls.lsetxattr;
      const mode = { either: 0, create: 1, replace: 2 }[act.mode];
      const value = fillOf(act.fill, act.length);
      return calls.showResult(call(path, calls.cString(act.name), value, act.length, mode));
    }
    case 'getxattr': {
      const call = act.follow ? calls.getxattr : calls.lgetxattr;
      const length = call(path, calls.cString(act.name), room, act.room);
      return act.room === 0 ? calls.showResult(length) : showRead(length);
    }
    case 'listxattr': {
      const call = act.follow ? calls.listxattr : calls.llistxattr;
      const length = call(path, room, act.room);
      if (length < 0 || act.room === 0) return calls.showResult(length);
      return room.toString('latin1', 0, length).split('\0').filter(isOurs).sort().join(' ');
    }
    case 'removexattr': {
      const call = act.follow ? calls.removexattr : calls.lremovexattr;
      return calls.showResult(call(path, calls.cString(act.name)));
    }
  }
}

export function actOnDescriptor(act: DescriptorAct, slots: Slots): string {
  const open = descriptorFor(slots, act.slot);
  if (open === undefined) return NO_DESCRIPTOR;
  const { fd } = open;
  switch (act.op) {
    case 'close':
      slots.delete(open.slot);
      return calls.showResult(calls.close(fd));
    case 'read':
      return showRead(calls.read(fd, room, act.length));
    case 'pread':
      return showRead(calls.pread(fd, room, act.length, act.offset));
    case 'write':
      return calls.showResult(calls.write(fd, fillOf(act.fill, act.length), act.length));
    case 'pwrite': {
      const bytes = fillOf(act.fill, act.length);
      return calls.showResult(calls.pwrite(fd, bytes, act.length, act.offset));
    }
    case 'mapWrite':
      return withMappedRange(fd, act, true, (bytes) => {
        fillOf(act.fill, bytes.length).copy(bytes);
      });
    case 'mapRead': {
      let shown = '';
      const result = withMappedRange(fd, act, false, (bytes) => {
        shown = showBytes(bytes);
      });
      return result === 'ok' ? shown : result;
    }
    case 'seek': {
      const whence = { set: 0, current: 1, end: 2 }[act.whence];
      // Where in a directory one stands is its file system's affair.
      const seen = look(targetOf('', fd));
      if (typeof seen !== 'number' && seen.type === 'dir') return 'a directory';
      return calls.showResult(calls.lseek(fd, act.offset, whence));
    }
    case 'ftruncate':
      return calls.showResult(calls.ftruncate(fd, act.size));
    case 'fsync':
      return calls.showResult(calls.fsync(fd));
    case 'fstat':
      return 'ok';
    case 'list': {
      const entries = listDirectory(fd);
      if (typeof entries === 'number') return calls.showResult(entries);
      return entries.map(({ name, type }) => `${name}:${type}`).join(' ');
    }
    case 'fchmod':
      return calls.showResult(calls.fchmod(fd, act.mode));
    case 'fchown':
      return calls.showResult(calls.fchown(fd, act.owner.uid, act.owner.gid));
    case 'futimens':
      return calls.showResult(calls.futimens(fd, timesOf(act)));
    case 'fchdir':
      return calls.showResult(calls.fchdir(fd));
    case 'forgetPages':
      calls.fadvise(fd, 0, 0, calls.POSIX_FADV_DONTNEED);
      return 'ok';
  }
}

/** Uses the part of the range that lies within a regular file: touching more would be a SIGBUS. */
function withMappedRange(
  fd: number,
  range: { offset: number; length: number },
  writable: boolean,
  use: (bytes: Buffer) => void,
): string {
  const seen = look(targetOf('', fd));
  if (typeof seen === 'number') return calls.showResult(seen);
  const end = Math.min(seen.sizeBytes, range.offset + range.length);
  if (seen.type !== 'file' || end <= range.offset) return 'nothing to map';
  const result = calls.withMapping(fd, end, writable, (bytes) => {
    use(bytes.subarray(range.offset));
  });
  return calls.showResult(result);
}

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;

function timesOf(times: { atime: TimeValue; mtime: TimeValue }): Buffer {
  const bytes = Buffer.alloc(32);
  [times.atime, times.mtime].forEach(({ seconds, nanoseconds }, index) => {
    const isNumber = typeof seconds === 'number';
    const special = seconds === 'now' ? UTIME_NOW : UTIME_OMIT;
    bytes.writeBigInt64LE(BigInt(isNumber ? seconds : 0), index * 16);
    bytes.writeBigInt64LE(BigInt(isNumber ? nanoseconds : special), index * 16 + 8);
  });
  return bytes;
}
