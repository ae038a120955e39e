/** The vocabulary between the VFS and the engines that bring it to a mount point. */
import type { Timespec } from '../clock.ts';
import type { HandleId, InodeId } from '../ids.ts';
import type { AclChange } from '../meta/store.ts';
import type { Stat } from '../stat.ts';

/** The process on whose behalf an operation runs. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** What stat(2) tells, and what it does not. */
export interface KnownStat extends Stat {
  /** A regular file's size and times are those of block 0, which may go on changing. */
  isUnsettled?: boolean;
}

/** An inode that a name led to. */
export interface Entry {
  readonly inode: InodeId;
  readonly stat: KnownStat;
}

/** An open file. */
export interface Opened {
  readonly handle: HandleId;
  /** What the kernel has in its page cache is still what the file holds. */
  readonly keepsPages: boolean;
}

/** A change by chmod, chown, truncate, utimensat and setfacl; what is absent stays. */
export interface SetAttributes {
  permissions?: number;
  uid?: number;
  gid?: number;
  sizeBytes?: number;
  atime?: Timespec | 'now';
  mtime?: Timespec | 'now';
  /** The kernel leaves dropping of set-uid and set-gid to us: the caller may not keep them. */
  dropPrivilegeBits?: boolean;
  acl?: AclChange;
}

/** What open(2) was asked for, as far as the VFS cares. */
export interface OpenMode {
  /** For writing, alone or beside reading. */
  readonly write: boolean;
  readonly truncate: boolean;
  /** open(2) by a caller whose truncation must drop set-uid and set-gid. */
  readonly dropPrivilegeBits?: boolean;
}

/** Receives directory entries; returns false when the page is full and the entry was not taken. */
export interface DirectorySink {
  /** `offset` is where the listing goes on after this entry. */
  add(entry: {
    name: Buffer;
    inode: InodeId;
    type: number;
    offset: number;
    stat?: KnownStat;
  }): boolean;
}

/** What programs and the kernel hold on to at the moment. */
export interface UseCounts {
  /** Open handles of files and directories. */
  readonly handles: number;
  readonly openFiles: number;
  /** Inodes that the kernel has in its caches. */
  readonly knownInodes: number;
  /** How often it was told of them. */
  readonly lookups: number;
  /** Inodes without a name that are still in use. */
  readonly orphans: number;
  /** Where there may be other mounts: whether this one is known to be the only one. */
  readonly alone?: boolean;
}

/** Figures of statfs(2). */
export interface FileSystemUsage {
  readonly capacityBytes: number;
  readonly freeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
}
