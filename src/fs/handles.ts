/**
 * Open files and directories of one mount. Handles of the same inode share one {@link OpenFile}, which exists
 * exactly as long as anybody uses it.
 */
import type { DataAttributes, DatasetView } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { EntrySequence, HandleId, InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { InodeRecord, OpenLevel } from '../meta/store.ts';
import type { Notes } from './notes.ts';
import type { WritesUnderWay } from './writes-under-way.ts';
import type { UseCounts } from './types.ts';

/** What all users of a regular file share. */
export interface OpenFile {
  readonly inode: InodeId;
  /** The outer record, as of the latest open. */
  record: InodeRecord;
  /** How to address its blocks; replaced when a truncation raises the generation. */
  view: DatasetView;
  /** Block 0 exists. */
  born: boolean;
  /** What is known of block 0; the size includes what was written here and not noted there yet. */
  known: DataAttributes | undefined;
  /** Data or times have changed since the metadata server was last told. */
  unreported: boolean;
  /** A write of this mount has dropped the file's capabilities, if it had any when it was opened. */
  capabilityIsGone: boolean;
  /** Changes on their way to block 0. */
  readonly notes: Notes;
  /** Changes on their way to all blocks, of a mount that is not the only one. */
  readonly writes: WritesUnderWay;
  /** What the metadata server takes this mount to have it open for. */
  registered: OpenLevel;
}

/** An {@link OpenFile} that is not described yet, and who waits for it or uses it. */
export interface SharedFile {
  readonly inode: InodeId;
  /** Undefined until the first opener has learnt what there is to know. */
  file: OpenFile | undefined;
  /** Handles and operations in progress, of those `writers` that may change data. */
  users: number;
  writers: number;
}

export interface FileHandle {
  readonly kind: 'file';
  readonly file: OpenFile;
  /** It was opened for writing. */
  readonly writes: boolean;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly inode: InodeId;
  /** The listing ends at the entry that was the newest when it began; undefined before it has begun. */
  upTo: EntrySequence | undefined;
}

export type Handle = FileHandle | DirectoryHandle;

/** All open handles; numbers are reused only after 2^53 opens. */
export class HandleTable {
  readonly #handles = new Map<HandleId, Handle>();
  readonly #files = new Map<InodeId, SharedFile>();
  #next = 1;

  get size(): number {
    return this.#handles.size;
  }

  useCounts(): Pick<UseCounts, 'handles' | 'openFiles'> {
    return { handles: this.#handles.size, openFiles: this.#files.size };
  }

  /** The shared state of `inode` if it is open. */
  openFile(inode: InodeId): OpenFile | undefined {
    return this.#files.get(inode)?.file;
  }

  /** What those who use `inode` share; it must be in use. */
  shared(inode: InodeId): SharedFile {
    const shared = this.#files.get(inode);
    invariant(shared !== undefined, 'a file in use is shared');
    return shared;
  }

  /** Counts one more user of `inode`, to be given back by {@link leave}. */
  enter(inode: InodeId, writes: boolean): SharedFile {
    let shared = this.#files.get(inode);
    if (shared === undefined) {
      shared = { inode, file: undefined, users: 0, writers: 0 };
      this.#files.set(inode, shared);
    }
    shared.users++;
    if (writes) shared.writers++;
    return shared;
  }

  /** Counts one user less, and returns what the remaining ones need the file open for. */
  leave(inode: InodeId, writes: boolean): OpenLevel {
    const shared = this.shared(inode);
    shared.users--;
    if (writes) shared.writers--;
    if (shared.users === 0) this.#files.delete(inode);
    return levelOf(shared);
  }

  addFile(file: OpenFile, writes: boolean): HandleId {
    return this.#add({ kind: 'file', file, writes });
  }

  addDirectory(inode: InodeId): HandleId {
    return this.#add({ kind: 'directory', inode, upTo: undefined });
  }

  #add(handle: Handle): HandleId {
    const id = this.#next++ as HandleId;
    this.#handles.set(id, handle);
    return id;
  }

  /** EBADF for anything but an open file's handle. */
  file(id: HandleId): OpenFile {
    const handle = this.#handles.get(id);
    if (handle?.kind !== 'file') throw new FsError('EBADF', `handle ${id} is no open file`);
    return handle.file;
  }

  /** EBADF for anything but an open directory's handle. */
  directory(id: HandleId): DirectoryHandle {
    const handle = this.#handles.get(id);
    if (handle?.kind !== 'directory')
      throw new FsError('EBADF', `handle ${id} is no open directory`);
    return handle;
  }

  /** Forgets a handle and returns it; EBADF if it is not open. */
  remove(id: HandleId): Handle {
    const handle = this.#handles.get(id);
    if (handle === undefined) throw new FsError('EBADF', `handle ${id} is not open`);
    this.#handles.delete(id);
    return handle;
  }

  /** Every open file, once. */
  *files(): Generator<OpenFile> {
    for (const { file } of this.#files.values()) if (file !== undefined) yield file;
  }
}

/** What its users need a file open for. */
export function levelOf({ users, writers }: SharedFile): OpenLevel {
  if (users === 0) return 'none';
  return writers > 0 ? 'write' : 'read';
}

/** The inode behind a handle. */
export function inodeOf(handle: Handle): InodeId {
  return handle.kind === 'file' ? handle.file.inode : handle.inode;
}
