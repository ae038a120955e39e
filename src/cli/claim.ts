/**
 * Of several processes that are to mount at one place, one goes on. The claim is made under a lock on the run
 * directory, so that nobody notes themselves between another's look and note.
 */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { displayPath } from '../fs/mount-table.ts';
import { FailureError, errorCode } from './errors.ts';
import type { MountTools } from './mount-tools.ts';
import { type RunState, RunStateFile, listRunStates } from './run-state.ts';

/** A claim takes milliseconds; a process that was stopped in the middle must not stop all others. */
const LOCK_TIMEOUT_MS = 5000;
const LOCK_POLL_MS = 10;

/** What {@link claimMountPoint} works with. */
export interface ClaimContext {
  runDirectory: string;
  tools: Pick<MountTools, 'isMounted'>;
  lockTimeoutMs?: number;
}

/**
 * Notes `own` in the run directory. Rejects with {@link FailureError} when another process mounts there right now,
 * or has done so since the mount point was checked.
 */
export async function claimMountPoint(own: RunState, context: ClaimContext): Promise<RunStateFile> {
  const { runDirectory, tools } = context;
  const shown = displayPath(own.mountPoint);
  const lock = await lockDirectory(runDirectory, context.lockTimeoutMs ?? LOCK_TIMEOUT_MS);
  try {
    const there = listRunStates([runDirectory]).filter(
      (other) => other.pid !== own.pid && other.mountPoint.equals(own.mountPoint),
    );
    const starter = there.find((other) => other.phase === 'starting');
    if (starter !== undefined) {
      throw new FailureError(`pid ${starter.pid} is mounting at ${shown} right now; wait for it`);
    }
    if (await tools.isMounted(own.mountPoint)) {
      throw new FailureError(
        `${shown} is already an imssfs mount; unmount it first with: umount-imss ${shown}`,
      );
    }
    return new RunStateFile(runDirectory, own);
  } finally {
    closeSync(lock);
  }
}

/** Returns the descriptor that holds the lock. */
async function lockDirectory(directory: string, timeoutMs: number): Promise<number> {
  // Loaded here, so that help and errors come without a native module.
  const { tryLockFile } = await import('../meta/file-lock.ts');
  let fd: number;
  try {
    fd = openSync(directory, 'r');
  } catch (error) {
    throw new FailureError(
      `cannot open ${directory} (${errorCode(error) ?? 'error'}); give access there`,
      { cause: error },
    );
  }
  const deadline = performance.now() + timeoutMs;
  while (!tryLockFile(fd)) {
    if (performance.now() >= deadline) {
      closeSync(fd);
      throw new FailureError(
        `another process holds ${directory} since ${timeoutMs / 1000} s; end it, then try again`,
      );
    }
    await sleep(LOCK_POLL_MS);
  }
  return fd;
}
