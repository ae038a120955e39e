/** System calls that node:fs does not offer, called in the C library of this process. */
import koffi from 'koffi';

const libc = koffi.load(null);

const renameat2Fn = libc.func('int renameat2(int, const char *, int, const char *, unsigned int)');
const lseekFn = libc.func('int64_t lseek64(int, int64_t, int)');
const fallocateFn = libc.func('int fallocate64(int, int, int64_t, int64_t)');
const posixFallocateFn = libc.func('int posix_fallocate64(int, int64_t, int64_t)');
const setxattrFn = libc.func(
  'int lsetxattr(const char *, const char *, const void *, size_t, int)',
);
const getxattrFn = libc.func('int64_t lgetxattr(const char *, const char *, void *, size_t)');
const listxattrFn = libc.func('int64_t llistxattr(const char *, void *, size_t)');
const removexattrFn = libc.func('int lremovexattr(const char *, const char *)');
const mmapFn = libc.func('void *mmap64(void *, size_t, int, int, int, int64_t)');
const msyncFn = libc.func('int msync(void *, size_t, int)');
const munmapFn = libc.func('int munmap(void *, size_t)');
const copyFileRangeFn = libc.func(
  'int64_t copy_file_range(int, _Inout_ int64_t *, int, _Inout_ int64_t *, size_t, unsigned int)',
);
const flockFn = libc.func('int flock(int, int)');
const fcntlFn = libc.func('int fcntl(int, int, ...)');
const linkatFn = libc.func('int linkat(int, const char *, int, const char *, int)');
const symlinkFn = libc.func('int symlink(const void *, const char *)');

const AT_FDCWD = -100;
const errnoNames = new Map(Object.entries(koffi.os.errno).map(([name, code]) => [code, name]));

/** Thrown with the same `code` as an error of node:fs. */
class SystemError extends Error {
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = errnoNames.get(errno) ?? `errno ${errno}`;
    super(`${code}: ${call}`);
    this.code = code;
  }
}

/** The result of a call in the C library; throws what errno says of a negative one. */
export function checked(call: string, result: unknown): number {
  const value = Number(result);
  if (value < 0) throw new SystemError(call, koffi.errno());
  return value;
}

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export function renameat2(from: string, to: string, flags: number): void {
  checked('renameat2', renameat2Fn(AT_FDCWD, from, AT_FDCWD, to, flags));
}

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export function lseek(fd: number, offset: number, whence: number): number {
  return checked('lseek', lseekFn(fd, offset, whence));
}

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE_KEEP_SIZE = 3;
export const FALLOC_FL_COLLAPSE_RANGE = 8;
export const FALLOC_FL_ZERO_RANGE = 16;
export const FALLOC_FL_INSERT_RANGE = 32;
export const FALLOC_FL_UNSHARE_RANGE = 64;

export function fallocate(
  fd: number,
  mode: number,
  range: { offset: number; length: number },
): void {
  checked('fallocate', fallocateFn(fd, mode, range.offset, range.length));
}

/** Returns its errno instead of setting it. */
export function posixFallocate(fd: number, range: { offset: number; length: number }): void {
  const errno = Number(posixFallocateFn(fd, range.offset, range.length));
  if (errno !== 0) throw new SystemError('posix_fallocate', errno);
}

/** Returns how many bytes were copied, which may be fewer than asked for. */
export function copyFileRange(
  from: { fd: number; offset: number },
  to: { fd: number; offset: number },
  length: number,
): number {
  const copied: unknown = copyFileRangeFn(from.fd, [from.offset], to.fd, [to.offset], length, 0);
  return checked('copy_file_range', copied);
}

export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export function flock(fd: number, operation: number): void {
  checked('flock', flockFn(fd, operation));
}

export const F_GETLK = 5;
export const F_SETLK = 6;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

/** `struct flock` of 64-bit Linux. */
const FLOCK_BYTES = 32;

/** fcntl(2) for locks of a process; returns the type of the lock as the call has left it. */
export function recordLock(
  fd: number,
  command: number,
  { type, start, length }: { type: number; start: number; length: number },
): number {
  const flock = Buffer.alloc(FLOCK_BYTES);
  flock.writeInt16LE(type, 0);
  flock.writeBigInt64LE(BigInt(start), 8);
  flock.writeBigInt64LE(BigInt(length), 16);
  checked('fcntl', fcntlFn(fd, command, 'void *', flock));
  return flock.readInt16LE(0);
}

export const O_TMPFILE = 0o20200000;
const AT_SYMLINK_FOLLOW = 0x400;

/** Gives an open file another name, or the first that it has. */
export function linkOpenFile(fd: number, path: string): void {
  const source = `/proc/self/fd/${fd}`;
  checked('linkat', linkatFn(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

/** Symlinks are not followed, here and in the functions below. */
export function setxattr(path: string, name: string, value: Buffer, flags = 0): void {
  checked('setxattr', setxattrFn(path, name, value, value.length, flags));
}

export function getxattr(path: string, name: string, room = 65_536): Buffer {
  const buffer = Buffer.alloc(room);
  return buffer.subarray(0, checked('getxattr', getxattrFn(path, name, buffer, room)));
}

/** The size that `getxattr` and `listxattr` answer when asked with no room. */
export function xattrSize(path: string, name?: string): number {
  const size: unknown =
    name === undefined ? listxattrFn(path, null, 0) : getxattrFn(path, name, null, 0);
  return checked('xattr size', size);
}

export function listxattr(path: string, room = 65_536): string[] {
  const buffer = Buffer.alloc(room);
  const length = checked('listxattr', listxattrFn(path, buffer, room));
  return buffer.toString('latin1', 0, length).split('\0').filter(Boolean).sort();
}

export function removexattr(path: string, name: string): void {
  checked('removexattr', removexattrFn(path, name));
}

/** The target is bytes; Linux symlinks need not hold UTF-8. */
export function symlinkBytes(target: Buffer, path: string): void {
  checked('symlink', symlinkFn(Buffer.concat([target, Buffer.of(0)]), path));
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MS_SYNC = 4;

/** Maps the first `length` bytes shared and writable, for the time of `use`. */
export function withSharedMapping(
  fd: number,
  length: number,
  use: (bytes: Buffer, sync: () => void) => void,
): void {
  const address: unknown = mmapFn(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (BigInt.asIntN(64, koffi.address(address)) === -1n)
    throw new SystemError('mmap', koffi.errno());
  try {
    use(Buffer.from(koffi.view(address, length)), () => {
      checked('msync', msyncFn(address, length, MS_SYNC));
    });
  } finally {
    checked('munmap', munmapFn(address, length));
  }
}
