/**
 * Turns results into the bytes that the kernel reads. The only place that writes `fuse_out_header` and that makes an
 * errno negative. Every buffer returned belongs to the caller; nothing here keeps or reuses one.
 */
import { invariant } from '../../invariant.ts';
import type { Stat } from '../../stat.ts';
import {
  FUSE_ATTR,
  FUSE_DIRENT,
  FUSE_ENTRY_OUT,
  FUSE_INIT_OUT,
  FUSE_NOTIFY_DELETE_OUT,
  FUSE_NOTIFY_INVAL_ENTRY_OUT,
  FUSE_NOTIFY_INVAL_INODE_OUT,
  FUSE_OPEN_OUT,
  FUSE_OUT_HEADER,
  FUSE_RECORD_ALIGN,
  NotifyCode,
  initOutBytes,
} from './abi.ts';
import {
  encodeStruct,
  offsetsOf,
  writeStruct,
  type Decoded,
  type Layout,
  type Words,
} from './layout.ts';

/** Length of what every reply begins with. */
export const REPLY_HEADER_BYTES = FUSE_OUT_HEADER.sizeBytes;

/** writev(2) takes 1,024 pieces (UIO_MAXIOV), header included; longer lists are joined by copying. */
export const MAX_REPLY_SLICES = 1000;

/** The kernel answers EINVAL to a reply whose error is outside 1…511 (`fuse_dev_do_write`). */
const MAX_ERRNO = 511;

/** No bigger than the largest request, since programs allocate buffers of st_blksize. */
const MAX_BLKSIZE = 2 ** 20;

/** What `st_blocks` counts in, whatever st_blksize says; see inode(7). */
const STAT_BLOCK_BYTES = 512;

/** The buffer's first length; it doubles as entries come. Most directories are small, and `ls` asks for much. */
const FIRST_BYTES = 4096;

/** Type bits of a mode, shifted down by this, are what dirent calls `d_type`. */
const TYPE_SHIFT = 12;

const AT = offsetsOf(FUSE_OUT_HEADER);
const ENTRY_AT = offsetsOf(FUSE_ENTRY_OUT);
const UNASKED: Words = { low: 0, high: 0 };

function writeHeader(
  buffer: Buffer,
  header: { lengthBytes: number; error: number; unique: Words },
): void {
  buffer.writeUInt32LE(header.lengthBytes, AT.len);
  buffer.writeInt32LE(header.error, AT.error);
  buffer.writeUInt32LE(header.unique.low, AT.unique);
  buffer.writeUInt32LE(header.unique.high, AT.unique + 4);
}

/** A buffer with its header written, for a reply of this length. */
function begin(unique: Words, lengthBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(lengthBytes);
  writeHeader(buffer, { lengthBytes, error: 0, unique });
  return buffer;
}

/** The operation failed; `errno` is positive. */
export function errorReply(unique: Words, errno: number): Buffer {
  invariant(errno >= 1 && errno <= MAX_ERRNO, `errno ${errno} cannot be sent to the kernel`);
  const buffer = Buffer.allocUnsafe(REPLY_HEADER_BYTES);
  writeHeader(buffer, { lengthBytes: REPLY_HEADER_BYTES, error: -errno, unique });
  return buffer;
}

/** Success, with nothing to tell. */
export function emptyReply(unique: Words): Buffer {
  return begin(unique, REPLY_HEADER_BYTES);
}

/** Success, with one structure. */
export function structReply<L extends Layout>(
  unique: Words,
  layout: L,
  values: Decoded<L>,
): Buffer {
  const buffer = begin(unique, REPLY_HEADER_BYTES + layout.sizeBytes);
  writeStruct(layout, buffer, REPLY_HEADER_BYTES, values);
  return buffer;
}

/** Success of CREATE and TMPFILE: the new entry and the handle that is open on it. */
export function createReply(
  unique: Words,
  entry: Decoded<typeof FUSE_ENTRY_OUT>,
  open: Decoded<typeof FUSE_OPEN_OUT>,
): Buffer {
  const openAt = REPLY_HEADER_BYTES + FUSE_ENTRY_OUT.sizeBytes;
  const buffer = begin(unique, openAt + FUSE_OPEN_OUT.sizeBytes);
  writeStruct(FUSE_ENTRY_OUT, buffer, REPLY_HEADER_BYTES, entry);
  writeStruct(FUSE_OPEN_OUT, buffer, openAt, open);
  return buffer;
}

/** The answer to INIT, as long as a kernel of `kernelMinor` accepts. */
export function initReply(
  unique: Words,
  values: Decoded<typeof FUSE_INIT_OUT>,
  kernelMinor: number,
): Buffer {
  const whole = structReply(unique, FUSE_INIT_OUT, values);
  const reply = whole.subarray(0, REPLY_HEADER_BYTES + initOutBytes(kernelMinor));
  reply.writeUInt32LE(reply.length, AT.len);
  return reply;
}

/**
 * Success, with raw bytes: [header, …slices], for writev. The slices are sent from where they are, so they must not
 * change before that; more than {@link MAX_REPLY_SLICES} are joined into one copy. A structure before the bytes is
 * a slice made by `encodeStruct`.
 */
export function dataReply(unique: Words, slices: readonly Buffer[]): Buffer[] {
  let dataBytes = 0;
  for (const slice of slices) dataBytes += slice.length;
  const header = dataHeader(unique, dataBytes);
  return slices.length > MAX_REPLY_SLICES
    ? [header, Buffer.concat(slices, dataBytes)]
    : [header, ...slices];
}

/** What goes before `dataBytes` bytes that are sent from elsewhere. */
export function dataHeader(unique: Words, dataBytes: number): Buffer {
  const header = Buffer.allocUnsafe(REPLY_HEADER_BYTES);
  writeHeader(header, { lengthBytes: REPLY_HEADER_BYTES + dataBytes, error: 0, unique });
  return header;
}

/** A message that answers no request: `unique` is 0, and the code stands in the error's place. */
function notify(code: number, head: Buffer, name: Buffer | undefined): Buffer {
  // The kernel wants the name's NUL in the message, yet not counted in its length (`fuse_notify_inval_entry`).
  const nameBytes = name === undefined ? 0 : name.length + 1;
  const nameAt = REPLY_HEADER_BYTES + head.length;
  const lengthBytes = nameAt + nameBytes;
  const buffer = Buffer.allocUnsafe(lengthBytes);
  writeHeader(buffer, { lengthBytes, error: code, unique: UNASKED });
  head.copy(buffer, REPLY_HEADER_BYTES);
  if (name !== undefined) {
    name.copy(buffer, nameAt);
    buffer.writeUInt8(0, nameAt + name.length);
  }
  return buffer;
}

/** The kernel forgets a node's attributes, and its cached pages in the range. */
export function notifyInvalInode(range: {
  nodeid: number;
  /** First byte; negative: attributes only. */
  offset: number;
  /** In bytes; 0 or less: to the end of the file. */
  lengthBytes: number;
}): Buffer {
  const { nodeid, offset, lengthBytes } = range;
  const values = { ino: nodeid, off: offset, len: lengthBytes };
  return notify(
    NotifyCode.INVAL_INODE,
    encodeStruct(FUSE_NOTIFY_INVAL_INODE_OUT, values),
    undefined,
  );
}

/** The kernel forgets what it knows of a name. ENOENT from the write means that it knew nothing. */
export function notifyInvalEntry(entry: {
  parent: number;
  name: Buffer;
  /** Bits of `InvalEntryFlag`; EXPIRE_ONLY needs HAS_EXPIRE_ONLY. */
  flags?: number;
}): Buffer {
  const { parent, name, flags = 0 } = entry;
  const values = { parent, namelen: name.length, flags };
  return notify(NotifyCode.INVAL_ENTRY, encodeStruct(FUSE_NOTIFY_INVAL_ENTRY_OUT, values), name);
}

/** The kernel drops a name that was removed elsewhere, if it still leads to `child`, and tells watchers. */
export function notifyDelete(entry: { parent: number; child: number; name: Buffer }): Buffer {
  const { parent, child, name } = entry;
  const values = { parent, child, namelen: name.length };
  return notify(NotifyCode.DELETE, encodeStruct(FUSE_NOTIFY_DELETE_OUT, values), name);
}

/** `stat` in the kernel's words; `inode` is the number that programs see, if not the dataset's own. */
export function attrFromStat(stat: Stat, inode: number = stat.inode): Decoded<typeof FUSE_ATTR> {
  return {
    ino: inode,
    size: stat.sizeBytes,
    blocks: Math.ceil(stat.storedBytes / STAT_BLOCK_BYTES),
    atime: stat.atime.seconds,
    mtime: stat.mtime.seconds,
    ctime: stat.ctime.seconds,
    atimensec: stat.atime.nanoseconds,
    mtimensec: stat.mtime.nanoseconds,
    ctimensec: stat.ctime.nanoseconds,
    mode: stat.mode,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    rdev: stat.rdev,
    // The kernel shows the next lower power of two (`fuse_fillattr`).
    blksize: Math.min(stat.blockSizeBytes, MAX_BLKSIZE),
    flags: 0,
  };
}

/** How long the kernel may keep an entry, in its words. */
export type KeptFor = Pick<
  Decoded<typeof FUSE_ENTRY_OUT>,
  'entry_valid' | 'entry_valid_nsec' | 'attr_valid' | 'attr_valid_nsec'
>;

/** A record of a listing. */
export interface DirectoryEntry {
  /** The number that programs see as `d_ino`. */
  inode: number;
  /** Where the listing goes on after this entry. */
  offset: number;
  /** The mode, of which only the type bits count. */
  type: number;
  name: Buffer;
  /**
   * For READDIRPLUS: what a lookup would have answered, which the kernel then counts as one. Without it the record
   * says node 0, which counts as none and only leaves the attributes out (`fuse_direntplus_link`).
   */
  entry?: Decoded<typeof FUSE_ENTRY_OUT>;
}

/**
 * The reply to READDIR and READDIRPLUS, built in place: one buffer holds the reply's header and as many records as
 * the kernel asked for. Each page has its own, since other requests may be answered while a listing waits.
 */
export class DirectoryPage {
  readonly #plus: boolean;
  readonly #limitBytes: number;
  /** Where the entries with attributes are. */
  readonly #entriesAt: number[] = [];
  #buffer: Buffer;
  #end = REPLY_HEADER_BYTES;

  /** `limitBytes` is the request's `size`: the reply's length without its header. */
  constructor(options: { limitBytes: number; plus: boolean }) {
    this.#plus = options.plus;
    this.#limitBytes = REPLY_HEADER_BYTES + options.limitBytes;
    this.#buffer = Buffer.allocUnsafe(Math.min(FIRST_BYTES, this.#limitBytes));
  }

  /** Nothing was added yet: the reply would say that the directory has ended. */
  get isEmpty(): boolean {
    return this.#end === REPLY_HEADER_BYTES;
  }

  /** Adds a record. Returns false, having changed nothing, if there is no room for it. */
  add(entry: DirectoryEntry): boolean {
    const { name } = entry;
    invariant(name.length > 0, 'the kernel refuses a listing with an empty name');
    const direntAt = this.#end + (this.#plus ? FUSE_ENTRY_OUT.sizeBytes : 0);
    const nameAt = direntAt + FUSE_DIRENT.sizeBytes;
    const nameEnd = nameAt + name.length;
    const end = alignUp(nameEnd);
    if (end > this.#limitBytes) return false;
    this.#reserve(end);
    if (this.#plus) this.#writeEntry(this.#end, entry.entry);
    if (entry.entry !== undefined) this.#entriesAt.push(this.#end);
    writeStruct(FUSE_DIRENT, this.#buffer, direntAt, {
      ino: entry.inode,
      off: entry.offset,
      namelen: name.length,
      type: entry.type >>> TYPE_SHIFT,
    });
    name.copy(this.#buffer, nameAt);
    // A call of fill() costs more than these seven bytes at most.
    for (let at = nameEnd; at < end; at++) this.#buffer[at] = 0;
    this.#end = end;
    return true;
  }

  /** Sets how long the kernel may keep what it is told of each entry that has attributes, in the order of their adding. */
  keep(keptFor: (index: number) => KeptFor): void {
    for (const [index, at] of this.#entriesAt.entries()) {
      const kept = keptFor(index);
      this.#buffer.writeUInt32LE(kept.entry_valid, at + ENTRY_AT.entry_valid);
      this.#buffer.writeUInt32LE(kept.attr_valid, at + ENTRY_AT.attr_valid);
      this.#buffer.writeUInt32LE(kept.entry_valid_nsec, at + ENTRY_AT.entry_valid_nsec);
      this.#buffer.writeUInt32LE(kept.attr_valid_nsec, at + ENTRY_AT.attr_valid_nsec);
    }
  }

  /** The whole reply, which the caller may keep; the page must not be used any more. */
  reply(unique: Words): Buffer {
    const reply = this.#buffer.subarray(0, this.#end);
    writeHeader(reply, { lengthBytes: reply.length, error: 0, unique });
    return reply;
  }

  #writeEntry(at: number, entry: Decoded<typeof FUSE_ENTRY_OUT> | undefined): void {
    if (entry === undefined) this.#buffer.fill(0, at, at + FUSE_ENTRY_OUT.sizeBytes);
    else writeStruct(FUSE_ENTRY_OUT, this.#buffer, at, entry);
  }

  #reserve(end: number): void {
    if (end <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(
      Math.min(this.#limitBytes, Math.max(end, this.#buffer.length * 2)),
    );
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}

/** The start of the next record. The reply's header is a multiple of the alignment, so it may be counted in. */
function alignUp(position: number): number {
  return Math.ceil(position / FUSE_RECORD_ALIGN) * FUSE_RECORD_ALIGN;
}
