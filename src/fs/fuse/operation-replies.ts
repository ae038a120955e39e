/**
 * What operations answer: the VFS's results in the kernel's words, with how long the kernel may keep them and which
 * inodes they tell it of.
 */
import { FsError } from '../../errno.ts';
import type { HandleId, InodeId } from '../../ids.ts';
import { FileType, fileTypeOf } from '../../stat.ts';
import type { PipedBytes } from '../../pipes/piped-bytes.ts';
import type { Entry, KnownStat } from '../types.ts';
import type { Vfs } from '../vfs.ts';
import {
  FUSE_ATTR_OUT,
  FUSE_ENTRY_OUT,
  FUSE_GETXATTR_OUT,
  FUSE_OPEN_OUT,
  FUSE_ROOT_ID,
} from './abi.ts';
import type { Decoded } from './layout.ts';
import { attrFromStat, dataReply, emptyReply, type KeptFor, structReply } from './reply.ts';
import type { FreshAttributes } from './fresh-attributes.ts';
import type { Keeping } from './keeping.ts';
import type { RequestHeader as Header } from './request.ts';

export interface OperationContext {
  readonly vfs: Vfs;
  /** What a lookup has just told, for the question that follows it. */
  readonly fresh: FreshAttributes;
  /** How long the kernel may keep what the answer tells. */
  readonly keeping: Keeping;
}

/** A finished operation, not sent yet. */
export interface Reply {
  readonly parts: readonly Buffer[];
  /** What follows the parts, which are then one. */
  readonly piped?: PipedBytes | undefined;
  /** Inodes that this reply tells the kernel of, once for each time. */
  readonly lookups: readonly InodeId[];
  /** A handle that this reply opens; to be released if the reply cannot be delivered. */
  readonly opened?: HandleId;
  /** To be called once the parts have been sent: they lie in memory that is used again. */
  readonly release?: (() => void) | undefined;
}

const NO_LOOKUPS: readonly InodeId[] = [];

/** Node 1 is the mount's root; every other node id is an inode number. */
export function toInode({ vfs }: OperationContext, nodeid: number): InodeId {
  return nodeid === FUSE_ROOT_ID ? vfs.root : (nodeid as InodeId);
}

/** The inverse of {@link toInode}. */
export function toNode({ vfs }: OperationContext, inode: InodeId): number {
  return inode === vfs.root ? FUSE_ROOT_ID : inode;
}

function validEntry(ms: number): { entry_valid: number; entry_valid_nsec: number } {
  return { entry_valid: Math.floor(ms / 1000), entry_valid_nsec: nanosecondsOf(ms) };
}

function validAttributes(ms: number): { attr_valid: number; attr_valid_nsec: number } {
  return { attr_valid: Math.floor(ms / 1000), attr_valid_nsec: nanosecondsOf(ms) };
}

/** Of the last second that has begun. */
function nanosecondsOf(ms: number): number {
  return Math.floor((ms % 1000) * 1e6);
}

/** A size of 0 asks how large the value is; ERANGE when it is larger than the caller's buffer. */
export function xattrReply(header: Header, value: Buffer, sizeBytes: number): Reply {
  if (sizeBytes === 0) {
    return single(structReply(header.unique, FUSE_GETXATTR_OUT, { size: value.length }));
  }
  if (value.length > sizeBytes) throw new FsError('ERANGE');
  return plain(dataReply(header.unique, [value]));
}

/** What a lookup of `entry` in the node `parent` tells. */
export function entryValues(
  context: OperationContext,
  parent: number,
  entry: Entry,
): Decoded<typeof FUSE_ENTRY_OUT> {
  const nodeid = toNode(context, entry.inode);
  return {
    nodeid,
    generation: 0,
    ...keptFor(context.keeping, parent, { nodeid, stat: entry.stat }),
    attr: attrFromStat(entry.stat),
  };
}

/** How long an entry of the node `parent` may be kept, and the attributes of what it leads to. */
export function keptFor(
  keeping: Keeping,
  parent: number,
  { nodeid, stat }: { nodeid: number; stat: KnownStat },
): KeptFor {
  return {
    ...validEntry(keeping.entryMs(parent)),
    ...validAttributes(keeping.attributesMs(nodeid, stat)),
  };
}

/** A new handle; `flags` are of {@link OpenFlag}. */
export function openValues(
  { handle }: { handle: HandleId },
  flags: number,
): Decoded<typeof FUSE_OPEN_OUT> {
  return { fh: handle, open_flags: flags, backing_id: 0 };
}

/** Tells the kernel of an inode, which counts as one lookup. */
export function entryReply(context: OperationContext, header: Header, entry: Entry): Reply {
  const values = entryValues(context, header.nodeid, entry);
  const reply = structReply(header.unique, FUSE_ENTRY_OUT, values);
  if (context.vfs.shared) context.fresh.remember(header.pid, entry);
  return { parts: [reply], lookups: [entry.inode] };
}

/** Node 0: the kernel remembers that there is no such name. */
export function negativeEntry(context: OperationContext, header: Header): Reply {
  const entry = { ...NEGATIVE_ENTRY, ...validEntry(context.keeping.entryMs(header.nodeid)) };
  return single(structReply(header.unique, FUSE_ENTRY_OUT, entry));
}

const EPOCH = { seconds: 0, nanoseconds: 0 };
const NEGATIVE_ENTRY: Decoded<typeof FUSE_ENTRY_OUT> = {
  nodeid: 0,
  generation: 0,
  entry_valid: 0,
  attr_valid: 0,
  entry_valid_nsec: 0,
  attr_valid_nsec: 0,
  attr: attrFromStat({
    inode: 0 as InodeId,
    mode: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    sizeBytes: 0,
    storedBytes: 0,
    blockSizeBytes: 0,
    atime: EPOCH,
    mtime: EPOCH,
    ctime: EPOCH,
  }),
};

/**
 * The attributes of an inode that the kernel knows. EIO if the root is no directory: an inode of another type than before is
 * bad for the kernel as long as it keeps it (`fuse_make_bad`), and it keeps the root as long as the mount.
 */
export function attrReply(context: OperationContext, header: Header, stat: KnownStat): Reply {
  if (header.nodeid === FUSE_ROOT_ID && fileTypeOf(stat.mode) !== FileType.DIRECTORY) {
    throw new FsError('EIO', 'the root of the mount is said to be no directory');
  }
  return single(
    structReply(header.unique, FUSE_ATTR_OUT, {
      ...validAttributes(context.keeping.attributesMs(header.nodeid, stat)),
      attr: attrFromStat(stat),
    }),
  );
}

/** A new handle; see {@link openValues}. */
export function openReply(header: Header, opened: { handle: HandleId }, flags: number): Reply {
  const reply = structReply(header.unique, FUSE_OPEN_OUT, openValues(opened, flags));
  return { parts: [reply], lookups: NO_LOOKUPS, opened: opened.handle };
}

/** Success, with nothing to tell. */
export function done(header: Header): Reply {
  return single(emptyReply(header.unique));
}

/** A reply of one message part. */
export function single(part: Buffer): Reply {
  return plain([part]);
}

/** A reply that tells of no inode. */
export function plain(parts: readonly Buffer[]): Reply {
  return { parts, lookups: NO_LOOKUPS };
}
