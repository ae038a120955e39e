/** What commands need of the machine's mounts; implemented in `fs`, replaced in tests. */
import type { UnmountMode } from '../fs/engine.ts';

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
  /** Whether an imssfs, dead or alive, is what one sees at `path`; only looks into the list of mounts. */
  isMounted(path: Buffer): Promise<boolean>;
  /** Detaches a dead mount. */
  recoverDeadMount(path: Buffer): Promise<unknown>;
  listMounts(): Promise<ListedMount[]>;
  /** Who uses the mount, in words; at most a few lines, none if nothing was found. */
  findHolders(path: Buffer): Promise<string[]>;
  /** Who, in other mount namespaces, still has the file system mounted, in words; none if nobody was found. */
  findForeignMounts(deviceMinor: number): Promise<string[]>;
  /** Rejects with FsError EBUSY (in use), EPERM (another user's), EINVAL (no mount). */
  unmount(path: Buffer, mode: UnmountMode): Promise<void>;
}
