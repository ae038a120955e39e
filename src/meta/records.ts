/**
 * Values of the metadata database: fixed layouts that begin with a format version. A later version may only
 * add fields at the end, so that an older record stays readable.
 */
import { ByteReader, ByteWriter } from '../bytes.ts';
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { URI_SCHEME } from '../uri.ts';
import { ACL_KINDS, type Acls } from './acl.ts';
import { type InodeRecord, POLICIES, type PolicyName } from './store.ts';

/** Version that this code writes, and the highest that it reads. */
export const RECORD_VERSION = 1;

/** What a directory's record holds beyond that of any inode. */
export interface DirectoryPart {
  /** Its own name in its parent; empty for the root. */
  name: Buffer;
  /** Highest sequence number given to an entry. */
  lastSequence: number;
  /** Number of entries, `.` and `..` left out. */
  entries: number;
}

/**
 * An inode as the database keeps it. Unlike the record that callers see, it keeps a symlink's target for ever:
 * that lets the symlink outlive its block 0 (see {@link published}).
 */
export interface StoredInode extends Omit<InodeRecord, 'unsettled'> {
  directory: DirectoryPart | undefined;
  /** A regular file that a registered client has open for writing, or one had so when it died (see `opens.ts`). */
  hasWriters: boolean;
}

/** tmpfs counts 20 bytes for each entry, `.` and `..` included (BOGO_DIRENT_SIZE in mm/shmem.c). */
const ENTRY_SIZE_BYTES = 20;

/** Bits of an inode record's second byte. All but UNBORN and WRITERS tell which groups of fields follow. */
const FLAG_UNBORN = 1;
const FLAG_TIMES = 2;
const FLAG_DATA = 4;
const FLAG_TRUNCATED = 8;
const FLAG_HOME = 16;
const FLAG_WRITERS = 32;
/** Its fields are the record's last: few inodes have ACLs, and records of before there were any lack them. */
const FLAG_ACLS = 64;

function sameTime(a: Timespec, b: Timespec): boolean {
  return a.seconds === b.seconds && a.nanoseconds === b.nanoseconds;
}

/** A new file, of which there may be millions, has three equal times and no data: neither is then stored. */
function inodeFlags(record: StoredInode): number {
  const { ctime, atime, mtime } = record;
  const data = record.sizeBytes !== 0 || record.storedBytes !== 0 || record.dataVersion !== 0;
  return (
    (record.unborn ? FLAG_UNBORN : 0) |
    (sameTime(ctime, atime) && sameTime(ctime, mtime) ? 0 : FLAG_TIMES) |
    (data ? FLAG_DATA : 0) |
    (record.generation === 0 ? 0 : FLAG_TRUNCATED) |
    (record.home === 0 ? 0 : FLAG_HOME) |
    (record.hasWriters ? FLAG_WRITERS : 0) |
    (record.acls === undefined ? 0 : FLAG_ACLS)
  );
}

/** Reused by all encoders here; the database copies what it is given. */
const writer = new ByteWriter(1024);

/** Size that stat(2) shows for a directory of so many entries. */
export function directorySizeBytes(entries: number): number {
  return (entries + 2) * ENTRY_SIZE_BYTES;
}

/**
 * What callers get to see of a stored inode: once born, a symlink's target is in block 0. `unsettled` says whether a
 * regular file may have changed since its last report; nothing else ever has.
 */
export function published(stored: StoredInode, unsettled = true): InodeRecord {
  if (!stored.unborn && stored.target !== undefined) stored.target = undefined;
  const record = stored as StoredInode & { unsettled: boolean };
  record.unsettled = unsettled && fileTypeOf(stored.mode) === FileType.REGULAR;
  return record;
}

function checkVersion(reader: ByteReader, what: string): void {
  const version = reader.u8();
  if (version === 0 || version > RECORD_VERSION) {
    throw new FsError('EIO', `${what} record of unknown version ${version}`);
  }
}

/** Puts a record's fields in front of whatever else the writer gets. */
function writeInode(record: StoredInode): ByteWriter {
  const uri = Buffer.from(record.uri.slice(URI_SCHEME.length), 'latin1');
  const target = record.target;
  const flags = inodeFlags(record);
  writer
    .reset()
    .u8(RECORD_VERSION)
    .u8(flags)
    .u16(record.mode)
    .u32(record.nlink)
    .u32(record.uid)
    .u32(record.gid)
    .u32(record.rdev)
    .time(record.ctime);
  if ((flags & FLAG_TIMES) !== 0) writer.time(record.atime).time(record.mtime);
  if ((flags & FLAG_DATA) !== 0) {
    writer.u64(record.sizeBytes).u64(record.storedBytes).u64(record.dataVersion);
  }
  if ((flags & FLAG_TRUNCATED) !== 0) writer.u64(record.generation).u64(record.truncatedBytes);
  if ((flags & FLAG_HOME) !== 0) writer.u16(record.home);
  writer
    .u8(POLICIES.indexOf(record.layout.policy))
    .u8(record.layout.replication)
    .u64(record.layout.blockSizeBytes)
    .u64(record.mapEpoch)
    .u16(uri.length)
    .bytes(uri);
  if (fileTypeOf(record.mode) === FileType.SYMLINK) {
    writer.u16(target?.length ?? 0);
    if (target !== undefined) writer.bytes(target);
  }
  const directory = record.directory;
  if (directory !== undefined) {
    writer
      .u64(record.parent)
      .u64(directory.lastSequence)
      .u64(directory.entries)
      .u8(directory.name.length)
      .bytes(directory.name);
  }
  if (record.acls !== undefined) {
    for (const kind of ACL_KINDS) {
      const acl = record.acls[kind];
      writer.u16(acl?.length ?? 0);
      if (acl !== undefined) writer.bytes(acl);
    }
  }
  return writer;
}

/** The value under `inodeKey(record.inode)`. Shares memory with the next record encoded here. */
export function encodeInode(record: StoredInode): Buffer {
  return writeInode(record).view();
}

function readAcls(reader: ByteReader): Acls {
  const acls: Acls = {};
  for (const kind of ACL_KINDS) {
    const length = reader.u16();
    if (length > 0) acls[kind] = Buffer.from(reader.bytes(length));
  }
  return acls;
}

function policyAt(index: number): PolicyName {
  const policy = POLICIES[index];
  if (policy === undefined) throw new FsError('EIO', `inode record with unknown policy ${index}`);
  return policy;
}

/** Reads what {@link encodeInode} wrote; keeps no reference to `bytes`. */
export function decodeInode(inode: InodeId, bytes: Buffer): StoredInode {
  const reader = new ByteReader(bytes);
  checkVersion(reader, 'inode');
  const flags = reader.u8();
  const hasTimes = (flags & FLAG_TIMES) !== 0;
  const hasData = (flags & FLAG_DATA) !== 0;
  const isTruncated = (flags & FLAG_TRUNCATED) !== 0;
  const head = {
    mode: reader.u16(),
    nlink: reader.u32(),
    uid: reader.u32(),
    gid: reader.u32(),
    rdev: reader.u32(),
    ctime: reader.time(),
  };
  const record: StoredInode = {
    inode,
    unborn: (flags & FLAG_UNBORN) !== 0,
    mode: head.mode,
    nlink: head.nlink,
    uid: head.uid,
    gid: head.gid,
    rdev: head.rdev,
    ctime: head.ctime,
    atime: hasTimes ? reader.time() : head.ctime,
    mtime: hasTimes ? reader.time() : head.ctime,
    sizeBytes: hasData ? reader.u64() : 0,
    storedBytes: hasData ? reader.u64() : 0,
    dataVersion: hasData ? reader.u64() : 0,
    generation: isTruncated ? reader.u64() : 0,
    truncatedBytes: isTruncated ? reader.u64() : 0,
    home: (flags & FLAG_HOME) === 0 ? 0 : reader.u16(),
    layout: {
      policy: policyAt(reader.u8()),
      replication: reader.u8(),
      blockSizeBytes: reader.u64(),
    },
    mapEpoch: reader.u64(),
    uri: URI_SCHEME + reader.bytes(reader.u16()).toString('latin1'),
    target: undefined,
    parent: 0,
    directory: undefined,
    hasWriters: (flags & FLAG_WRITERS) !== 0,
  };
  const type = fileTypeOf(record.mode);
  if (type === FileType.SYMLINK) {
    const length = reader.u16();
    if (length > 0) record.target = Buffer.from(reader.bytes(length));
  } else if (type === FileType.DIRECTORY) {
    record.parent = reader.u64() as InodeId;
    const lastSequence = reader.u64();
    const entries = reader.u64();
    record.directory = { lastSequence, entries, name: Buffer.from(reader.bytes(reader.u8())) };
  }
  if ((flags & FLAG_ACLS) !== 0) record.acls = readAcls(reader);
  return record;
}

/** What a name in a directory leads to. */
export interface StoredEntry {
  inode: InodeId;
  /** Type bits of the mode. */
  type: number;
  sequence: number;
}

/** The value under `entryKey(parent, name)`. Shares memory with the next record encoded here. */
export function encodeEntry(entry: StoredEntry): Buffer {
  return writer
    .reset()
    .u8(RECORD_VERSION)
    .u64(entry.inode)
    .u16(entry.type)
    .u64(entry.sequence)
    .view();
}

export function decodeEntry(bytes: Buffer): StoredEntry {
  const reader = new ByteReader(bytes);
  checkVersion(reader, 'entry');
  return { inode: reader.u64() as InodeId, type: reader.u16(), sequence: reader.u64() };
}

/** What a position in a listing holds. */
export interface StoredListing {
  inode: InodeId;
  type: number;
  name: Buffer;
}

/**
 * The value under `listingKey(parent, sequence)`. The name has a length of its own, so that fields can follow.
 * Shares memory with the next record encoded here.
 */
export function encodeListing(listing: StoredListing): Buffer {
  return writer
    .reset()
    .u8(RECORD_VERSION)
    .u64(listing.inode)
    .u16(listing.type)
    .u8(listing.name.length)
    .bytes(listing.name)
    .view();
}

/** The name shares the memory of `bytes`. */
export function decodeListing(bytes: Buffer): StoredListing {
  const reader = new ByteReader(bytes);
  checkVersion(reader, 'listing');
  return {
    inode: reader.u64() as InodeId,
    type: reader.u16(),
    name: reader.bytes(reader.u8()),
  };
}

/** A number that the database keeps by itself. Shares memory with the next record encoded here. */
export function encodeNumber(value: number): Buffer {
  return writer.reset().u8(RECORD_VERSION).u64(value).view();
}

export function decodeNumber(bytes: Buffer): number {
  const reader = new ByteReader(bytes);
  checkVersion(reader, 'number');
  return reader.u64();
}
