/**
 * An exclusive lock on a file by flock(2): the kernel drops it with the process, however that ends, and it holds
 * across containers that share the file. Node has no call for it, so libc's is used.
 */
import { fstatSync, readFileSync } from 'node:fs';
import koffi from 'koffi';

/** `sys/file.h`. */
const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = koffi.load(null).func('int flock(int, int)') as (
  fd: number,
  operation: number,
) => number;

/** Locks the open file, or returns false if another holder has it. The lock goes when `fd` is closed. */
export function tryLockFile(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Process that holds the lock of the open file, if this process may know it. */
export function lockHolder(fd: number): number | undefined {
  const { ino } = fstatSync(fd);
  let table: string;
  try {
    table = readFileSync('/proc/locks', 'latin1');
  } catch {
    return undefined;
  }
  // proc_locks(5): "1: FLOCK  ADVISORY  WRITE 708 08:01:2359475 0 EOF"; 0 is a process of another namespace.
  const match = new RegExp(`FLOCK\\s+ADVISORY\\s+WRITE\\s+(\\d+)\\s+\\S+:${ino}\\s`).exec(table);
  const pid = Number(match?.[1] ?? 0);
  return pid > 0 ? pid : undefined;
}
