/**
 * The contract between the file system and its metadata: namespace and outer metadata of datasets. The local
 * store answers at once, a remote one by promise. Every mutation is atomic; names are raw bytes.
 */
import type { Timespec } from '../clock.ts';
import type { BlockIndex, EntrySequence, InodeId } from '../ids.ts';
import type { Dataset, Layout } from '../layout.ts';
import type { MaybePromise } from '../task.ts';
import type { AclKind, Acls } from './acl.ts';
import type { LockStore } from './lock-store.ts';

export type { Layout } from '../layout.ts';
export { POLICIES, type PolicyName } from '../policy.ts';

/**
 * What block 0's server last told of a dataset's data, when its last writer closed it. For a dataset that is
 * unborn, and for everything but regular files, these are the attributes themselves.
 */
export interface DataReport {
  sizeBytes: number;
  /** Bytes of data actually stored. */
  storedBytes: number;
  atime: Timespec;
  mtime: Timespec;
  /** Last change that block 0 knows of; the record's own only ever moves forward to it. */
  ctime: Timespec;
  /** Raised by every change of data. */
  dataVersion: number;
  /** Raised by every truncation. */
  generation: number;
  /** Where the latest truncation cut. */
  truncatedBytes: number;
}

/** The outer record of a dataset. Authoritative for all but what block 0 keeps (see {@link DataReport}). */
export interface InodeRecord extends DataReport, Dataset {
  /** Type and permission bits as in `st_mode`. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  /** Block 0 has not been written yet: the record alone describes the dataset. */
  unborn: boolean;
  /**
   * A regular file that somebody has open for writing, or whose writer died without a report: block 0, if there is one,
   * knows better than this record. A store that is not told of openers says so of every regular file.
   */
  readonly unsettled: boolean;
  layout: Layout;
  uri: string;
  /** A symlink's target while the symlink is unborn; afterwards block 0 has it. */
  target: Buffer | undefined;
  /** For a directory: the one it is in (the root is its own parent); otherwise 0. */
  parent: InodeId | 0;
  /** Absent where there is none: the mode then says all. */
  acls?: Acls | undefined;
}

/** What a new dataset starts with. What it has of its directory is applied by the store, which knows the parent. */
export interface NewInode {
  /** Type and permission bits. */
  mode: number;
  /** Taken from the permission bits unless the directory has a default ACL; 0 if absent, or if already applied. */
  umask?: number;
  uid: number;
  gid: number;
  rdev?: number;
  /** A symlink's target, 1 to 4,095 bytes. */
  target?: Buffer;
  /** Block server on the creator's node, or any other; kept where the policy is LOCAL. 0 if absent. */
  home?: number;
}

/** What a mount has an inode open for. The metadata server keeps the highest level of each mount. */
export type OpenLevel = 'none' | 'read' | 'write';

/**
 * Sets an ACL, or removes it (`value` absent or without entries). An access ACL changes the mode with it, and is not kept
 * where the mode says as much. EINVAL, E2BIG above MAX_ACL_BYTES of `acl.ts`; EOPNOTSUPP for a symlink, EACCES for the default
 * ACL of what is no directory.
 */
export interface AclChange {
  kind: AclKind;
  /** As the extended attribute has it. */
  value?: Buffer | undefined;
  /** Who sets it is neither in the file's group nor privileged, so set-gid goes. */
  dropSetGid?: boolean | undefined;
}

/** A change of outer attributes; what is absent stays. `ctime` becomes now in any case. */
export interface AttributeChange {
  /** Permission bits; the type cannot change. An access ACL follows them. */
  permissions?: number;
  uid?: number;
  gid?: number;
  atime?: Timespec;
  mtime?: Timespec;
  /** Drop set-uid, and set-gid where the group may execute, in the same transaction (chown, write by others). */
  dropPrivilegeBits?: boolean;
  acl?: AclChange;
}

/** One line of a directory listing. */
export interface ListedEntry {
  name: Buffer;
  inode: InodeId;
  /** Type bits of the mode. */
  type: number;
  sequence: EntrySequence;
}

/** A page of a directory listing. */
export interface ListingPage {
  after: EntrySequence;
  /** The last entry to list; undefined for the newest that there is now. */
  upTo: EntrySequence | undefined;
  limit: number;
  /** Records of the entries are wanted, too. */
  withRecords: boolean;
}

/** What {@link MetaStore.list} returns. */
export interface Listing {
  directory: InodeRecord;
  /** The last entry that this listing will ever show. */
  upTo: EntrySequence;
  /** `record` is set if it was asked for, unless the inode has gone meanwhile. */
  entries: (ListedEntry & { record?: InodeRecord })[];
}

/** Result of taking a name away from an inode. */
export interface Unlinked {
  /** The record afterwards. With `nlink` 0 it is an orphan, kept for this mount until {@link MetaStore.reap}. */
  record: InodeRecord;
}

/** Flags of renameat2(2). */
export interface RenameFlags {
  noReplace?: boolean;
  exchange?: boolean;
}

/** A name in a directory. */
export interface EntryName {
  parent: InodeId;
  name: Buffer;
}

/**
 * Marks a mutation so that a retry after a lost reply returns the first reply instead of running twice.
 * Local callers, whose replies cannot get lost, leave it out.
 */
export interface RequestTag {
  session: number;
  sequence: number;
  /** Every lower sequence number of this session has been answered; their replies may be forgotten. */
  acknowledgedBelow: number;
}

/**
 * All methods fail with FsError: ENOENT for a name that is not there, ESTALE for an inode that is gone,
 * ENOTDIR where a directory was wanted, ENAMETOOLONG above 255 bytes, EINVAL for an empty name or one with `/`
 * or NUL, ENOSPC when the database's disk is full, EIO when it fails otherwise. Further errnos are listed per method.
 */
export interface MetaStore {
  /** Others may change what this mount sees; {@link openInode} and {@link closeInode} tell who has what open. */
  readonly shared: boolean;
  /** Locks that hold between mounts; undefined where there is but one mount, whose kernel keeps them as well. */
  readonly locks?: LockStore | undefined;
  /** Where others may come: whether there are any. */
  readonly lone?: Aloneness | undefined;
  /** The directory that an `imss://` URI's path names, made (with its parents) if missing. ENOTDIR. */
  directoryAt(path: readonly Buffer[], owner: NewInode): MaybePromise<InodeRecord>;
  lookup(parent: InodeId, name: Buffer): MaybePromise<InodeRecord>;
  inode(inode: InodeId): MaybePromise<InodeRecord>;
  /** Makes an inode of any type and its entry, open at `level`. EEXIST, EMLINK (too many subdirectories). */
  create(entry: EntryName, spec: NewInode, level?: OpenLevel): MaybePromise<InodeRecord>;
  /**
   * Makes a regular file without a name, with what `parent` hands on, open at `level`: an orphan that {@link link} may
   * give a name, held for this mount until {@link reap}.
   */
  createNameless(
    parent: InodeId,
    spec: NewInode,
    level: Exclude<OpenLevel, 'none'>,
  ): MaybePromise<InodeRecord>;
  /**
   * This mount has the inode open, for at least `level`: an orphan stays as long as anybody has. To repeat it is
   * harmless. ESTALE also for an orphan that this mount has neither open nor removed itself.
   */
  openInode(inode: InodeId, level: Exclude<OpenLevel, 'none'>): MaybePromise<InodeRecord>;
  /**
   * This mount has the inode open for no more than `level` from now on. `report` as in {@link reportData}; without one,
   * a mount that had it open for writing has changed nothing. Nothing happens for an inode that is gone.
   */
  closeInode(inode: InodeId, level: OpenLevel, report?: DataReport): MaybePromise<void>;
  /** A second name. EEXIST, EPERM for a directory, EMLINK above 65,000, ENOENT for an orphan that had a name. */
  link(inode: InodeId, entry: EntryName): MaybePromise<InodeRecord>;
  /** EISDIR for a directory. */
  unlink(entry: EntryName): MaybePromise<Unlinked>;
  /** ENOTEMPTY, ENOTDIR, EBUSY for the root. */
  rmdir(entry: EntryName): MaybePromise<Unlinked>;
  /**
   * rename(2) and renameat2(2): EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (into its own subtree), EMLINK.
   * Returns what lost its name to the rename, if anything did.
   */
  rename(from: EntryName, to: EntryName, flags?: RenameFlags): MaybePromise<Unlinked | undefined>;
  setAttributes(inode: InodeId, change: AttributeChange): MaybePromise<InodeRecord>;
  /** A listing's or readlink's access time: changes nothing else. */
  touchAtime(inode: InodeId, atime: Timespec): MaybePromise<void>;
  /** Block 0 exists now: the record is born, a symlink's target leaves it. Repeating it changes nothing. */
  confirmBorn(inode: InodeId): MaybePromise<void>;
  /** Block 0 has changed: stores the report and marks the record born. A lower `dataVersion` than stored is ignored. */
  reportData(inode: InodeId, report: DataReport): MaybePromise<void>;
  /** Entries with `after < sequence <= upTo`, in order of sequence, at most `limit`. No `.` and `..`. */
  list(directory: InodeId, page: ListingPage): MaybePromise<Listing>;
  /**
   * This mount needs an orphan no more. When no mount does, its blocks are freed, then its record. ESTALE is not raised.
   */
  reap(inode: InodeId): MaybePromise<void>;
  /** How many inodes exist, orphans included. */
  inodeCount(): MaybePromise<number>;
  /**
   * Changes the layout that a directory hands on, or that of a regular file that has no data yet. EEXIST for a file
   * with data, EINVAL for anything else.
   */
  setLayout(inode: InodeId, change: Partial<Layout>): MaybePromise<InodeRecord>;
  /** LOCAL datasets: the server of each block, which is `server` for those that had none until now. */
  claimBlocks(
    inode: InodeId,
    blocks: readonly BlockIndex[],
    server: number,
  ): MaybePromise<number[]>;
  /** LOCAL datasets: the server of each block; undefined for one that was never written. */
  blockServers(inode: InodeId, blocks: readonly BlockIndex[]): MaybePromise<(number | undefined)[]>;
}

/** Being the only mount of a file system that others may join at any time. */
export interface Aloneness {
  /** What happens now is at this time. */
  nowMs(): number;
  /** For how long nobody else changes anything, as nobody has since `sinceMs`; 0 if that is not known. */
  leftMs(sinceMs: number): number;
  /** Nobody else is there, for all that is known without asking. */
  readonly isAlone: boolean;
}

/** What the metadata store needs of the block stores; wired by `cli`. */
export interface BlockReaper {
  /** Frees all blocks of a dataset on all servers; resolves when every server has confirmed. */
  free(inode: InodeId): MaybePromise<void>;
}
