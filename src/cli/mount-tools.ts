/** What commands need of the machine's mounts; implemented in `fs`, replaced in tests. */
import type { UnmountMode } from '../fs/engine.ts';

/** A process that keeps a mount busy. */
export interface Holder {
  pid: number;
  command: string;
  /** What it has open, as a path. */
  path: string;
}

/** An imssfs mount as the kernel lists it. */
export interface ListedMount {
  mountPoint: Buffer;
  /** Who mounted it: the option `user_id` that every FUSE mount has. */
  userId: number;
  /** Minor number of its device. */
  deviceMinor: number;
}

export interface MountTools {
  /** `dead`: the process that served it is gone. Never touches the mount in a way that could hang. */
  mountState(path: Buffer): Promise<'none' | 'alive' | 'dead'>;
  /** Detaches a dead mount. */
  recoverDeadMount(path: Buffer): Promise<unknown>;
  listMounts(): Promise<ListedMount[]>;
  findHolders(path: Buffer): Promise<Holder[]>;
  /** Rejects with FsError EBUSY (in use), EPERM (another user's), EINVAL (no mount). */
  unmount(path: Buffer, mode: UnmountMode): Promise<void>;
}

/** `pid 812 (bash) has /mnt/imss/a open`, for at most three holders. */
export function describeHolders(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'no process that you may inspect';
  const shown = holders
    .slice(0, 3)
    .map((holder) => `pid ${holder.pid} (${holder.command}: ${holder.path})`);
  const more = holders.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
