/**
 * Which version of a file's data the kernel may have in its page cache. Pages outlive an open only if nobody else has
 * changed the data meanwhile; what this mount has written itself, the kernel has seen.
 */
import type { InodeId } from '../ids.ts';

/** Files that are remembered; for any other, the kernel forgets its pages at the next open. */
const MOST_FILES = 65_536;

export class PageVersions {
  readonly #versions = new Map<InodeId, number>();

  /** A file is opened at `version`: true if the kernel's pages are of that version. */
  opened(inode: InodeId, version: number): boolean {
    const isSame = this.#versions.get(inode) === version;
    this.#remember(inode, version);
    return isSame;
  }

  /** Whether the kernel's pages are of that version. */
  areOf(inode: InodeId, version: number): boolean {
    return this.#versions.get(inode) === version;
  }

  /** The kernel has forgotten its pages; what it reads from now on is of that version or a later one. */
  dropped(inode: InodeId, version: number): void {
    this.#remember(inode, version);
  }

  /** A change from here has led to `version`. If it is not the next one, others have changed the data, too. */
  changedHere(inode: InodeId, version: number): void {
    if (this.#versions.get(inode) === version - 1) this.#remember(inode, version);
  }

  #remember(inode: InodeId, version: number): void {
    this.#versions.delete(inode);
    this.#versions.set(inode, version);
    if (this.#versions.size <= MOST_FILES) return;
    const [oldest] = this.#versions.keys();
    if (oldest !== undefined) this.#versions.delete(oldest);
  }
}
