/**
 * What the comparison looks at, as text: the attributes of files before and after an operation, and whole trees.
 * This is also the one place for what is *not* compared, because POSIX or Linux leaves it to the file system:
 *
 * - A directory's size: what unit it counts is nobody's business (inode(7)); tmpfs and ext4 differ, too.
 * - Inode numbers, device of the file system, st_blocks, st_blksize: only whether two names lead to one file.
 * - The access time, except where utimensat(2) has just set it: mounts are `relatime`, and what a FUSE file system's
 *   page cache answers never reaches the file system.
 * - Times as such: one between the process's start and now is "recent", and compared is whether an operation moved it, and
 *   whether back. Another time was set by utimensat(2) and is compared to the nanosecond.
 * - Whether a time moved, where the kernel stamps by its tick (before Linux 6.13): two operations then share a stamp.
 * - Whether a folder's times moved at unlink, rmdir, link and rename, where the reference's did not: tmpfs gives the folder the
 *   stamp of the file, which may be the one that the folder has ({@link isSameOutcome}).
 * - What truncate(2) to the size that a file has does to its times: POSIX moves them, Linux's own file systems do not. Workers
 *   leave such a truncation out.
 * - Set-gid on what is no folder and lacks group execution: whether a change by somebody outside the group drops it,
 *   Linux decides by all of the caller's groups, and FUSE_HANDLE_KILLPRIV_V2 by nothing: it stays. So this bit is
 *   compared only where chmod(2) has just set it.
 * - A FIFO's mtime, and its ctime at a write: the kernel's pipes stamp the inodes of all file systems but FUSE's.
 * - The order of directory listings and of extended attributes' names.
 * - Attributes in the `security.` namespace that the system adds by itself (SELinux labels).
 */
import { crc32 } from 'node:zlib';
import * as calls from './system-calls.ts';

const STATX_BYTES = 256;
/** The processes of a side start one after the other, and the kernel's clock of ticks is a little late. */
const EARLIEST_SECONDS = Date.now() / 1000 - 60;
const CLOCK_SLACK_SECONDS = 1;
/** How much of a file's beginning, and of its end, is looked at after each operation. */
const EDGE_BYTES = 128 * 1024;
const statBuffer = Buffer.alloc(STATX_BYTES);
const EMPTY = calls.cString('');
const TYPES = new Map([
  [0o010000, 'fifo'],
  [0o020000, 'char'],
  [0o040000, 'dir'],
  [0o060000, 'block'],
  [0o100000, 'file'],
  [0o120000, 'link'],
  [0o140000, 'socket'],
]);

export interface Seen {
  inode: number;
  type: string;
  text: string;
  /** With the set-gid bit even where it seldom matters. */
  fullText: string;
  sizeBytes: number;
  mtime: string;
  ctime: string;
  atime: string;
}

/** A file to look at before and after an operation. */
export interface Target {
  label: string;
  from: number;
  path: Buffer;
  flags: number;
}

export const targetAt = (label: string, from: number, path: Buffer, follow: boolean): Target => ({
  label,
  from,
  path,
  flags: follow ? 0 : calls.AT_SYMLINK_NOFOLLOW,
});

export const targetOf = (label: string, fd: number): Target => ({
  label,
  from: fd,
  path: EMPTY,
  flags: calls.AT_EMPTY_PATH,
});

/** Attributes, or the errno as a negative number. */
export function look(target: Target): Seen | number {
  const { from, path, flags } = target;
  const result = calls.statx(from, path, flags, calls.STATX_BASIC_STATS, statBuffer);
  return result < 0 ? result : decode();
}

function decode(): Seen {
  const mode = statBuffer.readUInt16LE(28);
  const type = TYPES.get(mode & calls.S_IFMT) ?? 'unknown';
  const sizeBytes = uint64(40);
  const links = statBuffer.readUInt32LE(16);
  const owner = `${statBuffer.readUInt32LE(20)}:${statBuffer.readUInt32LE(24)}`;
  const size = type === 'dir' ? '' : ` size ${sizeBytes}`;
  const device =
    type === 'char' || type === 'block'
      ? ` device ${statBuffer.readUInt32LE(128)}:${statBuffer.readUInt32LE(132)}`
      : '';
  const setGidMatters = type === 'dir' || (mode & 0o010) !== 0;
  const permissions = mode & 0o7777;
  const rest = `${owner} links ${links}${size}${device}`;
  const show = (bits: number): string => `${type} ${bits.toString(8)} ${rest}`;
  return {
    inode: uint64(32),
    type,
    sizeBytes,
    text: show(setGidMatters ? permissions : permissions & 0o5777),
    fullText: show(permissions),
    atime: time(64),
    ctime: time(96),
    mtime: time(112),
  };
}

function uint64(offset: number): number {
  return statBuffer.readUInt32LE(offset) + statBuffer.readUInt32LE(offset + 4) * 2 ** 32;
}

function time(offset: number): string {
  const seconds = statBuffer.readUInt32LE(offset) + statBuffer.readInt32LE(offset + 4) * 2 ** 32;
  return `${seconds}.${String(statBuffer.readUInt32LE(offset + 8)).padStart(9, '0')}`;
}

/** `recent` for a time that the file system took from its clock, else the time itself. */
function showTime(time: string): string {
  const seconds = Number(time);
  const isPast = seconds < Date.now() / 1000 + CLOCK_SLACK_SECONDS;
  return isPast && seconds > EARLIEST_SECONDS ? 'recent' : time;
}

/** Attributes as one text, for the whole tree: no moves, since there is nothing before. */
function showAlone(seen: Seen): string {
  return seen.type === 'fifo' ? seen.text : `${seen.text} mtime ${showTime(seen.mtime)}`;
}

/** What an operation means for what is compared after it. */
export interface LookOptions {
  /** Data of files and names in folders, too: the operation may have changed them. */
  withContents?: boolean;
  /** The operation has set all permission bits. */
  allBits?: boolean;
  /** When the file system learns of the change is its own affair. */
  timesAreOpen?: boolean;
  isWrite?: boolean;
  /** Label of the target whose access time has just been set. */
  atimeOf?: string | undefined;
}

/** Looks at files before and after an operation, and tells what became of them. */
export class Watch {
  readonly #targets: readonly Target[];
  readonly #before = new Map<number, Seen>();
  readonly #showMoves: boolean;

  /** `before` is false to look only afterwards, when the operation itself has met whatever the kernel has in its caches. */
  constructor(targets: readonly Target[], options: { showMoves: boolean; before: boolean }) {
    this.#targets = targets;
    this.#showMoves = options.showMoves && options.before;
    if (!options.before) return;
    for (const target of targets) {
      const seen = look(target);
      if (typeof seen !== 'number') this.#before.set(seen.inode, seen);
    }
  }

  /** One line for each file; the options say what is compared. */
  after(options: LookOptions = {}): string {
    const shown = new Map<number, string>();
    // A look at contents moves access times, so it comes after all others.
    const looks = this.#targets.map((target) => ({ target, seen: look(target) }));
    const lines = looks.map(({ target, seen }) => {
      const { label } = target;
      if (typeof seen === 'number') return `\n${label}: ${calls.showResult(seen)}`;
      const same = shown.get(seen.inode);
      // Where an access time was set, it is shown by this name.
      if (same !== undefined && options.atimeOf !== label) return `\n${label}: same as ${same}`;
      shown.set(seen.inode, label);
      return `\n${label}: ${this.#show(seen, options, label)}${contentOf(target, seen, options)}`;
    });
    return lines.join('');
  }

  #show(seen: Seen, options: LookOptions, label: string): string {
    const text = options.allBits === true ? seen.fullText : seen.text;
    const before = this.#before.get(seen.inode);
    const atime = options.atimeOf === label ? ` atime ${showTime(seen.atime)}` : '';
    if (options.timesAreOpen === true) return text + atime;
    const isFifo = seen.type === 'fifo';
    if (isFifo && options.isWrite === true) return text + atime;
    const moved = this.#move(before?.mtime, seen.mtime);
    const mtime = isFifo ? '' : ` mtime ${showTime(seen.mtime)}${moved}`;
    return `${text}${atime}${mtime} ctime${this.#move(before?.ctime, seen.ctime)}`;
  }

  #move(before: string | undefined, after: string): string {
    if (!this.#showMoves) return '';
    if (before === undefined) return ' new';
    if (before === after) return ' as before';
    return compareTimes(before, after) < 0 ? ' moved' : ' moved back';
  }
}

function compareTimes(a: string, b: string): number {
  const seconds = (time: string): number => Number(time.split('.')[0]);
  const nanoseconds = (time: string): number => Number(time.split('.')[1]);
  return seconds(a) - seconds(b) || nanoseconds(a) - nanoseconds(b);
}

/** Data of a file as it is read, names in a folder; nothing of other targets. */
function contentOf(target: Target, seen: Seen, options: LookOptions): string {
  if (options.withContents !== true) return '';
  const isFolder = target.label.startsWith(FOLDER_LABEL);
  if (seen.type !== (isFolder ? 'dir' : 'file')) return '';
  if (target.flags & calls.AT_EMPTY_PATH) return ` data ${edges(target.from, seen.sizeBytes)}`;
  const fd = calls.openat(target.from, target.path, calls.openFlags(['O_RDONLY']), 0);
  if (fd < 0) return ` ${calls.showResult(fd)}`;
  const text = isFolder ? ` names ${names(fd)}` : ` data ${edges(fd, seen.sizeBytes)}`;
  calls.close(fd);
  return text;
}

function names(fd: number): string {
  const entries = listDirectory(fd);
  if (typeof entries === 'number') return calls.showResult(entries);
  return JSON.stringify(entries.map(({ name, type }) => `${name}:${type}`));
}

/** Checksum of a file's beginning and end. */
function edges(fd: number, sizeBytes: number): string {
  const parts = [
    0,
    ...(sizeBytes > EDGE_BYTES ? [Math.max(EDGE_BYTES, sizeBytes - EDGE_BYTES)] : []),
  ];
  return parts
    .map((offset) => {
      const length = calls.pread(fd, chunk, EDGE_BYTES, offset);
      return length < 0 ? calls.showResult(length) : showBytes(chunk.subarray(0, length));
    })
    .join(', ');
}

const ENTRY_HEADER_BYTES = 19;
const listingBuffer = Buffer.alloc(32_768);

/** All names of an open directory from its beginning, sorted, with types; or the errno as a negative number. */
export function listDirectory(fd: number): { name: string; type: number }[] | number {
  const rewound = calls.lseek(fd, 0, 0);
  if (rewound < 0) return rewound;
  const entries: { name: string; type: number }[] = [];
  for (;;) {
    const length = calls.getdents(fd, listingBuffer, listingBuffer.length);
    if (length < 0) return length;
    if (length === 0) break;
    for (let at = 0; at < length; at += listingBuffer.readUInt16LE(at + 16)) {
      const start = at + ENTRY_HEADER_BYTES;
      const name = listingBuffer.toString('latin1', start, listingBuffer.indexOf(0, start));
      entries.push({ name, type: listingBuffer.readUInt8(at + 18) });
    }
  }
  // Where a listing has ended is the file system's affair, and read(2) would look at it first.
  calls.lseek(fd, 0, 0);
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const chunk = Buffer.alloc(1024 * 1024);

/** Bytes as length and checksum, which is all that a comparison needs. */
export function showBytes(bytes: Buffer): string {
  return `${bytes.length} bytes ${crc32(bytes, 0).toString(16)}`;
}

/** Content of an open file by checksum: as the kernel has it cached, and as the file system has it. */
function showContent(fd: number): string {
  const cached = checksum(fd);
  calls.fadvise(fd, 0, 0, calls.POSIX_FADV_DONTNEED);
  const stored = checksum(fd);
  return cached === stored ? `data ${cached}` : `data ${cached} in the cache, ${stored} stored`;
}

function checksum(fd: number): string {
  let sum = 0;
  for (let offset = 0; ;) {
    const length = calls.pread(fd, chunk, chunk.length, offset);
    if (length < 0) return calls.showResult(length);
    if (length === 0) return `${offset} bytes ${sum.toString(16)}`;
    sum = crc32(chunk.subarray(0, length), sum);
    offset += length;
  }
}

/** Extended attributes that a person or program has set, by name, or the errno. */
function showXattrs(path: Buffer): string {
  const length = calls.llistxattr(path, chunk, chunk.length);
  if (length < 0) return calls.showResult(length);
  const names = chunk.toString('latin1', 0, length).split('\0').filter(isOurs).sort();
  return names
    .map((name) => {
      const size = calls.lgetxattr(path, calls.cString(name), chunk, chunk.length);
      return `${name}=${size < 0 ? calls.showResult(size) : showBytes(chunk.subarray(0, size))}`;
    })
    .join(' ');
}

/** Whether an attribute's name is one that tests set, not one that the system adds by itself. */
export function isOurs(name: string): boolean {
  return name !== '' && (!name.startsWith('security.') || name.startsWith('security.test'));
}

/** Every entry of the tree as a line, in the order of their paths. */
export function describeTree(root: string): string {
  const lines: string[] = [];
  const firstNames = new Map<number, string>();
  const visit = (path: string): void => {
    const place = calls.cString(root + path);
    const seen = look(targetAt('', calls.AT_FDCWD, place, false));
    if (typeof seen === 'number') {
      lines.push(`${path}: ${calls.showResult(seen)}`);
      return;
    }
    const first = firstNames.get(seen.inode) ?? path;
    firstNames.set(seen.inode, first);
    const same = first === path ? '' : ` same as ${first}`;
    const more = first === path ? showInside(place, seen) : { text: '', names: [] };
    lines.push(`${path}: ${showAlone(seen)}${same}${more.text}`);
    for (const name of more.names) visit(`${path}/${name}`);
  };
  visit('');
  return lines.join('\n');
}

function showInside(place: Buffer, seen: Seen): { text: string; names: string[] } {
  const xattrs = showXattrs(place);
  const text = xattrs === '' ? '' : ` [${xattrs}]`;
  if (seen.type === 'link') {
    const length = calls.readlinkat(calls.AT_FDCWD, place, chunk, chunk.length);
    const target = length < 0 ? calls.showResult(length) : chunk.toString('latin1', 0, length);
    return { text: `${text} -> ${target}`, names: [] };
  }
  if (seen.type !== 'file' && seen.type !== 'dir') return { text, names: [] };
  const fd = calls.openat(calls.AT_FDCWD, place, calls.openFlags(['O_RDONLY', 'O_NOFOLLOW']), 0);
  if (fd < 0) return { text: `${text} ${calls.showResult(fd)}`, names: [] };
  try {
    if (seen.type === 'file') return { text: `${text} ${showContent(fd)}`, names: [] };
    const entries = listDirectory(fd);
    if (typeof entries === 'number') return { text: text + calls.showResult(entries), names: [] };
    const names = entries.map(({ name }) => name).filter((name) => name !== '.' && name !== '..');
    return { text, names };
  } finally {
    calls.close(fd);
  }
}

/** How the names of the folders begin that an operation's files are in. */
export const FOLDER_LABEL = 'folder of';
/** What an operation did to mtime and to ctime: before the names, which may be like these words. */
const TIME_WORDS = /(?<=^[^"]*)( as before| moved)\b/;

/** Operations after which a time may have moved that the reference left; see the file's header. */
const MAY_MOVE_MORE = new Set(['unlink', 'rmdir', 'link', 'rename']);

/** Whether two sides tell the same of an operation; see the file's header. */
export function isSameOutcome(op: string, expected: string, found: string): boolean {
  if (expected === found) return true;
  if (!MAY_MOVE_MORE.has(op) || !expected.startsWith('ok')) return false;
  const [left, right] = [expected.split('\n'), found.split('\n')];
  return (
    left.length === right.length && left.every((line, at) => isSameLine(line, right[at] ?? ''))
  );
}

function isSameLine(expected: string, found: string): boolean {
  if (expected === found) return true;
  if (!expected.startsWith(FOLDER_LABEL)) return false;
  const words = found.split(TIME_WORDS);
  const same = expected
    .split(TIME_WORDS)
    .map((word, at) => word === words[at] || (word === ' as before' && words[at] === ' moved'));
  return same.length === words.length && same.every(Boolean);
}
