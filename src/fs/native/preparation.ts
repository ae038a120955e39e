/**
 * What must hold before libfuse is asked to mount, each with an error that says what to do: libfuse itself writes its
 * reasons to standard error, and tells its caller nothing but that it failed.
 */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { access, opendir, stat } from 'node:fs/promises';
import type { MountRequest } from '../engine.ts';
import { findFusermount } from '../fuse/fusermount.ts';
import {
  MountError,
  deviceOpenError,
  fusermountError,
  missingCapability,
  mountPointError,
  type Privilege,
} from '../fuse/mount-error.ts';
import { resolveMountPoint } from '../fuse/mount.ts';
import { ownPrivilege } from '../fuse/unmount.ts';
import { displayPath } from '../mount-table.ts';

const DEVICE = '/dev/fuse';
/** The C half has room for so many bytes of the mount point, and a NUL. */
const MAX_MOUNT_POINT_BYTES = 1023;
/** Of what libfuse has written, no more than the end is read. */
const MAX_MESSAGE_BYTES = 4096;
const STANDARD_ERROR = 2;

/** The mount point without symlinks, as bytes and as the same text. Rejects with {@link MountError}. */
export async function prepareMountPoint(
  request: Pick<MountRequest, 'mountPoint'>,
  { mayMount }: Pick<Privilege, 'mayMount'>,
): Promise<{ mountPoint: Buffer; text: string }> {
  const mountPoint = await resolveMountPoint(request.mountPoint);
  const shown = displayPath(mountPoint);
  if (!isUtf8(mountPoint)) {
    throw new MountError(
      `The engine fuse-native takes mount points in UTF-8, which ${shown} is not: choose another directory, or use --engine kernel`,
    );
  }
  if (mountPoint.length > MAX_MOUNT_POINT_BYTES) {
    throw new MountError(
      `The engine fuse-native takes mount points of at most ${MAX_MOUNT_POINT_BYTES} bytes, and ${shown} has ${mountPoint.length}: ` +
        'choose another directory, or use --engine kernel',
    );
  }
  await refuseMount(mountPoint, shown);
  if (!mayMount) await refuseContent(mountPoint, shown);
  return { mountPoint, text: mountPoint.toString() };
}

/** The package takes a directory on another device than its parent for a mount in use. */
async function refuseMount(mountPoint: Buffer, shown: string): Promise<void> {
  const parent = Buffer.concat([mountPoint, Buffer.from('/..')]);
  const [own, above] = await Promise.all([stat(mountPoint), stat(parent)]);
  if (own.dev === above.dev) return;
  throw new MountError(
    `The engine fuse-native cannot mount on ${shown}, where another file system is mounted: choose a directory in it, or use --engine kernel`,
  );
}

/** libfuse 2.9 looks before it asks fusermount, and the option against it is one that fusermount3 does not know. */
async function refuseContent(mountPoint: Buffer, shown: string): Promise<void> {
  const folder = await opendir(mountPoint).catch((error: unknown) => {
    throw mountPointError((error as NodeJS.ErrnoException).code ?? 'EIO', shown, error);
  });
  const first = await folder.read().finally(() => folder.close());
  if (first === null) return;
  throw new MountError(
    `The engine fuse-native mounts for a user only on an empty directory, which ${shown} is not: choose an empty directory, or use --engine kernel`,
  );
}

/** Rejects with {@link MountError} where this process can be foreseen not to get a mount. */
export async function requireFuse(): Promise<void> {
  const privilege = await ownPrivilege();
  const deviceError = await access(DEVICE, constants.R_OK | constants.W_OK).then(
    () => undefined,
    (error: unknown) =>
      deviceOpenError(-((error as NodeJS.ErrnoException).errno ?? 0), privilege, error),
  );
  if (deviceError !== undefined) throw deviceError;
  if (privilege.mayMount) return;
  if (privilege.uid === 0) throw missingCapability();
  // libfuse 2.9 knows the name that the program had then; Debian's fuse3 has it under both.
  if ((await findFusermount(undefined, ['fusermount'])) === undefined) {
    throw new MountError(
      'The engine fuse-native needs fusermount to mount for a user, and it is not installed: run `apt-get install fuse3` as root, or mount as root',
    );
  }
}

/** Listens to what is written to `fd`, standard error, from now on, where that is a file, as a daemon's log is. */
export class LibfuseMessages {
  readonly #fd: number;
  readonly #start: number | undefined;

  constructor(fd = STANDARD_ERROR) {
    this.#fd = fd;
    this.#start = regularFileSize(fd);
  }

  /** Why libfuse could not read on from its device, which ends its session; the end of an unmount is none. */
  readFailure(): string | undefined {
    const lines = this.#written().split('\n');
    const said = lines.findLast((line) => line.startsWith('fuse: reading device: '));
    return said?.slice('fuse: '.length).trim();
  }

  /** The error of a mount on `target` (printable) that libfuse has refused. */
  explain(target: string, cause: unknown): MountError {
    const lines = this.#written().split('\n');
    const fromFusermount = lines.filter((line) => /^\S*fusermount3?: /.test(line));
    if (fromFusermount.length > 0) return fusermountError(fromFusermount.join('\n'), target);
    const said = lines.filter((line) => line.startsWith('fuse: ')).at(-1);
    const why = said === undefined ? 'its reason stands above' : said.slice('fuse: '.length).trim();
    return new MountError(`libfuse could not mount on ${target}: ${why}`, { cause });
  }

  #written(): string {
    const end = regularFileSize(this.#fd);
    if (this.#start === undefined || end === undefined || end <= this.#start) return '';
    const start = Math.max(this.#start, end - MAX_MESSAGE_BYTES);
    const bytes = Buffer.alloc(end - start);
    try {
      const fd = openSync(`/proc/self/fd/${this.#fd}`, 'r');
      try {
        return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, start));
      } finally {
        closeSync(fd);
      }
    } catch {
      return '';
    }
  }
}

function regularFileSize(fd: number): number | undefined {
  try {
    const found = fstatSync(fd);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}
