/** What all namespace operations share: checks of names and directories, and entries coming and going. */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import type { Task } from '../task.ts';
import type { DatasetUris } from './dataset-uris.ts';
import type { NumberSource } from './inode-numbers.ts';
import { Table } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import {
  type DirectoryPart,
  directorySizeBytes,
  type StoredEntry,
  type StoredInode,
} from './records.ts';
import {
  addOpenBits,
  findEntry,
  findInode,
  mark,
  OpenBit,
  putEntry,
  putInode,
  removeEntry,
} from './tables.ts';

/** Longest name, in bytes; NAME_MAX of `linux/limits.h`. */
export const MAX_NAME_BYTES = 255;

/** How many names an inode may have. */
export interface LinkLimits {
  /** Hard links of one file. */
  links: number;
  /** Link count of a directory: its subdirectories and two. */
  directoryLinks: number;
}

/** 65,000 is ext4's EXT4_LINK_MAX. Like tmpfs and ext4's dir_nlink, directories have no limit of use to anyone. */
export const LINK_LIMITS: LinkLimits = { links: 65_000, directoryLinks: 0xffff_fffe };

/** What namespace operations need beside the database. */
export interface NamespaceContext {
  readonly now: () => Timespec;
  readonly numbers: NumberSource;
  readonly uris: DatasetUris;
  readonly limits: LinkLimits;
  /** Epoch of the server map that new datasets are placed under. */
  readonly mapEpoch: number;
  /** `created`: inodes made by the running transaction; counts once it is committed. */
  readonly counts: { created: number };
  /** Whose operation it is, as {@link CLIENT_ID_BYTES} bytes; undefined for a lone mount, which is not registered. */
  readonly client: Buffer | undefined;
}

export type StoredDirectory = StoredInode & { directory: DirectoryPart };

const SLASH = 0x2f;
const DOT = 0x2e;

/** One for all lookups that find nothing: they are everyday, and a stack trace for each is not free. */
export const NO_ENTRY = new FsError('ENOENT');

export function checkName(name: Buffer): void {
  if (name.length > MAX_NAME_BYTES) throw new FsError('ENAMETOOLONG');
  const dots = name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
  if (name.length === 0 || dots || name.includes(SLASH) || name.includes(0)) {
    throw new FsError('EINVAL', 'not a name');
  }
}

export function isDirectory(record: StoredInode): record is StoredDirectory {
  return record.directory !== undefined;
}

/** ESTALE if the inode is gone. */
export function* requireInode(kv: KeyValueReader, inode: InodeId): Task<StoredInode> {
  const record = yield* findInode(kv, inode);
  if (record === undefined) throw new FsError('ESTALE', `inode ${inode}`);
  return record;
}

/** ESTALE, ENOTDIR. */
export function* requireDirectory(kv: KeyValueReader, inode: InodeId): Task<StoredDirectory> {
  const record = yield* requireInode(kv, inode);
  if (!isDirectory(record)) throw new FsError('ENOTDIR');
  return record;
}

/** A directory that may get entries: ENOENT for one that was removed and is only still open. */
export function* requireLiveDirectory(kv: KeyValueReader, inode: InodeId): Task<StoredDirectory> {
  const record = yield* requireDirectory(kv, inode);
  if (record.nlink === 0) throw new FsError('ENOENT', 'the directory was removed');
  return record;
}

/** ENOENT. */
export function* requireEntry(
  kv: KeyValueReader,
  parent: InodeId,
  name: Buffer,
): Task<StoredEntry> {
  const entry = yield* findEntry(kv, parent, name);
  if (entry === undefined) throw NO_ENTRY;
  return entry;
}

/** Adds a name; the caller puts the parent's record. */
export function* addEntry(
  kv: KeyValueTransaction,
  parent: StoredDirectory,
  name: Buffer,
  child: StoredInode,
): Task<void> {
  const directory = parent.directory;
  directory.lastSequence++;
  resize(parent, 1);
  yield* putEntry(kv, parent.inode, name, {
    inode: child.inode,
    type: fileTypeOf(child.mode),
    sequence: directory.lastSequence,
  });
}

/** Takes a name away; the caller puts the parent's record. */
export function* dropEntry(
  kv: KeyValueTransaction,
  parent: StoredDirectory,
  name: Buffer,
  entry: StoredEntry,
): Task<void> {
  resize(parent, -1);
  yield* removeEntry(kv, parent.inode, name, entry);
}

/** Adds to a directory's number of entries. */
export function resize(directory: StoredDirectory, entries: number): void {
  directory.directory.entries += entries;
  directory.sizeBytes = directorySizeBytes(directory.directory.entries);
}

/** The entries of a directory have changed. */
export function touch(directory: StoredDirectory, now: Timespec): void {
  directory.mtime = now;
  directory.ctime = now;
}

/**
 * An inode has lost a name: one link less, an orphan after the last, held by the client who took it away. A directory
 * has only one name.
 */
export function* loseName(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  record: StoredInode,
  now: Timespec,
): Task<void> {
  record.nlink = isDirectory(record) ? 0 : record.nlink - 1;
  record.ctime = now;
  yield* putInode(kv, record);
  if (record.nlink > 0) return;
  yield* mark(kv, Table.ORPHANS, record.inode);
  if (context.client !== undefined)
    yield* addOpenBits(kv, record.inode, context.client, OpenBit.HOLD);
}

/** ENOTEMPTY. */
export function requireEmpty(directory: StoredDirectory): void {
  if (directory.directory.entries > 0) throw new FsError('ENOTEMPTY');
}

/** EMLINK unless `directory` can take one more subdirectory. */
export function requireRoomForSubdirectory(
  context: NamespaceContext,
  directory: StoredDirectory,
): void {
  if (directory.nlink >= context.limits.directoryLinks) throw new FsError('EMLINK');
}

/** Type bits of an entry that is a directory. */
export function isDirectoryEntry(entry: StoredEntry): boolean {
  return entry.type === FileType.DIRECTORY;
}
