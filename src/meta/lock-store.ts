/**
 * The contract between the file system and the keeper of its locks, flock(2) and fcntl(2): a metadata server keeps those
 * of its inodes in memory. A client's locks live as long as its session; who restarts, client or server, sorts it out.
 */
import type { InodeId } from '../ids.ts';

/** Locks of the two kinds know nothing of each other. fcntl's open-file-description locks are of kind `posix`. */
export type LockKind = 'posix' | 'flock';

export type LockType = 'read' | 'write';

/** Whose a lock is, as the kernel of its client numbers it: the two words are compared, never counted with. */
export interface LockOwner {
  readonly kind: LockKind;
  readonly low: number;
  readonly high: number;
}

/** Bytes from `start` to `end`, both included; {@link LOCK_END} stands for the end of the file, wherever that is. */
export interface LockRange {
  readonly start: number;
  readonly end: number;
}

/** The last byte of a lock that reaches to the end of the file. */
export const LOCK_END = Number.MAX_SAFE_INTEGER;

export const WHOLE_FILE: LockRange = { start: 0, end: LOCK_END };

/** Who has asked for a lock, for F_GETLK: the number means something only in its own place. */
export interface LockProcess {
  readonly pid: number;
  /** A node's process namespace; equal for processes that know each other by number. */
  readonly place: number;
}

export interface Lock extends LockRange {
  readonly type: LockType;
  readonly process: LockProcess;
}

/** A request for a lock. */
export interface LockAttempt {
  /** FsError EAGAIN if others are in the way and it does not wait; EDEADLK, ENOLCK, EINTR after cancel. */
  readonly granted: Promise<void>;
  /**
   * The owner has what it had before, whatever has come of the request, and waits no more. Its further requests are held
   * until that is so, which is when this resolves. Nothing happens after a failure. Never rejects.
   */
  cancel(): Promise<void>;
}

/** One client's view of the locks. Whatever asks a server that cannot be reached fails as its other calls do. */
export interface LockStore {
  /** Whether the owner has a lock of the inode, or may come to have one. If not, nothing need be unlocked. */
  holds(inode: InodeId, owner: LockOwner): boolean;
  /** The owner's own locks are never in the way: they are converted. */
  lock(inode: InodeId, owner: LockOwner, demand: { lock: Lock; waits: boolean }): LockAttempt;
  unlock(inode: InodeId, owner: LockOwner, range: LockRange): Promise<void>;
  /** The first lock that is in the way of `lock`. */
  test(inode: InodeId, owner: LockOwner, lock: Lock): Promise<Lock | undefined>;
}

/** Tells owners of one client apart. */
export function ownerKey({ kind, high, low }: LockOwner): string {
  return `${kind}:${high.toString(16)}:${low.toString(16)}`;
}
