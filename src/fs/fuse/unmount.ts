/**
 * Taking mounts away, for the daemon and for the separate unmount program: umount2(2) with CAP_SYS_ADMIN, otherwise
 * fusermount. Only the topmost mount of a path is ever touched, and only if it is ours.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { Errno, FsError } from '../../errno.ts';
import type { UnmountMode } from '../engine.ts';
import { displayPath, findMount, isImssMount, readMountTable } from '../mount-table.ts';
import { findFusermount, unmountByFusermount } from './fusermount.ts';
import {
  MountError,
  missingFusermount,
  unmountCallError,
  unmountCapabilityError,
  type Privilege,
} from './mount-error.ts';
import { UnmountFlag, umountInChild } from './syscall.ts';

const CAP_SYS_ADMIN = 21;

/** Whether `status`, the text of /proc/<pid>/status, has CAP_SYS_ADMIN among the effective capabilities. */
export function hasSysAdmin(status: string): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (mask === undefined) return false;
  return ((Number.parseInt(mask.slice(-8), 16) >>> CAP_SYS_ADMIN) & 1) === 1;
}

/** Who this process is, for mounting. */
export async function ownPrivilege(): Promise<Privilege> {
  const status = await readFile('/proc/self/status', 'latin1');
  return { uid: process.geteuid?.() ?? 0, mayMount: hasSysAdmin(status) };
}

/**
 * Ends the FUSE connection with this number (mountinfo's minor) from outside, even if its daemon hangs. Returns
 * false when that is not possible: no fusectl on /sys/fs/fuse/connections, another user's mount, or no such one.
 */
export async function abortConnection(minor: number): Promise<boolean> {
  try {
    await writeFile(`/sys/fs/fuse/connections/${minor}/abort`, '1');
    return true;
  } catch {
    return false;
  }
}

async function unmountAsRoot(path: Buffer, mode: UnmountMode): Promise<void> {
  const how = { plain: 0, lazy: UnmountFlag.DETACH, force: UnmountFlag.FORCE }[mode];
  const errno = await umountInChild(path, UnmountFlag.NOFOLLOW | how);
  if (errno === 0) return;
  if (errno === Errno.EBUSY) throw new FsError('EBUSY', `${displayPath(path)} is in use`);
  throw unmountCallError(errno, displayPath(path));
}

async function unmountAsUser(path: Buffer, mode: UnmountMode, minor: number): Promise<void> {
  const program = await findFusermount();
  if (program === undefined) throw missingFusermount();
  // fusermount cannot force; ending the connection first is what MNT_FORCE does (fuse_umount_begin()).
  if (mode === 'force') await abortConnection(minor);
  await unmountByFusermount(program, path, mode === 'lazy');
}

/**
 * Unmounts the imssfs at exactly `path` (absolute, without symlinks); resolves at once when there is none. Never
 * looks into the mount. Rejects with FsError EBUSY when it is in use, with {@link MountError} otherwise. A plain
 * unmount waits until dirty pages are written, so the daemon must go on serving meanwhile.
 */
export async function unmountPath(path: Buffer, mode: UnmountMode): Promise<void> {
  const entries = await readMountTable();
  const entry = findMount(entries, path);
  if (entry === undefined) return;
  if (!isImssMount(entry)) {
    if (!entries.some((other) => isImssMount(other) && other.mountPoint.equals(path))) return;
    throw new FsError('EBUSY', `another file system (${entry.type}) covers ${displayPath(path)}`);
  }
  const { mayMount, uid } = await ownPrivilege();
  if (!mayMount && uid === 0) throw unmountCapabilityError(displayPath(path));
  try {
    if (mayMount) await unmountAsRoot(path, mode);
    else await unmountAsUser(path, mode, entry.minor);
  } catch (error) {
    if (!(error instanceof FsError || error instanceof MountError)) throw error;
    const now = await readMountTable();
    if (now.some(({ id }) => id === entry.id)) throw error;
    // Somebody else was faster.
  }
}
