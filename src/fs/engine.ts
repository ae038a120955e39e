/** A FUSE engine brings the VFS to a mount point. `cli` chooses one, starts it and waits for its end. */

/** Why a mount ended. */
export type EngineEnd =
  /** Unmounted by umount(8), fusermount or {@link Engine.unmount}. */
  | { reason: 'unmounted' }
  /** A bug or a lost device; the process must exit with a failure. */
  | { reason: 'failed'; error: Error };

/** How to unmount, in the words of umount(8). */
export type UnmountMode = 'plain' | 'lazy' | 'force';

export interface Engine {
  /** Mounts; resolves when the kernel's handshake is answered. Rejects with nothing left mounted. */
  start(): Promise<void>;
  /** Resolves once, after the mount is gone; never rejects. */
  readonly ended: Promise<EngineEnd>;
  /** Rejects with FsError EBUSY when a plain unmount finds the mount in use. */
  unmount(mode: UnmountMode): Promise<void>;
}

/** What the person at the shell asked for, as far as an engine is concerned. */
export interface MountRequest {
  /** Absolute path, as bytes: Linux paths need not be UTF-8. */
  mountPoint: Buffer;
  /** First field of /proc/mounts, e.g. `imss://`. */
  source: string;
  readOnly: boolean;
  allowOther: boolean;
  /** The kernel checks permission bits; on unless `-o no_default_permissions`. */
  defaultPermissions: boolean;
  /** POSIX ACLs, which the kernel then enforces; needs {@link defaultPermissions}. */
  acl: boolean;
  /** Generic flags of mount(8) that the kernel takes: nosuid, nodev, noexec, noatime, … */
  genericOptions: readonly string[];
}
