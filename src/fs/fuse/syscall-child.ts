/**
 * A program, started by {@link file://./syscall.ts}: makes one system call that may wait for a FUSE daemon, and
 * ends with its errno as exit code. Arguments: the operation, the path in hexadecimal, and umount2(2)'s flags.
 */
import { statSync, statfsSync } from 'node:fs';
import { cString, libc } from './libc.ts';
import { CHILD_FAILED } from './syscall.ts';

/** 0 or the errno of what `call` fails with. */
function errnoOf(call: () => unknown): number {
  try {
    call();
    return 0;
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    return errno === undefined ? CHILD_FAILED : -errno;
  }
}

function umount(path: Buffer, flags: number): number {
  const calls = libc();
  return calls.umount2Sync(cString(path), flags) === 0 ? 0 : calls.errno();
}

const [operation, hexPath = '', flags = '0'] = process.argv.slice(2);
const path = Buffer.from(hexPath, 'hex');
const calls: Record<string, () => number> = {
  stat: () => errnoOf(() => statSync(path)),
  statfs: () => errnoOf(() => statfsSync(path)),
  umount: () => umount(path, Number(flags)),
};
process.exitCode = calls[operation ?? '']?.() ?? CHILD_FAILED;
