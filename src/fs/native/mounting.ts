/**
 * Brings a mount up through libfuse: either the kernel's handshake is answered, and it is known which mount and which
 * descriptor are ours, or nothing of ours stays mounted. Mounts of others are never touched.
 */
import { recoverDeadMount } from '../mount-state.ts';
import {
  displayPath,
  findMount,
  isImssMount,
  type MountEntry,
  readMountTable,
} from '../mount-table.ts';
import { unmountConnection } from '../fuse/mount.ts';
import { MountError } from '../fuse/mount-error.ts';
import { abortConnection } from '../fuse/unmount.ts';
import { fuseDescriptors } from './device-descriptor.ts';
import type { Fuse } from './fuse-native.d.ts';
import { LibfuseMessages } from './preparation.ts';

/** How often to look whether libfuse still has its device, and how often before it is given up: ten seconds. */
const HANDSHAKE = { pollMs: 100, polls: 100 };

/** Where the mount is, once it is. */
export interface Place {
  readonly mountPoint: Buffer;
  /** The connection's number, which finds the mount wherever it has been moved. */
  readonly minor: number;
  /** libfuse's /dev/fuse. */
  readonly fd: number;
  /** What libfuse says from now on. */
  readonly messages: LibfuseMessages;
}

/** What there was before. */
interface Before {
  readonly mountIds: ReadonlySet<number>;
  readonly descriptors: ReadonlySet<number>;
}

/** Mounts; rejects with {@link MountError}. */
export async function mountByLibfuse(
  fuse: Pick<Fuse, 'mount'>,
  mountPoint: Buffer,
): Promise<Place> {
  const shown = displayPath(mountPoint);
  const mountIds = new Set((await readMountTable()).map(({ id }) => id));
  const before = { mountIds, descriptors: fuseDescriptors() };
  const messages = new LibfuseMessages();
  try {
    await handshake(fuse, () => newDescriptor(before) !== undefined, shown);
  } catch (error) {
    await removeRemains(mountPoint, before);
    throw error instanceof MountError ? error : messages.explain(shown, error);
  }
  const table = await readMountTable();
  const entry = newMount(table, mountPoint, before);
  const fd = newDescriptor(before);
  // What covers it would be what callers see.
  if (entry === undefined || fd === undefined || findMount(table, mountPoint) !== entry) {
    await removeRemains(mountPoint, before);
    throw goneError(shown);
  }
  return { mountPoint, minor: entry.minor, fd, messages: new LibfuseMessages() };
}

/**
 * Resolves when the kernel's handshake is answered. The package says nothing when libfuse's session ends before, nor
 * when it never comes; so `hasDevice` is asked again and again. Rejects with {@link MountError} then, or with the
 * package's own error.
 */
export async function handshake(
  fuse: Pick<Fuse, 'mount'>,
  hasDevice: () => boolean,
  shown: string,
  { pollMs, polls } = HANDSHAKE,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      let hadDevice = false;
      let left = polls;
      timer = setInterval(() => {
        const isThere = hasDevice();
        left -= 1;
        if (hadDevice && !isThere) reject(goneError(shown));
        else if (left === 0) reject(lateError(shown));
        hadDevice = isThere;
      }, pollMs);
      fuse.mount((error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  } finally {
    clearInterval(timer);
  }
}

function goneError(shown: string): MountError {
  return new MountError(
    `${shown} was mounted and is gone: another program unmounts or mounts there; stop it and try again`,
  );
}

function lateError(shown: string): MountError {
  return new MountError(
    `libfuse has mounted on ${shown} but the kernel's handshake does not come to an end: try again, or use --engine kernel`,
  );
}

function newDescriptor({ descriptors }: Before): number | undefined {
  return [...fuseDescriptors()].find((fd) => !descriptors.has(fd));
}

function newMount(
  table: readonly MountEntry[],
  mountPoint: Buffer,
  { mountIds }: Before,
): MountEntry | undefined {
  return table.findLast(
    (entry) => !mountIds.has(entry.id) && isImssMount(entry) && entry.mountPoint.equals(mountPoint),
  );
}

/** libfuse leaves its mount, and the descriptor, when it fails after mount(2). Without one, only a dead mount is ours. */
async function removeRemains(mountPoint: Buffer, before: Before): Promise<void> {
  const entry = newMount(await readMountTable(), mountPoint, before);
  if (entry === undefined) return;
  try {
    if (newDescriptor(before) === undefined) await recoverDeadMount(mountPoint);
    else await unmountConnection(entry.minor, 'lazy');
  } catch {
    // What covers it keeps it there; nobody is to wait for it, then.
    if (newDescriptor(before) !== undefined) await abortConnection(entry.minor);
  }
}
