/**
 * The system calls that a worker makes, as the C library has them: paths are bytes that end in NUL, and a failure
 * is a negative errno, not an exception. Flags and numbers are those of this machine's Linux.
 */
import { constants } from 'node:fs';
import koffi from 'koffi';
import type { OpenFlag } from './operation.ts';

const libc = koffi.load(null);

type Argument = number | Buffer | null;
type Call = (...args: Argument[]) => number;

function bind(signature: string): Call {
  const call = libc.func(signature);
  return (...args) => {
    const result = Number(call(...args));
    return result < 0 ? -koffi.errno() : result;
  };
}

export const openat = bind('int openat(int, const void *, int, unsigned int)');
export const close = bind('int close(int)');
export const read = bind('int64_t read(int, void *, size_t)');
export const pread = bind('int64_t pread(int, void *, size_t, int64_t)');
export const write = bind('int64_t write(int, const void *, size_t)');
export const pwrite = bind('int64_t pwrite(int, const void *, size_t, int64_t)');
export const lseek = bind('int64_t lseek(int, int64_t, int)');
export const ftruncate = bind('int ftruncate(int, int64_t)');
export const truncate = bind('int truncate(const void *, int64_t)');
export const fsync = bind('int fsync(int)');
export const statx = bind('int statx(int, const void *, int, unsigned int, void *)');
export const getdents = bind('int64_t getdents64(int, void *, size_t)');
export const mkdirat = bind('int mkdirat(int, const void *, unsigned int)');
export const unlinkat = bind('int unlinkat(int, const void *, int)');
export const renameat2 = bind('int renameat2(int, const void *, int, const void *, unsigned int)');
export const linkat = bind('int linkat(int, const void *, int, const void *, int)');
export const symlinkat = bind('int symlinkat(const void *, int, const void *)');
export const readlinkat = bind('int64_t readlinkat(int, const void *, void *, size_t)');
export const mknodat = bind('int mknodat(int, const void *, unsigned int, uint64_t)');
export const chmod = bind('int chmod(const void *, unsigned int)');
export const fchmod = bind('int fchmod(int, unsigned int)');
export const fchownat = bind('int fchownat(int, const void *, int, int, int)');
export const fchown = bind('int fchown(int, int, int)');
export const utimensat = bind('int utimensat(int, const void *, const void *, int)');
export const futimens = bind('int futimens(int, const void *)');
export const access = bind('int access(const void *, int)');
export const setxattr = bind('int setxattr(const void *, const void *, const void *, size_t, int)');
export const lsetxattr = bind(
  'int lsetxattr(const void *, const void *, const void *, size_t, int)',
);
export const getxattr = bind('int64_t getxattr(const void *, const void *, void *, size_t)');
export const lgetxattr = bind('int64_t lgetxattr(const void *, const void *, void *, size_t)');
export const listxattr = bind('int64_t listxattr(const void *, void *, size_t)');
export const llistxattr = bind('int64_t llistxattr(const void *, void *, size_t)');
export const removexattr = bind('int removexattr(const void *, const void *)');
export const lremovexattr = bind('int lremovexattr(const void *, const void *)');
export const chdir = bind('int chdir(const void *)');
export const fchdir = bind('int fchdir(int)');
export const chroot = bind('int chroot(const void *)');
export const fadvise = bind('int posix_fadvise(int, int64_t, int64_t, int)');
export const mount = bind(
  'int mount(const void *, const void *, const void *, unsigned long, const void *)',
);

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_BASIC_STATS = 0x7ff;
export const POSIX_FADV_DONTNEED = 4;
export const MS_REMOUNT = 32;
export const S_IFMT = 0o170000;

/** Asked of every open, so that none waits at a FIFO. */
const ALWAYS = constants.O_NONBLOCK | 0o2000000; // and O_CLOEXEC
const O_PATH = 0o10000000;

export function openFlags(flags: readonly OpenFlag[]): number {
  return flags.reduce(
    (bits, flag) => bits | (flag === 'O_PATH' ? O_PATH : constants[flag]),
    ALWAYS,
  );
}

const errnoNames = new Map(Object.entries(koffi.os.errno).map(([name, code]) => [code, name]));

/** `ok` for 0, the number of what was counted, or the name of the errno. */
export function showResult(result: number): string {
  if (result >= 0) return result === 0 ? 'ok' : String(result);
  return errnoNames.get(-result) ?? `errno ${-result}`;
}

/** Bytes for a call that wants a C string. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1');
}

const mmapCall = libc.func('void *mmap(void *, size_t, int, int, int, int64_t)');
const msyncCall = libc.func('int msync(void *, size_t, int)');
const munmapCall = libc.func('int munmap(void *, size_t)');
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MS_SYNC = 4;

/**
 * Maps the first `length` bytes of a file, shared, for the time of `use`; a writable mapping is then synced. The
 * whole range must lie within the file, or touching it kills the process.
 */
export function withMapping(
  fd: number,
  length: number,
  writable: boolean,
  use: (bytes: Buffer) => void,
): number {
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address: unknown = mmapCall(null, length, protection, MAP_SHARED, fd, 0);
  if (BigInt.asIntN(64, koffi.address(address)) === -1n) return -koffi.errno();
  use(Buffer.from(koffi.view(address, length)));
  const synced = writable ? Number(msyncCall(address, length, MS_SYNC)) : 0;
  const errno = synced < 0 ? koffi.errno() : 0;
  munmapCall(address, length);
  return -errno;
}
