/**
 * Brings up the kernel's side of a mount: /dev/fuse and mount(2) with CAP_SYS_ADMIN, fusermount without. Either a
 * working descriptor comes back or nothing stays mounted.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { access, realpath, stat, writeFile } from 'node:fs/promises';
import type { MountRequest, UnmountMode } from '../engine.ts';
import {
  MOUNT_TYPE,
  displayPath,
  findConnection,
  findMount,
  readMountTable,
} from '../mount-table.ts';
import { findFusermount, mountByFusermount } from './fusermount.ts';
import { cString, libc } from './libc.ts';
import {
  MountError,
  deviceOpenError,
  missingCapability,
  missingFusermount,
  mountCallError,
  mountPointError,
  type Privilege,
} from './mount-error.ts';
import { fusermountOptions, mountData, mountFlags } from './mount-options.ts';
import { ownPrivilege, unmountPath } from './unmount.ts';

/** Largest read that the kernel may ask for: 256 pages, the most that FUSE_MAX_PAGES allows by default. */
export const MAX_READ_BYTES = 1024 * 1024;

const DEVICE = '/dev/fuse';

/** A mount whose handshake is still to be answered. */
export interface FuseMount {
  /** Non-blocking and close-on-exec. Belongs to the caller; closing it ends the connection. */
  readonly fd: number;
  /** Where it is, symlinks resolved. */
  readonly mountPoint: Buffer;
  /** The connection's number: /sys/fs/fuse/connections/<minor>, /sys/class/bdi/0:<minor>. */
  readonly minor: number;
  /**
   * Unmounts wherever the mount is now. Resolves also when it is gone already. Rejects with FsError EBUSY when it is
   * in use, otherwise with {@link MountError}. Plain mode needs requests to be served while it waits.
   */
  unmount(mode: UnmountMode): Promise<void>;
}

/** Resolves symlinks while the path is still safe to touch. Rejects with {@link MountError}. */
export async function resolveMountPoint(path: Buffer): Promise<Buffer> {
  try {
    const resolved = await realpath(path, { encoding: 'buffer' });
    if (!(await stat(resolved)).isDirectory()) throw mountPointError('ENOTDIR', displayPath(path));
    return resolved;
  } catch (error) {
    if (error instanceof MountError) throw error;
    const { code = 'EIO' } = error as NodeJS.ErrnoException;
    throw mountPointError(code, displayPath(path), error);
  }
}

function errnoOf(error: unknown): number {
  return -((error as NodeJS.ErrnoException).errno ?? 0);
}

function openDevice(privilege: Privilege): number {
  try {
    // Node adds O_CLOEXEC.
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw deviceOpenError(errnoOf(error), privilege, error);
  }
}

async function mountAsRoot(
  request: MountRequest,
  target: Buffer,
  { privilege, maxReadBytes }: { privilege: Privilege; maxReadBytes: number },
): Promise<number> {
  const flags = mountFlags(request);
  const fd = openDevice(privilege);
  try {
    const gid = process.getegid?.() ?? 0;
    const data = mountData(request, { fd, uid: privilege.uid, gid, maxReadBytes });
    const { result, errno } = await libc().mount({
      source: cString(request.source),
      target: cString(target),
      type: cString(MOUNT_TYPE),
      flags,
      data: cString(data),
    });
    if (result !== 0) throw mountCallError(errno, displayPath(target));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

async function mountAsUser(
  request: MountRequest,
  target: Buffer,
  { privilege, maxReadBytes }: { privilege: Privilege; maxReadBytes: number },
): Promise<number> {
  if (privilege.uid === 0) throw missingCapability();
  const options = fusermountOptions(request, maxReadBytes);
  const program = await findFusermount();
  // fusermount opens the device with the user's rights; its own message does not say who can help.
  const deviceError = await access(DEVICE, constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: unknown) => deviceOpenError(errnoOf(error), privilege, error),
  );
  if (program === undefined) throw missingFusermount(deviceError);
  if (deviceError !== undefined) throw deviceError;
  return mountByFusermount(program, target, options);
}

/** Unmounts the connection wherever it is mounted; see {@link FuseMount.unmount}. */
export async function unmountConnection(minor: number, mode: UnmountMode): Promise<void> {
  const entry = findConnection(await readMountTable(), minor);
  if (entry !== undefined) await unmountPath(entry.mountPoint, mode);
}

/**
 * Mounts. The mount point must exist and its daemon, if it is a mount already, must answer. Rejects with
 * {@link MountError}, or LibcUnavailableError where there is no koffi.
 */
export async function mountFuse(
  request: MountRequest,
  maxReadBytes = MAX_READ_BYTES,
): Promise<FuseMount> {
  libc();
  const mountPoint = await resolveMountPoint(request.mountPoint);
  const privilege = await ownPrivilege();
  const mount = privilege.mayMount ? mountAsRoot : mountAsUser;
  const fd = await mount(request, mountPoint, { privilege, maxReadBytes });
  const entry = findMount(await readMountTable(), mountPoint);
  if (entry?.type !== MOUNT_TYPE) {
    await unmountPath(mountPoint, 'lazy').catch(() => undefined);
    closeSync(fd);
    throw new MountError(
      `${displayPath(mountPoint)} was mounted and is gone: another program unmounts or mounts there; stop it and try again`,
    );
  }
  const { minor } = entry;
  return { fd, mountPoint, minor, unmount: (mode) => unmountConnection(minor, mode) };
}

/**
 * Sets how far the kernel reads ahead, which FUSE_INIT can only lower; to be called after INIT is answered. Returns
 * false where that is not allowed (it takes root, and a writable /sys).
 */
export async function setReadAhead(minor: number, sizeBytes: number): Promise<boolean> {
  try {
    await writeFile(
      `/sys/class/bdi/0:${minor}/read_ahead_kb`,
      String(Math.floor(sizeBytes / 1024)),
    );
    return true;
  } catch {
    return false;
  }
}
