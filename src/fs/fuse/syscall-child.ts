/**
 * A program, started by {@link file://./syscall.ts}: makes one system call that may wait for a FUSE daemon, and
 * ends with an exit code that tells its errno. Arguments: the operation, the path in hexadecimal, and umount2(2)'s flags.
 */
import { statSync, statfsSync } from 'node:fs';
import { cString, libc } from './libc.ts';
import { CHILD_FAILED, ERRNO_BASE } from './syscall.ts';

/** 0 or the errno of what `call` fails with; undefined for other failures. */
function errnoOf(call: () => unknown): number | undefined {
  try {
    call();
    return 0;
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    return errno === undefined ? undefined : -errno;
  }
}

function umount(path: Buffer, flags: number): number {
  const calls = libc();
  return calls.umount2Sync(cString(path), flags) === 0 ? 0 : calls.errno();
}

const [operation, hexPath = '', flags = '0'] = process.argv.slice(2);
const path = Buffer.from(hexPath, 'hex');
const calls: Record<string, () => number | undefined> = {
  stat: () => errnoOf(() => statSync(path)),
  statfs: () => errnoOf(() => statfsSync(path)),
  umount: () => umount(path, Number(flags)),
};
const errno = calls[operation ?? '']?.();
process.exitCode = errno === undefined ? CHILD_FAILED : errno === 0 ? 0 : ERRNO_BASE + errno;
