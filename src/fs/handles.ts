/**
 * Open files and directories of one mount. Handles of the same inode share one {@link OpenFile}, which exists
 * exactly as long as any of them is open.
 */
import type { DatasetView } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { EntrySequence, HandleId, InodeId } from '../ids.ts';
import type { UseCounts } from './types.ts';

/** What all handles of a regular file share. */
export interface OpenFile {
  readonly inode: InodeId;
  /** How to address its blocks; replaced when a truncation raises the generation. */
  view: DatasetView;
  /** Block 0 exists. */
  born: boolean;
  /** Data or times have changed since the metadata server was last told. */
  unreported: boolean;
  handleCount: number;
}

export interface FileHandle {
  readonly kind: 'file';
  readonly file: OpenFile;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly inode: InodeId;
  /** The listing ends at the entry that was the newest when the directory was opened or rewound. */
  upTo: EntrySequence;
}

export type Handle = FileHandle | DirectoryHandle;

/** All open handles; numbers are reused only after 2^53 opens. */
export class HandleTable {
  readonly #handles = new Map<HandleId, Handle>();
  readonly #files = new Map<InodeId, OpenFile>();
  #next = 1;

  get size(): number {
    return this.#handles.size;
  }

  useCounts(): Pick<UseCounts, 'handles' | 'openFiles'> {
    return { handles: this.#handles.size, openFiles: this.#files.size };
  }

  /** The shared state of `inode` if it is open. */
  openFile(inode: InodeId): OpenFile | undefined {
    return this.#files.get(inode);
  }

  /** Opens a file; `fresh` is used if no other handle has it open. */
  addFile(fresh: OpenFile): HandleId {
    let file = this.#files.get(fresh.inode);
    if (file === undefined) this.#files.set(fresh.inode, (file = fresh));
    file.handleCount += 1;
    return this.#add({ kind: 'file', file });
  }

  addDirectory(inode: InodeId, upTo: EntrySequence): HandleId {
    return this.#add({ kind: 'directory', inode, upTo });
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

  /** EBADF if the handle is not open. */
  inodeOf(id: HandleId): InodeId {
    const handle = this.#handles.get(id);
    if (handle === undefined) throw new FsError('EBADF', `handle ${id} is not open`);
    return handle.kind === 'file' ? handle.file.inode : handle.inode;
  }

  /** Forgets a handle and returns its inode; EBADF if it is not open. */
  remove(id: HandleId): InodeId {
    const inode = this.inodeOf(id);
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    if (handle?.kind !== 'file') return inode;
    handle.file.handleCount -= 1;
    if (handle.file.handleCount === 0) this.#files.delete(inode);
    return inode;
  }

  /** Every open file, once. */
  files(): IterableIterator<OpenFile> {
    return this.#files.values();
  }
}
