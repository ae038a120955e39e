/**
 * Counts who still needs an inode on this mount: lookups that the kernel has not forgotten, and open handles.
 * Invariant: an orphan (an inode without a name) is reaped exactly once, when the last of them is gone.
 */
import type { InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import { InodeCounts } from './inode-counts.ts';
import type { UseCounts } from './types.ts';

export class InodeReferences {
  readonly #lookups = new InodeCounts();
  readonly #handles = new InodeCounts();
  readonly #orphans = new Set<InodeId>();
  readonly #reap: (inode: InodeId) => void;

  /** `reap` is called for an orphan as soon as nothing refers to it. */
  constructor(reap: (inode: InodeId) => void) {
    this.#reap = reap;
  }

  /** How many inodes the kernel knows through lookups. */
  get lookedUpCount(): number {
    return this.#lookups.size;
  }

  useCounts(): Pick<UseCounts, 'knownInodes' | 'lookups' | 'orphans'> {
    const { size: knownInodes, total: lookups } = this.#lookups;
    return { knownInodes, lookups, orphans: this.#orphans.size };
  }

  /** The kernel was told of `inode` once more. */
  addLookup(inode: InodeId): void {
    this.#lookups.add(inode, 1);
  }

  /** The kernel forgets `count` lookups; more than it was told of is a protocol error, taken as all. */
  forget(inode: InodeId, count: number): void {
    if (this.#lookups.add(inode, -count) === 0) this.#reapIfUnreferenced(inode);
  }

  addHandle(inode: InodeId): void {
    this.#handles.add(inode, 1);
  }

  dropHandle(inode: InodeId): void {
    invariant(this.#handles.get(inode) > 0, 'a handle is dropped once');
    if (this.#handles.add(inode, -1) === 0) this.#reapIfUnreferenced(inode);
  }

  /** `inode` has lost its last name: it is reaped now, or when nothing refers to it any more. */
  orphaned(inode: InodeId): void {
    this.#orphans.add(inode);
    this.#reapIfUnreferenced(inode);
  }

  /** `inode` has a name: it is no orphan, if it was one. */
  named(inode: InodeId): void {
    this.#orphans.delete(inode);
  }

  /** The engine has ended: nobody can refer to anything any more. */
  forgetAll(): void {
    this.#lookups.clear();
    this.#handles.clear();
    for (const inode of [...this.#orphans]) this.#reapIfUnreferenced(inode);
  }

  #reapIfUnreferenced(inode: InodeId): void {
    if (this.#lookups.get(inode) > 0 || this.#handles.get(inode) > 0) return;
    if (this.#orphans.delete(inode)) this.#reap(inode);
  }
}
