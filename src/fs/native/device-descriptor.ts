/**
 * The package does not tell when libfuse's session has ended, nor which descriptor it uses. libfuse closes its
 * /dev/fuse then, and that can be seen: this finds the descriptor and watches it.
 */
import { fstatSync, readdirSync } from 'node:fs';
import { LibcUnavailableError, libc } from '../fuse/libc.ts';

/** Device number of /dev/fuse, 10:229 (linux/miscdevice.h, devices.txt), as fstat(2) gives it. */
const FUSE_DEVICE = 10 * 256 + 229;
/** How soon the end of a mount is noticed. */
const POLL_MS = 100;

const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Descriptors of this process that are /dev/fuse. */
export function fuseDescriptors(): Set<number> {
  return new Set(
    readdirSync('/proc/self/fd')
      .map(Number)
      .filter((fd) => isFuseDevice(fd)),
  );
}

function isFuseDevice(fd: number): boolean {
  try {
    const found = fstatSync(fd);
    return found.isCharacterDevice() && found.rdev === FUSE_DEVICE;
  } catch {
    return false;
  }
}

/**
 * libfuse 2.9 opens the device without close-on-exec, so that a child that outlives the daemon would keep the mount
 * alive. Only koffi can mend that.
 */
export function closeOnExec(fd: number): void {
  try {
    libc().fcntl(fd, F_SETFD, FD_CLOEXEC);
  } catch (error) {
    if (!(error instanceof LibcUnavailableError)) throw error;
  }
}

/** Resolves when libfuse has closed `fd`. Keeps the process alive until then. */
export function deviceClosed(fd: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (isFuseDevice(fd)) return;
      clearInterval(timer);
      resolve();
    }, POLL_MS);
  });
}
