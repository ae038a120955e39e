/** System calls on descriptors that node:fs does not offer, and the limit on what files may grow to. */
import koffi from 'koffi';
import { checked } from './libc.ts';

const libc = koffi.load(null);

const flockFn = libc.func('int flock(int, int)');
const fcntlFn = libc.func('int fcntl(int, int, ...)');
const preadFn = libc.func('int64_t pread64(int, void *, size_t, int64_t)');
const fgetxattrFn = libc.func('int64_t fgetxattr(int, const char *, void *, size_t)');
const fsetxattrFn = libc.func('int fsetxattr(int, const char *, const void *, size_t, int)');
const flistxattrFn = libc.func('int64_t flistxattr(int, void *, size_t)');
const fremovexattrFn = libc.func('int fremovexattr(int, const char *)');
const fstatfsFn = libc.func('int fstatfs64(int, void *)');
const futimensFn = libc.func('int futimens(int, const void *)');
const getdentsFn = libc.func('int64_t getdents64(int, void *, size_t)');
const syncfsFn = libc.func('int syncfs(int)');
const copyFn = libc.func('int64_t copy_file_range(int, void *, int, void *, size_t, unsigned int)');
const prlimitFn = libc.func('int prlimit64(int, int, const void *, void *)');

/** Larger than any record that is asked for. */
const RECORD_BYTES = 512;
const ATTRIBUTE = 'user.a';

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

export function flock(fd: number, operation: number): void {
  checked('flock', flockFn(fd, operation));
}

export const LockType = { READ: 0, WRITE: 1, UNLOCK: 2 } as const;
export const F_SETLK = 6;
export const F_OFD_SETLK = 37;

export interface LockOrder {
  type: number;
  start?: bigint;
  length?: bigint;
  whence?: number;
  pid?: number;
}

/** fcntl(2) with a struct flock. */
export function fcntlLock(fd: number, command: number, order: LockOrder): void {
  const { type, start = 0n, length = 0n, whence = 0, pid = 0 } = order;
  const flock = Buffer.alloc(32);
  flock.writeInt16LE(type, 0);
  flock.writeInt16LE(whence, 2);
  flock.writeBigInt64LE(start, 8);
  flock.writeBigInt64LE(length, 16);
  flock.writeInt32LE(pid, 24);
  checked('fcntl', fcntlFn(fd, command, 'void *', flock));
}

/** copy_file_range(2) from and to where the descriptors stand. */
export function copyRange(from: number, to: number, length: number, flags = 0): number {
  return checked('copy_file_range', copyFn(from, null, to, null, length, flags));
}

/** Calls that take a descriptor and nothing else that could be wrong, by their names. */
export const DESCRIPTOR_CALLS: Readonly<Record<string, (fd: number) => unknown>> = {
  pread: (fd) => checked('pread', preadFn(fd, Buffer.alloc(1), 1, 0)),
  fgetxattr: (fd) => checked('fgetxattr', fgetxattrFn(fd, ATTRIBUTE, Buffer.alloc(1), 1)),
  fsetxattr: (fd) => checked('fsetxattr', fsetxattrFn(fd, ATTRIBUTE, Buffer.of(1), 1, 0)),
  flistxattr: (fd) => checked('flistxattr', flistxattrFn(fd, null, 0)),
  fremovexattr: (fd) => checked('fremovexattr', fremovexattrFn(fd, ATTRIBUTE)),
  fstatfs: (fd) => checked('fstatfs', fstatfsFn(fd, Buffer.alloc(RECORD_BYTES))),
  futimens: (fd) => checked('futimens', futimensFn(fd, null)),
  getdents: (fd) => checked('getdents64', getdentsFn(fd, Buffer.alloc(RECORD_BYTES), RECORD_BYTES)),
  syncfs: (fd) => checked('syncfs', syncfsFn(fd)),
  flock: (fd) => {
    flock(fd, LOCK_SH);
  },
  fcntl: (fd) => {
    fcntlLock(fd, F_SETLK, { type: LockType.UNLOCK });
  },
};

/** getdents64(2) with so much room. */
export function listInto(fd: number, room: number): number {
  return checked('getdents64', getdentsFn(fd, Buffer.alloc(room), room));
}

const RLIMIT_FSIZE = 1;

/** Runs `body`, which must not wait for anything, while this process may let no file grow beyond `bytes`. */
export function withFileSizeLimit(bytes: number, body: () => void): void {
  const before = Buffer.alloc(16);
  checked('prlimit', prlimitFn(0, RLIMIT_FSIZE, null, before));
  const limited = Buffer.from(before);
  limited.writeBigUInt64LE(BigInt(bytes), 0);
  // The signal that comes with EFBIG ends who does not listen.
  const listener = (): void => undefined;
  process.on('SIGXFSZ', listener);
  checked('prlimit', prlimitFn(0, RLIMIT_FSIZE, limited, null));
  try {
    body();
  } finally {
    checked('prlimit', prlimitFn(0, RLIMIT_FSIZE, before, null));
    process.off('SIGXFSZ', listener);
  }
}
