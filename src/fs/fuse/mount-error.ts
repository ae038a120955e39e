/**
 * Why a mount or an unmount was refused, told in one line: what is wrong and what to do about it. The functions
 * are pure, from an errno or from what fusermount wrote.
 */
import { Errno, errnoName } from '../../errno.ts';

/** Its message is one complete line for the person who asked for the mount. */
export class MountError extends Error {
  override name = 'MountError';
}

/** Who is mounting, as far as errors differ. */
export interface Privilege {
  uid: number;
  /** CAP_SYS_ADMIN is effective: mount(2) may be called. */
  mayMount: boolean;
}

/** open(2) of /dev/fuse failed. */
export function deviceOpenError(errno: number, { uid }: Privilege, cause?: unknown): MountError {
  const because = { cause };
  switch (errno) {
    case Errno.ENOENT:
      return new MountError(
        '/dev/fuse is missing: run `modprobe fuse` as root, or in a container start it with --device /dev/fuse',
        because,
      );
    case Errno.ENXIO:
    case Errno.ENODEV:
      return new MountError(
        'The kernel has no FUSE driver: run `modprobe fuse` as root, on the host if this is a container',
        because,
      );
    case Errno.EACCES:
    case Errno.EPERM:
      return new MountError(
        uid === 0
          ? '/dev/fuse may not be opened here: start the container with --device /dev/fuse'
          : 'You may not open /dev/fuse: ask root to run `chmod 0666 /dev/fuse` (udev sets this mode by itself)',
        because,
      );
    default:
      return new MountError(`/dev/fuse cannot be opened: ${errnoName(errno)}`, because);
  }
}

/** uid 0 without CAP_SYS_ADMIN. */
export function missingCapability(): MountError {
  return new MountError(
    'Root may not mount here (no CAP_SYS_ADMIN): start the container with --cap-add SYS_ADMIN --device /dev/fuse',
  );
}

/** An ordinary user, and no fusermount in PATH; `also` is what else is in the way, so that both are mended at once. */
export function missingFusermount(also?: MountError): MountError {
  const message =
    'Mounting as a user needs fusermount3, which is not installed: run `apt-get install fuse3` as root, or mount as root';
  return also === undefined
    ? new MountError(message)
    : new MountError(`${message}. Then there is this: ${also.message}`, { cause: also });
}

/** uid 0 without CAP_SYS_ADMIN, unmounting. `target` is printable. */
export function unmountCapabilityError(target: string): MountError {
  return new MountError(
    `Root may not unmount ${target} here (no CAP_SYS_ADMIN): do it outside this container, or as the user who mounted it`,
  );
}

/** mount(2) failed although CAP_SYS_ADMIN is there. `target` is printable. */
export function mountCallError(errno: number, target: string): MountError {
  switch (errno) {
    case Errno.EPERM:
    case Errno.EACCES:
      return new MountError(
        `The system forbids mounting on ${target} (${errnoName(errno)}): in a container add ` +
          '--security-opt apparmor=unconfined --security-opt seccomp=unconfined',
      );
    case Errno.ENODEV:
      return new MountError('The kernel has no FUSE driver: run `modprobe fuse` as root');
    case Errno.EINVAL:
      return new MountError(
        `The kernel refused the mount options for ${target} (EINVAL): leave out options given by -o, one by one`,
      );
    default:
      return new MountError(`Mounting on ${target} failed: ${errnoName(errno)}`);
  }
}

/** The mount point cannot be used. `target` is printable. */
export function mountPointError(code: string, target: string, cause?: unknown): MountError {
  const texts: Record<string, string> = {
    ENOENT: `${target} does not exist: run \`mkdir -p\` on it first`,
    ENOTDIR: `${target} is not a directory: choose a directory to mount on`,
    EACCES: `You may not reach ${target}: choose a directory of your own`,
    ELOOP: `${target} is a loop of symbolic links: choose a directory`,
    ENOTCONN: `${target} is a mount whose daemon has died: run \`umount -l\` or \`fusermount3 -uz\` on it first`,
  };
  return new MountError(texts[code] ?? `${target} cannot be mounted on: ${code}`, { cause });
}

/** umount2(2) failed with something other than EBUSY. */
export function unmountCallError(errno: number, target: string): MountError {
  return new MountError(
    errno === Errno.EPERM
      ? `You may not unmount ${target}: do it as root or as the user who mounted it`
      : `Unmounting ${target} failed: ${errnoName(errno)}`,
  );
}

/** What fusermount wrote, without its name in front; only the last line, the cause. */
export function fusermountMessage(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? '').replace(/^\S*fusermount3?:\s*/, '').trim();
}

/** fusermount looks its mounts up in /etc/mtab, which a minimal system may lack. */
function missingMtab(said: string): string {
  return `fusermount ${said}: run \`ln -s ../proc/self/mounts /etc/mtab\` as root`;
}

/** fusermount failed to unmount `target`, and not because it is in use. */
export function fusermountUnmountError(stderr: string, target: string): MountError {
  const said = fusermountMessage(stderr);
  if (said.startsWith('failed to open /etc/mtab')) return new MountError(missingMtab(said));
  if (/^entry for .* not found in/.test(said)) return unmountCallError(Errno.EPERM, target);
  return new MountError(`${target} was not unmounted: ${said || 'fusermount gave no reason'}`);
}

/** Whether fusermount's complaint is that the mount is in use; it runs with LC_ALL=C. */
export function saysBusy(stderr: string): boolean {
  return stderr.includes('Device or resource busy');
}

/** fusermount failed to mount on `target`. */
export function fusermountError(stderr: string, target: string): MountError {
  const said = fusermountMessage(stderr);
  if (said.includes('user_allow_other')) {
    return new MountError(
      "Other users may not be let in: ask root to add the line 'user_allow_other' to /etc/fuse.conf, or leave out allow_other",
    );
  }
  if (said.includes('no write access to mountpoint')) {
    return new MountError(`You may not write to ${target}: choose a directory of your own`);
  }
  if (/^mountpoint .* not owned by user$/.test(said)) {
    return new MountError(
      `${target} belongs to another user, and is sticky: choose a directory of your own`,
    );
  }
  if (said.includes('could not determine username')) {
    return new MountError(
      'fusermount serves only users whom the system knows by name, and you are not in /etc/passwd: ' +
        'add yourself there (`useradd -u UID NAME` as root), or mount as root',
    );
  }
  if (said.includes('too many FUSE filesystems')) {
    return new MountError(
      'Too many FUSE mounts: unmount one, or raise mount_max in /etc/fuse.conf',
    );
  }
  if (said.includes('fuse device not found')) {
    return deviceOpenError(Errno.ENOENT, { uid: 1, mayMount: false });
  }
  if (/^failed to open \/dev\/fuse/.test(said)) {
    return deviceOpenError(Errno.EACCES, { uid: 1, mayMount: false });
  }
  if (/^mount failed: Operation not permitted/.test(said)) {
    return new MountError(
      'fusermount may not mount (it must be set-uid root, on a file system without nosuid, ' +
        'and a container needs --cap-add SYS_ADMIN): repair that or mount as root',
    );
  }
  return new MountError(`fusermount could not mount on ${target}: ${said || 'it gave no reason'}`);
}
