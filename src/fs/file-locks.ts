/**
 * flock(2) and fcntl(2) locks of a shared mount. Whoever has been granted a lock sees all that was written under the locks
 * of others: pages that the kernel has kept are dropped before the answer if somebody else has changed the data since.
 */
import { FsError } from '../errno.ts';
import type { HandleId, InodeId } from '../ids.ts';
import {
  type Lock,
  LOCK_END,
  type LockOwner,
  type LockRange,
  type LockStore,
  type LockType,
  ownerKey,
  WHOLE_FILE,
} from '../meta/lock-store.ts';
import { type Task, wait } from '../task.ts';
import type { FileData } from './file-data.ts';
import { processPlace } from './process-place.ts';
import { waitToTheEnd } from './settle.ts';

/** What a program asks for by an open file. */
export interface LockDemand extends LockRange {
  readonly owner: LockOwner;
  readonly type: LockType | 'none';
  readonly pid: number;
}

/** A lock that is in the way. */
export interface LockObstacle extends LockRange {
  readonly type: LockType;
  /** 0 if whoever has it cannot be told by a number here. */
  readonly pid: number;
}

/** What locks need of the files' data. */
export type LockedData = Pick<FileData, 'handles' | 'pauseWrites' | 'revalidate'>;

interface LockingOwner {
  readonly owner: LockOwner;
  readonly handles: Set<HandleId>;
}

export class FileLocks {
  readonly #locks: LockStore;
  readonly #data: LockedData;
  readonly #place = processPlace();
  /** Owners that have locked something of an inode, and by which handles: those of open file descriptions end with theirs. */
  readonly #owners = new Map<InodeId, Map<string, LockingOwner>>();

  constructor(locks: LockStore, data: LockedData) {
    this.#locks = locks;
    this.#data = data;
  }

  /**
   * Takes a lock, or gives one back. Without `waits`, EAGAIN if others are in the way; with it, EDEADLK where that would
   * be for ever, and an abort ends the wait at once. EBADF, EOVERFLOW, ENOLCK.
   */
  *set(handle: HandleId, demand: LockDemand, waits: boolean): Task<void> {
    const { inode } = this.#data.handles.file(handle);
    const { owner, type } = demand;
    if (type === 'none') {
      yield* this.#unlock(inode, owner, demand);
      return;
    }
    const lock = this.#lockOf(demand, type);
    this.#remember(inode, handle, owner);
    // A write lock that becomes a read lock lets others read.
    if (type === 'read' && this.#locks.holds(inode, owner)) yield* this.#data.pauseWrites(inode);
    const attempt = this.#locks.lock(inode, owner, { lock, waits });
    try {
      yield* wait(attempt.granted);
      yield* this.#data.revalidate(inode);
    } catch (error) {
      yield* waitToTheEnd(attempt.cancel());
      throw error;
    }
  }

  /** The first lock that would be in the way; undefined if none is. */
  *test(handle: HandleId, demand: LockDemand): Task<LockObstacle | undefined> {
    const { inode } = this.#data.handles.file(handle);
    const { owner, type } = demand;
    if (type === 'none') throw new FsError('EINVAL');
    const found = yield* wait(this.#locks.test(inode, owner, this.#lockOf(demand, type)));
    if (found === undefined) return undefined;
    const { start, end, process } = found;
    const isKnown = process.place === this.#place && process.place !== 0;
    return { start, end, type: found.type, pid: isKnown ? process.pid : 0 };
  }

  #lockOf({ start, end, pid }: LockDemand, type: LockType): Lock {
    // What lies there can neither be told apart nor be of any file.
    if (start >= LOCK_END) throw new FsError('EOVERFLOW', 'a lock beyond all files');
    const process = { pid, place: this.#place };
    return { start, end: Math.min(end, LOCK_END), type, process };
  }

  #remember(inode: InodeId, handle: HandleId, owner: LockOwner): void {
    const owners = this.#owners.get(inode) ?? new Map<string, LockingOwner>();
    this.#owners.set(inode, owners);
    const key = ownerKey(owner);
    const known = owners.get(key);
    if (known === undefined) owners.set(key, { owner, handles: new Set([handle]) });
    else known.handles.add(handle);
  }

  #forget(inode: InodeId, owner: LockOwner): void {
    const owners = this.#owners.get(inode);
    owners?.delete(ownerKey(owner));
    if (owners?.size === 0) this.#owners.delete(inode);
  }

  /**
   * Whoever gets the lock next sees what was written, and nothing of it comes later. An abort counts for nothing: the lock
   * of a process that is gone would stay.
   */
  *#unlock(inode: InodeId, owner: LockOwner, { start, end }: LockRange): Task<void> {
    if (!this.#locks.holds(inode, owner) || start >= LOCK_END) return;
    try {
      yield* this.#data.pauseWrites(inode);
    } catch {
      // The abort, which comes once: pausing fails by nothing else.
      yield* this.#data.pauseWrites(inode);
    }
    const range = { start, end: Math.min(end, LOCK_END) };
    yield* waitToTheEnd(this.#locks.unlock(inode, owner, range));
  }

  /**
   * close(2) of a descriptor drops what its process has locked of the file, by whatever descriptor. The handle may live
   * on in another process, and the kernel give the number of this owner to a new one: its locks are none of the handle's.
   */
  *closed(inode: InodeId, owner: LockOwner): Task<void> {
    this.#forget(inode, owner);
    yield* this.#unlock(inode, owner, WHOLE_FILE);
  }

  /** The last descriptor of a handle is closed: what is left of what was locked by it goes. */
  *released(handle: HandleId, inode: InodeId): Task<void> {
    const left = [...(this.#owners.get(inode)?.values() ?? [])].filter(({ handles }) =>
      handles.delete(handle),
    );
    for (const { owner, handles } of left) if (handles.size === 0) this.#forget(inode, owner);
    for (const { owner } of left) yield* this.#unlock(inode, owner, WHOLE_FILE);
  }
}
