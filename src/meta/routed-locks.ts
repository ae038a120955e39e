/** The locks of a file system with several metadata servers: each inode's are kept by the server that keeps the inode. */
import { FsError } from '../errno.ts';
import { type InodeId, metaServerOf } from '../ids.ts';
import type { Lock, LockAttempt, LockOwner, LockRange, LockStore } from './lock-store.ts';

export class RoutedLocks implements LockStore {
  readonly #servers: readonly LockStore[];

  /** Of all metadata servers, each at its number. */
  constructor(servers: readonly LockStore[]) {
    this.#servers = servers;
  }

  #of(inode: InodeId): LockStore {
    const server = this.#servers[metaServerOf(inode)];
    if (server === undefined) throw new FsError('ESTALE', `inode ${inode} is of no server`);
    return server;
  }

  holds(inode: InodeId, owner: LockOwner): boolean {
    return this.#of(inode).holds(inode, owner);
  }

  lock(inode: InodeId, owner: LockOwner, demand: { lock: Lock; waits: boolean }): LockAttempt {
    return this.#of(inode).lock(inode, owner, demand);
  }

  unlock(inode: InodeId, owner: LockOwner, range: LockRange): Promise<void> {
    return this.#of(inode).unlock(inode, owner, range);
  }

  test(inode: InodeId, owner: LockOwner, lock: Lock): Promise<Lock | undefined> {
    return this.#of(inode).test(inode, owner, lock);
  }
}
