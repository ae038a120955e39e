/**
 * Every number and structure of the kernel's FUSE protocol, 7.31 to 7.45, as tables, after `include/uapi/linux/fuse.h`
 * of Linux 6.18. Structures keep the kernel's names and spelling; nothing here has behaviour but the choice
 * between two sizes of one structure.
 */
import { layout, type Decoded, type Layout } from './layout.ts';

export const FUSE_KERNEL_VERSION = 7;
/** The oldest minor version that we speak: Linux 5.4. Below it, structures had other sizes. */
export const MIN_MINOR = 31;
/** The newest minor version whose messages are all in these tables. */
export const MAX_MINOR = 45;

/** Node id of the mount's root. */
export const FUSE_ROOT_ID = 1;
/** The kernel refuses reads of /dev/fuse into less than this (`fuse_dev_do_read`). */
export const FUSE_MIN_READ_BUFFER = 8192;
/** `in_header.uid` and `gid` when the caller's cannot be mapped (with ALLOW_IDMAP only). */
export const FUSE_INVALID_UIDGID = 0xffff_ffff;
/** Records of a directory listing start at multiples of this (`FUSE_REC_ALIGN`). */
export const FUSE_RECORD_ALIGN = 8;
/** `total_extlen` counts in units of this many bytes. */
export const FUSE_EXTENSION_UNIT_BYTES = 8;

// Flag words --------------------------------------------------------------------------------------------------

/** FUSE_*: first word of flags in INIT, `flags` of init_in and init_out. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  FILE_OPS: 1 << 2,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  SPLICE_WRITE: 1 << 7,
  SPLICE_MOVE: 1 << 8,
  SPLICE_READ: 1 << 9,
  FLOCK_LOCKS: 1 << 10,
  HAS_IOCTL_DIR: 1 << 11,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  WRITEBACK_CACHE: 1 << 16,
  NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18,
  HANDLE_KILLPRIV: 1 << 19,
  POSIX_ACL: 1 << 20,
  ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  NO_OPENDIR_SUPPORT: 1 << 24,
  EXPLICIT_INVAL_DATA: 1 << 25,
  MAP_ALIGNMENT: 1 << 26,
  SUBMOUNTS: 1 << 27,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
  /** Must stay clear. */
  INIT_RESERVED: 2 ** 31,
} as const;

/** FUSE_*: second word of flags in INIT, `flags2`; bits 32 to 63 of the kernel's numbering. Only with INIT_EXT. */
export const InitFlag2 = {
  SECURITY_CTX: 1 << 0,
  HAS_INODE_DAX: 1 << 1,
  CREATE_SUPP_GROUP: 1 << 2,
  HAS_EXPIRE_ONLY: 1 << 3,
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5,
  NO_EXPORT_SUPPORT: 1 << 6,
  HAS_RESEND: 1 << 7,
  ALLOW_IDMAP: 1 << 8,
  OVER_IO_URING: 1 << 9,
  REQUEST_TIMEOUT: 1 << 10,
} as const;

/** FATTR_*: which fields of setattr_in count. */
export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** FOPEN_*: `open_flags` of open_out, our answer. */
export const OpenFlag = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  CACHE_DIR: 1 << 3,
  STREAM: 1 << 4,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  PASSTHROUGH: 1 << 7,
} as const;

/** FUSE_OPEN_*: `open_flags` of open_in and create_in, the kernel's wish. */
export const OpenInFlag = { KILL_SUIDGID: 1 << 0 } as const;

/** FUSE_RELEASE_*: `release_flags`. */
export const ReleaseFlag = { FLUSH: 1 << 0, FLOCK_UNLOCK: 1 << 1 } as const;

/** FUSE_GETATTR_*: `getattr_flags`. */
export const GetattrFlag = { FH: 1 << 0 } as const;

/** FUSE_LK_*: `lk_flags`. */
export const LockFlag = { FLOCK: 1 << 0 } as const;

/** FUSE_WRITE_*: `write_flags`. */
export const WriteFlag = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 } as const;

/** FUSE_READ_*: `read_flags`. */
export const ReadFlag = { LOCKOWNER: 1 << 1 } as const;

/** FUSE_IOCTL_*: `flags` of ioctl_in and ioctl_out. */
export const IoctlFlag = {
  COMPAT: 1 << 0,
  UNRESTRICTED: 1 << 1,
  RETRY: 1 << 2,
  IS_32BIT: 1 << 3,
  DIR: 1 << 4,
  COMPAT_X32: 1 << 5,
} as const;

/** FUSE_POLL_*: `flags` of poll_in. */
export const PollFlag = { SCHEDULE_NOTIFY: 1 << 0 } as const;

/** FUSE_FSYNC_*: `fsync_flags`. */
export const FsyncFlag = { FDATASYNC: 1 << 0 } as const;

/** FUSE_ATTR_*: `flags` of fuse_attr. */
export const AttrFlag = { SUBMOUNT: 1 << 0, DAX: 1 << 1 } as const;

/** FUSE_SETXATTR_*: `setxattr_flags`. */
export const SetxattrFlag = { ACL_KILL_SGID: 1 << 0 } as const;

/** Flags of the INVAL_ENTRY notification. */
export const InvalEntryFlag = { EXPIRE_ONLY: 1 << 0 } as const;

/** FUSE_SETUPMAPPING_FLAG_*. */
export const SetupmappingFlag = { WRITE: 1 << 0, READ: 1 << 1 } as const;

/** FUSE_NOTIFY_*: what takes the error's place in a message that we send unasked. */
export const NotifyCode = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  RESEND: 7,
  INC_EPOCH: 8,
  PRUNE: 9,
} as const;

// Structures --------------------------------------------------------------------------------------------------

export const FUSE_IN_HEADER = layout('fuse_in_header', {
  len: 'u32',
  opcode: 'u32',
  unique: 'words',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  total_extlen: 'u16',
  padding: 'pad2',
});

export const FUSE_OUT_HEADER = layout('fuse_out_header', {
  len: 'u32',
  error: 'i32',
  unique: 'words',
});

/** Seconds are declared unsigned in C, but the kernel takes them as signed (`fuse_change_attributes_common`). */
export const FUSE_ATTR = layout('fuse_attr', {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
});

export const FUSE_SX_TIME = layout('fuse_sx_time', {
  tv_sec: 'i64',
  tv_nsec: 'u32',
  __reserved: 'pad4',
});

export const FUSE_STATX = layout('fuse_statx', {
  mask: 'u32',
  blksize: 'u32',
  attributes: 'u64',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  mode: 'u16',
  __spare0: 'pad2',
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  attributes_mask: 'u64',
  atime: FUSE_SX_TIME,
  btime: FUSE_SX_TIME,
  ctime: FUSE_SX_TIME,
  mtime: FUSE_SX_TIME,
  rdev_major: 'u32',
  rdev_minor: 'u32',
  dev_major: 'u32',
  dev_minor: 'u32',
  __spare2: 'pad112',
});

export const FUSE_KSTATFS = layout('fuse_kstatfs', {
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 'pad4',
  spare: 'pad24',
});

/** `end` is the last byte, not the one after it; 2^63-1 (END_OF_RANGE) stands for the end of the file. */
export const FUSE_FILE_LOCK = layout('fuse_file_lock', {
  start: 'offset',
  end: 'offset',
  type: 'u32',
  pid: 'u32',
});

export const FUSE_ENTRY_OUT = layout('fuse_entry_out', {
  nodeid: 'u64',
  generation: 'u64',
  entry_valid: 'u64',
  attr_valid: 'u64',
  entry_valid_nsec: 'u32',
  attr_valid_nsec: 'u32',
  attr: FUSE_ATTR,
});

export const FUSE_FORGET_IN = layout('fuse_forget_in', { nlookup: 'u64' });

export const FUSE_FORGET_ONE = layout('fuse_forget_one', { nodeid: 'u64', nlookup: 'u64' });

export const FUSE_BATCH_FORGET_IN = layout('fuse_batch_forget_in', { count: 'u32', dummy: 'pad4' });

export const FUSE_GETATTR_IN = layout('fuse_getattr_in', {
  getattr_flags: 'u32',
  dummy: 'pad4',
  fh: 'u64',
});

export const FUSE_ATTR_OUT = layout('fuse_attr_out', {
  attr_valid: 'u64',
  attr_valid_nsec: 'u32',
  dummy: 'pad4',
  attr: FUSE_ATTR,
});

export const FUSE_STATX_IN = layout('fuse_statx_in', {
  getattr_flags: 'u32',
  reserved: 'pad4',
  fh: 'u64',
  sx_flags: 'u32',
  sx_mask: 'u32',
});

export const FUSE_STATX_OUT = layout('fuse_statx_out', {
  attr_valid: 'u64',
  attr_valid_nsec: 'u32',
  flags: 'u32',
  spare: 'pad16',
  stat: FUSE_STATX,
});

export const FUSE_MKNOD_IN = layout('fuse_mknod_in', {
  mode: 'u32',
  rdev: 'u32',
  umask: 'u32',
  padding: 'pad4',
});

export const FUSE_MKDIR_IN = layout('fuse_mkdir_in', { mode: 'u32', umask: 'u32' });

export const FUSE_RENAME_IN = layout('fuse_rename_in', { newdir: 'u64' });

export const FUSE_RENAME2_IN = layout('fuse_rename2_in', {
  newdir: 'u64',
  flags: 'u32',
  padding: 'pad4',
});

export const FUSE_LINK_IN = layout('fuse_link_in', { oldnodeid: 'u64' });

/** Only the fields that `valid` names count; see {@link SetattrValid}. Seconds are signed, as in fuse_attr. */
export const FUSE_SETATTR_IN = layout('fuse_setattr_in', {
  valid: 'u32',
  padding: 'pad4',
  fh: 'u64',
  size: 'offset',
  lock_owner: 'words',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 'pad4',
  uid: 'u32',
  gid: 'u32',
  unused5: 'pad4',
});

export const FUSE_OPEN_IN = layout('fuse_open_in', { flags: 'u32', open_flags: 'u32' });

export const FUSE_CREATE_IN = layout('fuse_create_in', {
  flags: 'u32',
  mode: 'u32',
  umask: 'u32',
  open_flags: 'u32',
});

export const FUSE_OPEN_OUT = layout('fuse_open_out', {
  fh: 'u64',
  open_flags: 'u32',
  backing_id: 'i32',
});

export const FUSE_RELEASE_IN = layout('fuse_release_in', {
  fh: 'u64',
  flags: 'u32',
  release_flags: 'u32',
  lock_owner: 'words',
});

export const FUSE_FLUSH_IN = layout('fuse_flush_in', {
  fh: 'u64',
  unused: 'pad4',
  padding: 'pad4',
  lock_owner: 'words',
});

/**
 * The offset of READDIR is what an entry's `off` said, so exact there; of READ it is a position. END_OF_RANGE
 * serves both: no entry has that offset.
 */
export const FUSE_READ_IN = layout('fuse_read_in', {
  fh: 'u64',
  offset: 'offset',
  size: 'u32',
  read_flags: 'u32',
  lock_owner: 'words',
  flags: 'u32',
  padding: 'pad4',
});

export const FUSE_WRITE_IN = layout('fuse_write_in', {
  fh: 'u64',
  offset: 'offset',
  size: 'u32',
  write_flags: 'u32',
  lock_owner: 'words',
  flags: 'u32',
  padding: 'pad4',
});

export const FUSE_WRITE_OUT = layout('fuse_write_out', { size: 'u32', padding: 'pad4' });

export const FUSE_STATFS_OUT = layout('fuse_statfs_out', { st: FUSE_KSTATFS });

export const FUSE_FSYNC_IN = layout('fuse_fsync_in', {
  fh: 'u64',
  fsync_flags: 'u32',
  padding: 'pad4',
});

/** Without SETXATTR_EXT only the first {@link FUSE_COMPAT_SETXATTR_IN_SIZE} bytes are sent. */
export const FUSE_SETXATTR_IN = layout('fuse_setxattr_in', {
  size: 'u32',
  flags: 'u32',
  setxattr_flags: 'u32',
  padding: 'pad4',
});
export const FUSE_COMPAT_SETXATTR_IN_SIZE = 8;

export const FUSE_GETXATTR_IN = layout('fuse_getxattr_in', { size: 'u32', padding: 'pad4' });

export const FUSE_GETXATTR_OUT = layout('fuse_getxattr_out', { size: 'u32', padding: 'pad4' });

export const FUSE_LK_IN = layout('fuse_lk_in', {
  fh: 'u64',
  owner: 'words',
  lk: FUSE_FILE_LOCK,
  lk_flags: 'u32',
  padding: 'pad4',
});

export const FUSE_LK_OUT = layout('fuse_lk_out', { lk: FUSE_FILE_LOCK });

export const FUSE_ACCESS_IN = layout('fuse_access_in', { mask: 'u32', padding: 'pad4' });

/** Before 7.36 only the first {@link FUSE_COMPAT_INIT_IN_SIZE} bytes are sent. `flags2` counts with INIT_EXT only. */
export const FUSE_INIT_IN = layout('fuse_init_in', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
  unused: 'pad44',
});
export const FUSE_COMPAT_INIT_IN_SIZE = 16;
/** The minor version that lengthened init_in. */
const MINOR_OF_LONG_INIT_IN = 36;

/** Kernels before 7.23 take only a beginning of it; see {@link initOutBytes}. */
export const FUSE_INIT_OUT = layout('fuse_init_out', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  max_background: 'u16',
  congestion_threshold: 'u16',
  max_write: 'u32',
  time_gran: 'u32',
  max_pages: 'u16',
  map_alignment: 'u16',
  flags2: 'u32',
  max_stack_depth: 'u32',
  request_timeout: 'u16',
  unused: 'pad22',
});

export const FUSE_INTERRUPT_IN = layout('fuse_interrupt_in', { unique: 'words' });

export const FUSE_BMAP_IN = layout('fuse_bmap_in', {
  block: 'offset',
  blocksize: 'u32',
  padding: 'pad4',
});

export const FUSE_BMAP_OUT = layout('fuse_bmap_out', { block: 'u64' });

/** `arg` is whatever a program passed, often a pointer. */
export const FUSE_IOCTL_IN = layout('fuse_ioctl_in', {
  fh: 'u64',
  flags: 'u32',
  cmd: 'u32',
  arg: 'words',
  in_size: 'u32',
  out_size: 'u32',
});

export const FUSE_IOCTL_IOVEC = layout('fuse_ioctl_iovec', { base: 'words', len: 'u64' });

export const FUSE_IOCTL_OUT = layout('fuse_ioctl_out', {
  result: 'i32',
  flags: 'u32',
  in_iovs: 'u32',
  out_iovs: 'u32',
});

export const FUSE_POLL_IN = layout('fuse_poll_in', {
  fh: 'u64',
  kh: 'words',
  flags: 'u32',
  events: 'u32',
});

export const FUSE_POLL_OUT = layout('fuse_poll_out', { revents: 'u32', padding: 'pad4' });

export const FUSE_NOTIFY_POLL_WAKEUP_OUT = layout('fuse_notify_poll_wakeup_out', { kh: 'words' });

export const FUSE_FALLOCATE_IN = layout('fuse_fallocate_in', {
  fh: 'u64',
  offset: 'offset',
  length: 'offset',
  mode: 'u32',
  padding: 'pad4',
});

/** The name follows, without its terminator, then zeros up to {@link FUSE_RECORD_ALIGN}. */
export const FUSE_DIRENT = layout('fuse_dirent', {
  ino: 'u64',
  off: 'u64',
  namelen: 'u32',
  type: 'u32',
});

export const FUSE_DIRENTPLUS = layout('fuse_direntplus', {
  entry_out: FUSE_ENTRY_OUT,
  dirent: FUSE_DIRENT,
});

export const FUSE_NOTIFY_INVAL_INODE_OUT = layout('fuse_notify_inval_inode_out', {
  ino: 'u64',
  off: 'i64',
  len: 'i64',
});

export const FUSE_NOTIFY_INVAL_ENTRY_OUT = layout('fuse_notify_inval_entry_out', {
  parent: 'u64',
  namelen: 'u32',
  flags: 'u32',
});

export const FUSE_NOTIFY_DELETE_OUT = layout('fuse_notify_delete_out', {
  parent: 'u64',
  child: 'u64',
  namelen: 'u32',
  padding: 'pad4',
});

export const FUSE_NOTIFY_STORE_OUT = layout('fuse_notify_store_out', {
  nodeid: 'u64',
  offset: 'offset',
  size: 'u32',
  padding: 'pad4',
});

export const FUSE_NOTIFY_RETRIEVE_OUT = layout('fuse_notify_retrieve_out', {
  notify_unique: 'words',
  nodeid: 'u64',
  offset: 'offset',
  size: 'u32',
  padding: 'pad4',
});

/** As long as fuse_write_in, whose place in a message it takes. */
export const FUSE_NOTIFY_RETRIEVE_IN = layout('fuse_notify_retrieve_in', {
  dummy1: 'pad8',
  offset: 'offset',
  size: 'u32',
  dummy2: 'pad4',
  dummy3: 'pad8',
  dummy4: 'pad8',
});

export const FUSE_NOTIFY_PRUNE_OUT = layout('fuse_notify_prune_out', {
  count: 'u32',
  padding: 'pad4',
  spare: 'pad8',
});

/** The offset may be negative: the kernel passes on what lseek(2) was given (`fuse_lseek`). */
export const FUSE_LSEEK_IN = layout('fuse_lseek_in', {
  fh: 'u64',
  offset: 'i64',
  whence: 'u32',
  padding: 'pad4',
});

export const FUSE_LSEEK_OUT = layout('fuse_lseek_out', { offset: 'u64' });

export const FUSE_COPY_FILE_RANGE_IN = layout('fuse_copy_file_range_in', {
  fh_in: 'u64',
  off_in: 'offset',
  nodeid_out: 'u64',
  fh_out: 'u64',
  off_out: 'offset',
  len: 'offset',
  flags: 'u64',
});

export const FUSE_COPY_FILE_RANGE_OUT = layout('fuse_copy_file_range_out', { bytes_copied: 'u64' });

export const FUSE_SETUPMAPPING_IN = layout('fuse_setupmapping_in', {
  fh: 'u64',
  foffset: 'offset',
  len: 'offset',
  flags: 'u64',
  moffset: 'offset',
});

export const FUSE_REMOVEMAPPING_IN = layout('fuse_removemapping_in', { count: 'u32' });

export const FUSE_REMOVEMAPPING_ONE = layout('fuse_removemapping_one', {
  moffset: 'offset',
  len: 'offset',
});

export const FUSE_SYNCFS_IN = layout('fuse_syncfs_in', { padding: 'pad8' });

export const FUSE_SECCTX = layout('fuse_secctx', { size: 'u32', padding: 'pad4' });

export const FUSE_SECCTX_HEADER = layout('fuse_secctx_header', { size: 'u32', nr_secctx: 'u32' });

export const FUSE_EXT_HEADER = layout('fuse_ext_header', { size: 'u32', type: 'u32' });

// Sizes that negotiation decides --------------------------------------------------------------------------------

/** What INIT agreed on: the lower of the two minors, and the flags that both sides set. */
export interface Negotiated {
  readonly minor: number;
  /** Bits of {@link InitFlag}. */
  readonly flags: number;
  /** Bits of {@link InitFlag2}. */
  readonly flags2: number;
}

/** For decoding the first request, INIT, which no negotiation can precede. */
export const NOTHING_NEGOTIATED: Negotiated = { minor: MAX_MINOR, flags: 0, flags2: 0 };

/** Where a structure stands that may be sent in part: bytes `start` to `end` of `buffer`. */
interface Part {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * An init_in cut to 16 bytes is taken for an old one only if its own minor says so. A kernel sends its whole
 * structure, whatever we speak: nothing is negotiated yet.
 */
function initInBytes(part: Part): number {
  const available = part.end - part.start;
  if (available >= FUSE_INIT_IN.sizeBytes) return FUSE_INIT_IN.sizeBytes;
  const old =
    available >= FUSE_COMPAT_INIT_IN_SIZE &&
    part.buffer.readUInt32LE(part.start + 4) < MINOR_OF_LONG_INIT_IN;
  return old ? FUSE_COMPAT_INIT_IN_SIZE : FUSE_INIT_IN.sizeBytes;
}

function setxattrInBytes(_part: Part, negotiated: Negotiated): number {
  return (negotiated.flags & InitFlag.SETXATTR_EXT) !== 0
    ? FUSE_SETXATTR_IN.sizeBytes
    : FUSE_COMPAT_SETXATTR_IN_SIZE;
}

/** How much of init_out a kernel of this minor version accepts; matters only for turning an old one away. */
export function initOutBytes(kernelMinor: number): number {
  if (kernelMinor < 5) return 8;
  return kernelMinor < 23 ? 24 : FUSE_INIT_OUT.sizeBytes;
}

// Operations ----------------------------------------------------------------------------------------------------

/** One kind of request. The message is: header, `input`, names, data, extensions. */
interface OpcodeRow {
  readonly opcode: number;
  readonly input?: Layout;
  /** For an input that may be sent in part: how many of its bytes are; the rest counts as zero. */
  readonly inputBytes?: (part: Part, negotiated: Negotiated) => number;
  /** How many NUL-terminated names follow. */
  readonly names: 0 | 1 | 2;
  /** Raw bytes follow: `itemBytes` times what the input's field `count` says. */
  readonly data?: { readonly count: string; readonly itemBytes: number };
  /** Structures of a successful reply, in order; `null` where the kernel takes no reply at all. */
  readonly reply: readonly Layout[] | null;
  /** Raw bytes may end the reply. For GETXATTR and LISTXATTR they take the structure's place unless `size` is 0. */
  readonly replyData?: true;
}

const ENTRY_AND_OPEN = [FUSE_ENTRY_OUT, FUSE_OPEN_OUT] as const;

// prettier-ignore
export const OPERATIONS = {
  LOOKUP: { opcode: 1, names: 1, reply: [FUSE_ENTRY_OUT] },
  FORGET: { opcode: 2, input: FUSE_FORGET_IN, names: 0, reply: null },
  GETATTR: { opcode: 3, input: FUSE_GETATTR_IN, names: 0, reply: [FUSE_ATTR_OUT] },
  SETATTR: { opcode: 4, input: FUSE_SETATTR_IN, names: 0, reply: [FUSE_ATTR_OUT] },
  READLINK: { opcode: 5, names: 0, reply: [], replyData: true },
  /** The new name, then the target. */
  SYMLINK: { opcode: 6, names: 2, reply: [FUSE_ENTRY_OUT] },
  MKNOD: { opcode: 8, input: FUSE_MKNOD_IN, names: 1, reply: [FUSE_ENTRY_OUT] },
  MKDIR: { opcode: 9, input: FUSE_MKDIR_IN, names: 1, reply: [FUSE_ENTRY_OUT] },
  UNLINK: { opcode: 10, names: 1, reply: [] },
  RMDIR: { opcode: 11, names: 1, reply: [] },
  /** The old name (in the header's node), then the new one (in `newdir`). */
  RENAME: { opcode: 12, input: FUSE_RENAME_IN, names: 2, reply: [] },
  LINK: { opcode: 13, input: FUSE_LINK_IN, names: 1, reply: [FUSE_ENTRY_OUT] },
  OPEN: { opcode: 14, input: FUSE_OPEN_IN, names: 0, reply: [FUSE_OPEN_OUT] },
  READ: { opcode: 15, input: FUSE_READ_IN, names: 0, reply: [], replyData: true },
  WRITE: { opcode: 16, input: FUSE_WRITE_IN, names: 0, data: { count: 'size', itemBytes: 1 }, reply: [FUSE_WRITE_OUT] },
  STATFS: { opcode: 17, names: 0, reply: [FUSE_STATFS_OUT] },
  RELEASE: { opcode: 18, input: FUSE_RELEASE_IN, names: 0, reply: [] },
  FSYNC: { opcode: 20, input: FUSE_FSYNC_IN, names: 0, reply: [] },
  SETXATTR: { opcode: 21, input: FUSE_SETXATTR_IN, inputBytes: setxattrInBytes, names: 1, data: { count: 'size', itemBytes: 1 }, reply: [] },
  GETXATTR: { opcode: 22, input: FUSE_GETXATTR_IN, names: 1, reply: [FUSE_GETXATTR_OUT], replyData: true },
  LISTXATTR: { opcode: 23, input: FUSE_GETXATTR_IN, names: 0, reply: [FUSE_GETXATTR_OUT], replyData: true },
  REMOVEXATTR: { opcode: 24, names: 1, reply: [] },
  FLUSH: { opcode: 25, input: FUSE_FLUSH_IN, names: 0, reply: [] },
  INIT: { opcode: 26, input: FUSE_INIT_IN, inputBytes: initInBytes, names: 0, reply: [FUSE_INIT_OUT] },
  OPENDIR: { opcode: 27, input: FUSE_OPEN_IN, names: 0, reply: [FUSE_OPEN_OUT] },
  READDIR: { opcode: 28, input: FUSE_READ_IN, names: 0, reply: [], replyData: true },
  RELEASEDIR: { opcode: 29, input: FUSE_RELEASE_IN, names: 0, reply: [] },
  FSYNCDIR: { opcode: 30, input: FUSE_FSYNC_IN, names: 0, reply: [] },
  GETLK: { opcode: 31, input: FUSE_LK_IN, names: 0, reply: [FUSE_LK_OUT] },
  SETLK: { opcode: 32, input: FUSE_LK_IN, names: 0, reply: [] },
  SETLKW: { opcode: 33, input: FUSE_LK_IN, names: 0, reply: [] },
  ACCESS: { opcode: 34, input: FUSE_ACCESS_IN, names: 0, reply: [] },
  CREATE: { opcode: 35, input: FUSE_CREATE_IN, names: 1, reply: ENTRY_AND_OPEN },
  INTERRUPT: { opcode: 36, input: FUSE_INTERRUPT_IN, names: 0, reply: null },
  BMAP: { opcode: 37, input: FUSE_BMAP_IN, names: 0, reply: [FUSE_BMAP_OUT] },
  DESTROY: { opcode: 38, names: 0, reply: [] },
  IOCTL: { opcode: 39, input: FUSE_IOCTL_IN, names: 0, data: { count: 'in_size', itemBytes: 1 }, reply: [FUSE_IOCTL_OUT], replyData: true },
  POLL: { opcode: 40, input: FUSE_POLL_IN, names: 0, reply: [FUSE_POLL_OUT] },
  /** The answer to our own NOTIFY_RETRIEVE. */
  NOTIFY_REPLY: { opcode: 41, input: FUSE_NOTIFY_RETRIEVE_IN, names: 0, data: { count: 'size', itemBytes: 1 }, reply: null },
  /** The data are FUSE_FORGET_ONE structures. */
  BATCH_FORGET: { opcode: 42, input: FUSE_BATCH_FORGET_IN, names: 0, data: { count: 'count', itemBytes: 16 }, reply: null },
  FALLOCATE: { opcode: 43, input: FUSE_FALLOCATE_IN, names: 0, reply: [] },
  READDIRPLUS: { opcode: 44, input: FUSE_READ_IN, names: 0, reply: [], replyData: true },
  RENAME2: { opcode: 45, input: FUSE_RENAME2_IN, names: 2, reply: [] },
  LSEEK: { opcode: 46, input: FUSE_LSEEK_IN, names: 0, reply: [FUSE_LSEEK_OUT] },
  COPY_FILE_RANGE: { opcode: 47, input: FUSE_COPY_FILE_RANGE_IN, names: 0, reply: [FUSE_WRITE_OUT] },
  SETUPMAPPING: { opcode: 48, input: FUSE_SETUPMAPPING_IN, names: 0, reply: [] },
  /** The data are FUSE_REMOVEMAPPING_ONE structures. */
  REMOVEMAPPING: { opcode: 49, input: FUSE_REMOVEMAPPING_IN, names: 0, data: { count: 'count', itemBytes: 16 }, reply: [] },
  SYNCFS: { opcode: 50, input: FUSE_SYNCFS_IN, names: 0, reply: [] },
  /** The kernel sends the name of the nameless file's dentry, which means nothing (`fuse_create_open`). */
  TMPFILE: { opcode: 51, input: FUSE_CREATE_IN, names: 1, reply: ENTRY_AND_OPEN },
  STATX: { opcode: 52, input: FUSE_STATX_IN, names: 0, reply: [FUSE_STATX_OUT] },
  COPY_FILE_RANGE_64: { opcode: 53, input: FUSE_COPY_FILE_RANGE_IN, names: 0, reply: [FUSE_COPY_FILE_RANGE_OUT] },
} as const satisfies Readonly<Record<string, OpcodeRow>>;

/** Name of a request, as `LOOKUP`. */
export type OperationName = keyof typeof OPERATIONS;

/** What a request's fixed part decodes to; `undefined` for one that has none. */
export type InputOf<N extends OperationName> = (typeof OPERATIONS)[N] extends {
  readonly input: infer L extends Layout;
}
  ? Decoded<L>
  : undefined;

/** A row of {@link OPERATIONS} with its name; every column is present, so that all rows have one shape. */
export interface Operation {
  readonly name: OperationName;
  readonly input: Layout | undefined;
  readonly inputBytes: OpcodeRow['inputBytes'] | undefined;
  readonly names: 0 | 1 | 2;
  readonly data: OpcodeRow['data'] | undefined;
  readonly reply: readonly Layout[] | null;
  readonly replyData: boolean;
}

const BY_OPCODE: readonly (Operation | undefined)[] = (() => {
  const rows: (Operation | undefined)[] = [];
  for (const [name, row] of Object.entries<OpcodeRow>(OPERATIONS)) {
    rows[row.opcode] = {
      name: name as OperationName,
      input: row.input,
      inputBytes: row.inputBytes,
      names: row.names,
      data: row.data,
      reply: row.reply,
      replyData: row.replyData ?? false,
    };
  }
  return Array.from(rows);
})();

/** The operation with this number; `undefined` if the tables have none. */
export function operationOf(opcode: number): Operation | undefined {
  return BY_OPCODE[opcode];
}
