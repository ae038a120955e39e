/**
 * The checks of a mount point that cost nothing, made before anything is started, so that bad input leaves no
 * trace. They also clear away a dead mount that a crash left there.
 */
import { constants } from 'node:fs';
import { access, opendir, realpath, stat } from 'node:fs/promises';
import { displayPath, isWithin } from '../fs/mount-table.ts';
import { joinPath, lastNameOf, parentOf, trimSlashes } from './bytes-path.ts';
import { FailureError, UsageError, errorCode } from './errors.ts';
import type { MountTools } from './mount-tools.ts';
import type { StoredRunState } from './run-state.ts';
import { saying } from './patience.ts';

/** A mount point that can be used. */
export interface CheckedMountPoint {
  /** Absolute, without symlinks. */
  path: Buffer;
  /** For the person at the shell: what was cleaned up, what is unusual. */
  notes: string[];
}

/** What {@link checkMountPoint} has to know of its surroundings. */
export interface MountPointContext {
  tools: Pick<MountTools, 'mountState' | 'recoverDeadMount'>;
  /** Mounts whose daemon runs. */
  running: readonly StoredRunState[];
  isRoot: boolean;
  /** `-o nonempty`: do not warn. */
  allowNonEmpty: boolean;
  /** What must stay in sight while the mount lives, beside what every program needs. */
  needed?: readonly Needed[];
  /** Told after a while of waiting for a mount that does not answer. */
  onWaiting?: (line: string) => void;
}

/** A path and what it is, as in "/proc holds `what`"; absolute, without symlinks. */
export interface Needed {
  path: string;
  what: string;
}

/** Hidden under a mount, these would stop imssfs itself, and most of the machine with it. */
const ALWAYS_NEEDED: readonly Needed[] = [
  { path: '/proc', what: "the kernel's view of processes" },
  { path: '/sys', what: "the kernel's settings" },
  { path: '/dev/fuse', what: 'the device /dev/fuse' },
  { path: '/dev/null', what: 'the device /dev/null' },
];

/** Checks `given` and makes it absolute. Rejects with {@link FailureError} or {@link UsageError}. */
export async function checkMountPoint(
  given: Buffer,
  context: MountPointContext,
): Promise<CheckedMountPoint> {
  if (given.length === 0)
    throw new UsageError('the mount point is empty; name an existing directory');
  const path = await canonicalPath(given, 'mount');
  const shown = displayPath(path);
  const notes: string[] = [];
  refuseNeeded(path, [...ALWAYS_NEEDED, ...(context.needed ?? [])]);
  const state = await saying(context.tools.mountState(path), () =>
    context.onWaiting?.(`waiting for the mount at ${shown} to answer`),
  );
  if (state === 'alive') {
    const daemon = context.running.find((other) => other.mountPoint.equals(path));
    const pid = daemon === undefined ? '' : ` (pid ${daemon.pid})`;
    throw new FailureError(
      `${shown} is already an imssfs mount${pid}; unmount it first with: umount-imss ${shown}`,
    );
  }
  if (state === 'dead') {
    await context.tools.recoverDeadMount(path);
    notes.push(`${shown} was a dead mount of an imssfs that had ended; unmounted it`);
  }
  await checkDirectory(path, context.isRoot);
  if (!context.allowNonEmpty && !(await isEmpty(path))) {
    notes.push(`${shown} is not empty; what is in it is hidden until you unmount`);
  }
  return { path, notes };
}

/** Throws {@link FailureError} if a mount at `path` would hide something that is needed. */
function refuseNeeded(path: Buffer, needed: readonly Needed[]): void {
  const hidden = needed.find((each) => isWithin(Buffer.from(each.path), path));
  if (hidden === undefined) return;
  throw new FailureError(
    `${displayPath(path)} holds ${hidden.what}, which a mount would hide; name another directory`,
  );
}

/** What a path is wanted for; decides what an error advises. */
type Purpose = 'mount' | 'unmount';

/**
 * The path without symlinks. A dead mount cannot be looked at (ENOTCONN), but its parent can. Throws
 * {@link FailureError}.
 */
export async function canonicalPath(given: Buffer, purpose: Purpose): Promise<Buffer> {
  const path = trimSlashes(given);
  try {
    return await realpath(path, { encoding: 'buffer' });
  } catch (error) {
    // ECONNABORTED: it asked while the daemon died.
    const dead = ['ENOTCONN', 'ECONNABORTED'].includes(errorCode(error) ?? '');
    if (!dead) throw unreachable(path, error, purpose);
  }
  try {
    return joinPath(await realpath(parentOf(path), { encoding: 'buffer' }), lastNameOf(path));
  } catch (error) {
    throw unreachable(path, error, purpose);
  }
}

function unreachable(path: Buffer, error: unknown, purpose: Purpose): FailureError {
  const shown = displayPath(path);
  const code = errorCode(error) ?? 'error';
  if (purpose === 'unmount') {
    if (code === 'EACCES') {
      return new FailureError(
        `no permission to reach ${shown}; unmount it as root or as the user who mounted it`,
        { cause: error },
      );
    }
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be reached (${code})`;
    return new FailureError(`${shown} ${why}; name the directory where imssfs is mounted`, {
      cause: error,
    });
  }
  const why: Partial<Record<string, string>> = {
    ENOENT: `mount point ${shown} does not exist; make it with: mkdir -p ${shown}`,
    ENOTDIR: `${shown} is not a directory; name an existing directory`,
    EACCES: `no permission to reach ${shown}; choose a directory that you may enter`,
    ELOOP: `${shown} is a loop of symlinks; name an existing directory`,
    ENAMETOOLONG: `the mount point's path is too long; name an existing directory`,
  };
  return new FailureError(why[code] ?? `cannot use ${shown} (${code}); name another directory`, {
    cause: error,
  });
}

async function checkDirectory(path: Buffer, isRoot: boolean): Promise<void> {
  const shown = displayPath(path);
  const found = await stat(path).catch((error: unknown) => {
    throw unreachable(path, error, 'mount');
  });
  if (!found.isDirectory()) {
    throw new FailureError(`${shown} is not a directory; name an existing directory`);
  }
  if (isRoot) return;
  // fusermount demands it of users who are not root (fusermount3(1)).
  await access(path, constants.W_OK).catch((error: unknown) => {
    throw new FailureError(
      `no permission to mount on ${shown}; choose a directory that you may write to, such as ~/imss`,
      { cause: error },
    );
  });
}

async function isEmpty(path: Buffer): Promise<boolean> {
  try {
    const directory = await opendir(path);
    try {
      return (await directory.read()) === null;
    } finally {
      await directory.close();
    }
  } catch {
    // Not readable: then nobody misses what is in it either.
    return true;
  }
}
