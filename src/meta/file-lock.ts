/**
 * An exclusive lock on a file by flock(2): the kernel drops it with the process, however that ends, and it holds
 * across containers that share the file. Node has no call for it, so libc's is used, or flock(1) where koffi is missing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, fstatSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type koffiModule from 'koffi';

/** `sys/file.h`. */
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Exit code of flock(1) for a lock that another has. */
const HELD_BY_ANOTHER = 1;
const LOCK_TIMEOUT_MS = 10_000;

type Flock = (fd: number, operation: number) => number;

let flock: Flock | undefined;

/** Locks the open file, or returns false if another holder has it. The lock goes when `fd` is closed. */
export function tryLockFile(fd: number): boolean {
  flock ??= libcFlock() ?? flockProgram;
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}

function libcFlock(): Flock | undefined {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof koffiModule;
    return koffi.load(null).func('int flock(int, int)') as Flock;
  } catch {
    return undefined;
  }
}

/** The lock belongs to the open file, which the child shares, and so stays when the child has ended. */
function flockProgram(fd: number): number {
  const { status, error } = spawnSync('flock', ['-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    timeout: LOCK_TIMEOUT_MS,
  });
  if (status === 0 || status === HELD_BY_ANOTHER) return status;
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  throw new Error(
    isMissing
      ? 'the package koffi and the program flock are both missing, so files cannot be locked: run `apt-get install util-linux` as root'
      : `the program flock could not lock a file (${error?.message ?? `status ${String(status)}`}), and the package koffi is missing: run \`npm ci --ignore-scripts\``,
    { cause: error },
  );
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
  // What flock(1) has locked, in the place of an imssfs without koffi, has the number of a process that has ended.
  return pid > 0 && existsSync(`/proc/${pid}`) ? pid : undefined;
}
