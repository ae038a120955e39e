/**
 * The contract between the file system and its metadata: namespace and outer metadata of datasets. The local
 * store answers at once, a remote one by promise. Every mutation is atomic; names are raw bytes.
 */
import type { Timespec } from '../clock.ts';
import type { EntrySequence, InodeId } from '../ids.ts';
import type { PolicyName } from '../policy.ts';
import type { MaybePromise } from '../task.ts';

/** How a dataset's blocks are placed; kept with the dataset from its creation. */
export interface Layout {
  policy: PolicyName;
  blockSizeBytes: number;
  /** Copies of each block, 1 to 3. */
  replication: number;
}

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
  /** Raised by every change of data. */
  dataVersion: number;
}

/** The outer record of a dataset. Authoritative for all but what block 0 keeps (see {@link DataReport}). */
export interface InodeRecord extends DataReport {
  readonly inode: InodeId;
  /** Type and permission bits as in `st_mode`. */
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  ctime: Timespec;
  /** Block 0 has not been written yet: the record alone describes the dataset. */
  unborn: boolean;
  layout: Layout;
  /** Epoch of the server map under which its blocks are placed. */
  mapEpoch: number;
  /** The URI under which it was created; placement hashes it, so a rename moves no data. */
  uri: string;
  /** A symlink's target while the symlink is unborn; afterwards block 0 has it. */
  target: Buffer | undefined;
  /** For a directory: the one it is in (the root is its own parent); otherwise 0. */
  parent: InodeId | 0;
}

/** What a new dataset starts with. Set-gid inheritance is applied by the store, which knows the parent. */
export interface NewInode {
  /** Type and permission bits, umask already applied. */
  mode: number;
  uid: number;
  gid: number;
  rdev?: number;
  /** A symlink's target, 1 to 4,095 bytes. */
  target?: Buffer;
}

/** A change of outer attributes; what is absent stays. `ctime` becomes now in any case. */
export interface AttributeChange {
  /** Permission bits; the type cannot change. */
  permissions?: number;
  uid?: number;
  gid?: number;
  atime?: Timespec;
  mtime?: Timespec;
  /** Drop set-uid, and set-gid where the group may execute, in the same transaction (chown, write by others). */
  dropPrivilegeBits?: boolean;
}

/** One line of a directory listing. */
export interface ListedEntry {
  name: Buffer;
  inode: InodeId;
  /** Type bits of the mode. */
  type: number;
  sequence: EntrySequence;
}

/** Result of taking a name away from an inode. */
export interface Unlinked {
  /** The record afterwards. With `nlink` 0 it is an orphan, kept until {@link MetaStore.reap}. */
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
  /** The directory that an `imss://` URI's path names, made (with its parents) if missing. ENOTDIR. */
  directoryAt(path: readonly Buffer[], owner: NewInode): MaybePromise<InodeRecord>;
  lookup(parent: InodeId, name: Buffer): MaybePromise<InodeRecord>;
  inode(inode: InodeId): MaybePromise<InodeRecord>;
  /** Makes an inode of any type and its entry. EEXIST, EMLINK (too many subdirectories). */
  create(entry: EntryName, spec: NewInode, tag?: RequestTag): MaybePromise<InodeRecord>;
  /** A second name. EEXIST, EPERM for a directory, EMLINK above 65,000, ENOENT for an orphan. */
  link(inode: InodeId, entry: EntryName, tag?: RequestTag): MaybePromise<InodeRecord>;
  /** EISDIR for a directory. */
  unlink(entry: EntryName, tag?: RequestTag): MaybePromise<Unlinked>;
  /** ENOTEMPTY, ENOTDIR, EBUSY for the root. */
  rmdir(entry: EntryName, tag?: RequestTag): MaybePromise<Unlinked>;
  /**
   * rename(2) and renameat2(2): EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (into its own subtree), EMLINK.
   * Returns what lost its name to the rename, if anything did.
   */
  rename(
    from: EntryName,
    to: EntryName,
    flags?: RenameFlags,
    tag?: RequestTag,
  ): MaybePromise<Unlinked | undefined>;
  setAttributes(
    inode: InodeId,
    change: AttributeChange,
    tag?: RequestTag,
  ): MaybePromise<InodeRecord>;
  /** A listing's or readlink's access time: changes nothing else. */
  touchAtime(inode: InodeId, atime: Timespec): MaybePromise<void>;
  /** Block 0 exists now: the record is born, a symlink's target leaves it. Repeating it changes nothing. */
  confirmBorn(inode: InodeId): MaybePromise<void>;
  /** A writer's close: stores the report and marks the record born. A lower `dataVersion` than stored is ignored. */
  reportData(inode: InodeId, report: DataReport): MaybePromise<void>;
  /** The highest sequence number that the directory has given out; listings stop there. */
  lastSequence(directory: InodeId): MaybePromise<EntrySequence>;
  /** Entries with `after < sequence <= upTo`, in order of sequence, at most `limit`. No `.` and `..`. */
  list(
    directory: InodeId,
    page: { after: EntrySequence; upTo: EntrySequence; limit: number },
  ): MaybePromise<ListedEntry[]>;
  /** The last opener of an orphan is gone: its blocks are freed, then its record. ESTALE is not raised. */
  reap(inode: InodeId): MaybePromise<void>;
  /** How many inodes exist, orphans included. */
  inodeCount(): MaybePromise<number>;
}

/** What the metadata store needs of the block stores; wired by `cli`. */
export interface BlockReaper {
  /** Frees all blocks of a dataset on all servers; resolves when every server has confirmed. */
  free(inode: InodeId): MaybePromise<void>;
}
