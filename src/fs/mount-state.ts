/**
 * Whether a mount of imssfs still has its daemon, and the removal of those that have not. Never waits longer than
 * its timeout, whatever state the daemon is in.
 */
import type { EngineEnd } from './engine.ts';
import { findMount, isImssMount, readMountTable } from './mount-table.ts';
import { Errno } from '../errno.ts';
import { statfsInChild } from './fuse/syscall.ts';
import { unmountPath } from './fuse/unmount.ts';

/**
 * `dead`: the daemon is gone, and every access fails with ENOTCONN ("Transport endpoint is not connected").
 * `alive`: it holds the connection, even if it did not answer in time. `none`: no imssfs is on top at that path.
 */
export type MountState = 'none' | 'alive' | 'dead';

const ANSWER_TIMEOUT_MS = 5000;
/** More than anyone piles up, so that a mount that comes back each time cannot keep us here. */
const MAX_STACKED = 64;
const ECONNABORTED = 103;

/** State of the mount at exactly `path` (absolute, without symlinks). */
export async function mountState(path: Buffer, timeoutMs = ANSWER_TIMEOUT_MS): Promise<MountState> {
  const entry = findMount(await readMountTable(), path);
  if (entry === undefined || !isImssMount(entry)) return 'none';
  const errno = await statfsInChild(path, timeoutMs);
  return errno === Errno.ENOTCONN || errno === ECONNABORTED ? 'dead' : 'alive';
}

/** Takes away dead imssfs mounts at `path`, one above the other. Returns how many; rejects as unmountPath does. */
export async function recoverDeadMount(path: Buffer): Promise<number> {
  let removed = 0;
  while (removed < MAX_STACKED && (await mountState(path)) === 'dead') {
    await unmountPath(path, 'lazy');
    removed += 1;
  }
  return removed;
}

const ABORTED =
  'the connection was ended from outside while in use (a forced unmount or an abort); the dead mount is detached';

/** How the mount at `path` ended, whose session is over: a connection that was cut leaves a dead mount, now detached. */
export async function endOfMount(path: Buffer): Promise<EngineEnd> {
  const wasCut = (await recoverDeadMount(path)) > 0;
  return wasCut ? { reason: 'failed', error: new Error(ABORTED) } : { reason: 'unmounted' };
}
