/** utimensat(2) as C programs call it, with whole nanoseconds, UTIME_NOW and UTIME_OMIT. */
import koffi from 'koffi';
import { checked } from './libc.ts';

const utimensatFn = koffi.load(null).func('int utimensat(int, const char *, const void *, int)');

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

export type TimeSetting = 'now' | 'omit' | { seconds: bigint; nanoseconds: bigint };

const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;

/** Sets access and modification time of `path` itself, also of a symlink. */
export function setTimes(path: string, atime: TimeSetting, mtime: TimeSetting): void {
  const specs = Buffer.alloc(32);
  for (const [index, time] of [atime, mtime].entries()) {
    const [seconds, nanoseconds] =
      time === 'now'
        ? [0n, UTIME_NOW]
        : time === 'omit'
          ? [0n, UTIME_OMIT]
          : [time.seconds, time.nanoseconds];
    specs.writeBigInt64LE(seconds, index * 16);
    specs.writeBigInt64LE(nanoseconds, index * 16 + 8);
  }
  checked('utimensat', utimensatFn(AT_FDCWD, path, specs, AT_SYMLINK_NOFOLLOW));
}
