/** `struct stat` in our words, and the mode bits of inode(7). Shared by every layer. */
import type { Timespec } from './clock.ts';
import type { InodeId } from './ids.ts';

/** Bits of `st_mode` that tell the type; the values are Linux's. */
export const FileType = {
  FIFO: 0o010000,
  CHARACTER: 0o020000,
  DIRECTORY: 0o040000,
  BLOCK: 0o060000,
  REGULAR: 0o100000,
  SYMLINK: 0o120000,
  SOCKET: 0o140000,
} as const;
export type FileType = (typeof FileType)[keyof typeof FileType];

export const TYPE_MASK = 0o170000;
export const PERMISSION_MASK = 0o7777;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IXGRP = 0o0010;

/** The type bits of `mode`. */
export function fileTypeOf(mode: number): FileType {
  return (mode & TYPE_MASK) as FileType;
}

/** What stat(2) tells of a dataset. */
export interface Stat {
  inode: InodeId;
  /** Type and permission bits. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  /** Device number of a device node, in the kernel's 32-bit encoding; otherwise 0. */
  rdev: number;
  sizeBytes: number;
  /** Bytes of data actually stored: less than the size where there are holes. */
  storedBytes: number;
  /** Preferred size of reads and writes. */
  blockSizeBytes: number;
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;
}
