/** The handshake: what we ask of the kernel, and what it gets in answer to its INIT. Pure. */
import {
  type FUSE_INIT_IN,
  type FUSE_INIT_OUT,
  FUSE_KERNEL_VERSION,
  InitFlag,
  InitFlag2,
  MAX_MINOR,
  MIN_MINOR,
  type Negotiated,
} from './abi.ts';
import type { Decoded } from './layout.ts';

/** Largest FUSE_WRITE and FUSE_READ. */
export const MAX_WRITE_BYTES = 1024 * 1024;

const PAGE_BYTES = 4096;
/** Requests that the kernel may have under way in the background (read-ahead, direct I/O), and when it calls that busy. */
const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;

/** Only flags that the session honours. */
const WANTED_FLAGS =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.EXPLICIT_INVAL_DATA |
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.INIT_EXT;

/** ACLs, which the kernel enforces; umask is then left to us, who know whether a directory has a default ACL. */
const ACL_FLAGS = InitFlag.POSIX_ACL | InitFlag.DONT_MASK | InitFlag.SETXATTR_EXT;

/** Where a server keeps locks. Of a lone mount, the kernel keeps them as well and for less. */
const LOCK_FLAGS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS;

const WANTED_FLAGS2 = InitFlag2.DIRECT_IO_ALLOW_MMAP;

/** The kernel speaks a protocol that this session does not. */
export class UnsupportedProtocolError extends Error {
  override name = 'UnsupportedProtocolError';
}

export interface Negotiation {
  /** False when the kernel's major version is above ours: it will send INIT again with ours. */
  readonly settled: boolean;
  readonly negotiated: Negotiated;
  readonly reply: Decoded<typeof FUSE_INIT_OUT>;
}

/** What the mount wants beyond what every session does. */
export interface Wishes {
  /** Requests for locks are to come to us. */
  readonly locks: boolean;
  /** The kernel is to enforce ACLs, and to ask for them. */
  readonly acl: boolean;
}

/** Answers an INIT; throws {@link UnsupportedProtocolError} for kernels older than protocol 7.31 (Linux 5.4). */
export function negotiate(input: Decoded<typeof FUSE_INIT_IN>, wishes: Wishes): Negotiation {
  const { major, minor } = input;
  if (major < FUSE_KERNEL_VERSION || (major === FUSE_KERNEL_VERSION && minor < MIN_MINOR)) {
    throw new UnsupportedProtocolError(
      `this kernel speaks FUSE ${major}.${minor}; imssfs needs ${FUSE_KERNEL_VERSION}.${MIN_MINOR} (Linux 5.4) or newer`,
    );
  }
  const settled = major === FUSE_KERNEL_VERSION;
  const wanted = WANTED_FLAGS | (wishes.locks ? LOCK_FLAGS : 0) | (wishes.acl ? ACL_FLAGS : 0);
  const flags = input.flags & wanted;
  const extended = (flags & InitFlag.INIT_EXT) !== 0;
  const negotiated: Negotiated = {
    minor: settled ? Math.min(minor, MAX_MINOR) : MAX_MINOR,
    flags: flags >>> 0,
    flags2: extended ? (input.flags2 & WANTED_FLAGS2) >>> 0 : 0,
  };
  return { settled, negotiated, reply: replyFor(negotiated, input.max_readahead) };
}

function replyFor(negotiated: Negotiated, maxReadahead: number): Decoded<typeof FUSE_INIT_OUT> {
  return {
    major: FUSE_KERNEL_VERSION,
    minor: negotiated.minor,
    max_readahead: maxReadahead,
    flags: negotiated.flags,
    max_background: MAX_BACKGROUND,
    congestion_threshold: CONGESTION_THRESHOLD,
    max_write: MAX_WRITE_BYTES,
    time_gran: 1,
    max_pages: MAX_WRITE_BYTES / PAGE_BYTES,
    map_alignment: 0,
    flags2: negotiated.flags2,
    max_stack_depth: 0,
    request_timeout: 0,
  };
}
