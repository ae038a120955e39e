/**
 * Finds the URI that a new dataset gets: its path at that time. Directories know their name and parent; what was
 * found by walking up is remembered until any directory moves. The walk ends at a directory whose parent is kept by
 * another metadata server: above it stands the URI that it was made with.
 */
import { type InodeId, metaServerOf, ROOT_INODE } from '../ids.ts';
import type { Task } from '../task.ts';
import { encodeUriName, URI_SCHEME } from '../uri.ts';
import type { KeyValueReader } from './kv.ts';
import type { StoredInode } from './records.ts';
import { findInode } from './tables.ts';

/** Longest URI that a record holds. Paths have no limit, records must. */
export const MAX_URI_LENGTH = 2048;

const CACHE_ENTRIES = 4096;

export class DatasetUris {
  /** Directory → its URI, undefined if that is longer than the limit. */
  readonly #known = new Map<InodeId, string | undefined>();

  /** A directory was renamed or a transaction rolled back. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * URI of `name` in `parent`. One that would exceed {@link MAX_URI_LENGTH} is made from the inode number
   * instead: `imss://%00/<inode>`, which no path can have.
   */
  *forNew(kv: KeyValueReader, parent: StoredInode, name: Buffer, inode: InodeId): Task<string> {
    const directory = yield* this.#ofDirectory(kv, parent);
    const uri = directory === undefined ? undefined : join(directory, encodeUriName(name));
    return uri !== undefined && uri.length <= MAX_URI_LENGTH ? uri : this.ofNameless(inode);
  }

  /** URI of a dataset that has no path when it is made. */
  ofNameless(inode: InodeId): string {
    return `${URI_SCHEME}%00/${inode}`;
  }

  *#ofDirectory(kv: KeyValueReader, directory: StoredInode): Task<string | undefined> {
    const start = directory.inode;
    if (start === ROOT_INODE) return URI_SCHEME;
    if (this.#known.has(start)) return this.#known.get(start);
    const uri = yield* this.#walkUp(kv, directory);
    if (kv.tentative === true) return uri;
    if (this.#known.size >= CACHE_ENTRIES) this.#known.clear();
    this.#known.set(start, uri);
    return uri;
  }

  *#walkUp(kv: KeyValueReader, directory: StoredInode): Task<string | undefined> {
    let below = '';
    let at: StoredInode | undefined = directory;
    while (at?.directory !== undefined) {
      const parent = at.parent as InodeId;
      if (parent !== ROOT_INODE && metaServerOf(parent) !== metaServerOf(at.inode)) {
        return below === '' ? at.uri : join(at.uri, below);
      }
      const name = encodeUriName(at.directory.name);
      below = below === '' ? name : `${name}/${below}`;
      if (below.length > MAX_URI_LENGTH) return undefined;
      if (parent === ROOT_INODE) return join(URI_SCHEME, below);
      if (this.#known.has(parent)) {
        const above = this.#known.get(parent);
        return above === undefined ? undefined : join(above, below);
      }
      at = yield* findInode(kv, parent);
    }
    return undefined;
  }
}

function join(directory: string, name: string): string {
  return directory === URI_SCHEME ? directory + name : `${directory}/${name}`;
}
