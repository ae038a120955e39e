/**
 * Counts who still needs an inode on this mount: lookups that the kernel has not forgotten, and open handles.
 * Invariant: an orphan (an inode without a name) is reaped exactly once, when the last of them is gone.
 */
import type { InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';

export class InodeReferences {
  readonly #lookups = new Map<InodeId, number>();
  readonly #handles = new Map<InodeId, number>();
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

  /** The kernel was told of `inode` once more. */
  addLookup(inode: InodeId): void {
    this.#lookups.set(inode, (this.#lookups.get(inode) ?? 0) + 1);
  }

  /** The kernel forgets `count` lookups; more than it was told of is a protocol error, taken as all. */
  forget(inode: InodeId, count: number): void {
    const left = (this.#lookups.get(inode) ?? 0) - count;
    if (left > 0) this.#lookups.set(inode, left);
    else {
      this.#lookups.delete(inode);
      this.#reapIfUnreferenced(inode);
    }
  }

  addHandle(inode: InodeId): void {
    this.#handles.set(inode, (this.#handles.get(inode) ?? 0) + 1);
  }

  dropHandle(inode: InodeId): void {
    const handles = this.#handles.get(inode);
    invariant(handles !== undefined, 'a handle is dropped once');
    if (handles > 1) this.#handles.set(inode, handles - 1);
    else {
      this.#handles.delete(inode);
      this.#reapIfUnreferenced(inode);
    }
  }

  /** `inode` has lost its last name: it is reaped now, or when nothing refers to it any more. */
  orphaned(inode: InodeId): void {
    this.#orphans.add(inode);
    this.#reapIfUnreferenced(inode);
  }

  /** The engine has ended: nobody can refer to anything any more. */
  forgetAll(): void {
    this.#lookups.clear();
    this.#handles.clear();
    for (const inode of [...this.#orphans]) this.#reapIfUnreferenced(inode);
  }

  #reapIfUnreferenced(inode: InodeId): void {
    if (this.#lookups.has(inode) || this.#handles.has(inode)) return;
    if (this.#orphans.delete(inode)) this.#reap(inode);
  }
}
