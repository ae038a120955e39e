/**
 * The language of the model-based tests: one operation of one process, as data that can be generated, shrunk, stored as
 * JSON and shown as one line. Paths and names are text with one character for each byte (latin1).
 */

/** Which of the processes acts; 0 is the privileged one, where there is one. */
export const WORKER_COUNT = 3;
/** How many descriptors a process of a script has at hand. */
export const SLOT_COUNT = 3;

/** Flags of open(2), by the names that `fs.constants` has; O_PATH is added by the worker. */
export type OpenFlag =
  | 'O_RDONLY'
  | 'O_WRONLY'
  | 'O_RDWR'
  | 'O_CREAT'
  | 'O_EXCL'
  | 'O_TRUNC'
  | 'O_APPEND'
  | 'O_DIRECTORY'
  | 'O_NOFOLLOW'
  | 'O_DIRECT'
  | 'O_PATH';

/** A time as in utimensat(2): `now` and `omit` stand in place of its seconds. */
export interface TimeValue {
  seconds: number | 'now' | 'omit';
  nanoseconds: number;
}

/** For chown(2): -1 leaves one as it is. */
export interface Owner {
  uid: number;
  gid: number;
}

/** Where a path begins: the process's working directory, or the directory open in a slot, as openat(2) has it. */
type From = { at?: number };

/** A slot without a descriptor stands for the descriptor that the process opened first. */
export type Action =
  | ({ op: 'open'; slot: number; path: string; flags: OpenFlag[]; mode: number } & From)
  | { op: 'close'; slot: number }
  | { op: 'read'; slot: number; length: number }
  | { op: 'pread'; slot: number; length: number; offset: number }
  | { op: 'write'; slot: number; length: number; fill: number }
  | { op: 'pwrite'; slot: number; length: number; offset: number; fill: number }
  | { op: 'mapWrite'; slot: number; length: number; offset: number; fill: number }
  | { op: 'mapRead'; slot: number; length: number; offset: number }
  | { op: 'seek'; slot: number; offset: number; whence: 'set' | 'current' | 'end' }
  | { op: 'ftruncate'; slot: number; size: number }
  | { op: 'truncate'; path: string; size: number }
  | { op: 'fsync'; slot: number }
  | { op: 'fstat'; slot: number }
  | { op: 'list'; slot: number }
  | ({ op: 'stat'; path: string; follow: boolean } & From)
  | ({ op: 'mkdir'; path: string; mode: number } & From)
  | ({ op: 'rmdir'; path: string } & From)
  | ({ op: 'unlink'; path: string } & From)
  | ({
      op: 'rename';
      path: string;
      to: string;
      flag: 'plain' | 'noreplace' | 'exchange';
    } & From)
  | ({ op: 'link'; path: string; to: string; follow: boolean } & From)
  | ({ op: 'symlink'; path: string; target: string } & From)
  | ({ op: 'readlink'; path: string } & From)
  | ({ op: 'mknod'; path: string; type: 'fifo' | 'file' | 'socket' | 'null'; mode: number } & From)
  | { op: 'chmod'; path: string; mode: number }
  | { op: 'fchmod'; slot: number; mode: number }
  | ({ op: 'chown'; path: string; owner: Owner; follow: boolean } & From)
  | { op: 'fchown'; slot: number; owner: Owner }
  | ({
      op: 'utimens';
      path: string;
      atime: TimeValue;
      mtime: TimeValue;
      follow: boolean;
    } & From)
  | { op: 'futimens'; slot: number; atime: TimeValue; mtime: TimeValue }
  | { op: 'access'; path: string; mask: number }
  | {
      op: 'setxattr';
      path: string;
      name: string;
      length: number;
      fill: number;
      mode: 'either' | 'create' | 'replace';
      follow: boolean;
    }
  | { op: 'getxattr'; path: string; name: string; room: number; follow: boolean }
  | { op: 'listxattr'; path: string; room: number; follow: boolean }
  | { op: 'removexattr'; path: string; name: string; follow: boolean }
  | { op: 'umask'; mask: number }
  | { op: 'chdir'; path: string }
  | { op: 'fchdir'; slot: number }
  /** Back to the folder that scripts begin in. */
  | { op: 'goHome' }
  /** Makes the kernel forget what it caches of one file's data. */
  | { op: 'forgetPages'; slot: number }
  /** Makes the kernel forget the names and attributes that it caches of this mount. */
  | { op: 'forgetNames' }
  /** Describes the whole tree. */
  | { op: 'tree' };

/** `watched: false` for an operation before which nobody looks at its files: it meets the kernel's caches as they are. */
export type Operation = { worker: number; watched?: false } & Action;

/** The operation that ends every script, and by which its last effects are found. */
export const FINAL_CHECK: Operation = { worker: 0, op: 'tree' };

/** One line, e.g. `w1 open slot 0 "a" O_RDWR|O_CREAT 0644`. */
export function showOperation(operation: Operation): string {
  const { worker, op, watched, ...rest } = operation;
  const words = Object.entries(rest)
    .map(([key, value]) => showArgument(key, value))
    .filter((word) => word !== '');
  return [`w${worker} ${op}`, ...words, ...(watched === false ? ['unwatched'] : [])].join(' ');
}

function showArgument(key: string, value: unknown): string {
  if (key === 'flags') return (value as string[]).join('|');
  if (key === 'path' || key === 'to' || key === 'target' || key === 'name') {
    const text = showPath(value as string);
    return key === 'path' ? text : `${key} ${text}`;
  }
  if (key === 'mode' && typeof value === 'number') return octal(value);
  if (key === 'mask') return octal(value as number);
  if (key === 'follow') return value === true ? '' : 'nofollow';
  if (key === 'flag') return value === 'plain' ? '' : String(value);
  if (key === 'owner') return showOwner(value as Owner);
  if (key === 'atime' || key === 'mtime') return `${key} ${showTime(value as TimeValue)}`;
  return `${key} ${String(value)}`;
}

function showOwner({ uid, gid }: Owner): string {
  return `owner ${uid}:${gid}`;
}

function showTime({ seconds, nanoseconds }: TimeValue): string {
  return typeof seconds === 'string'
    ? seconds
    : `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** Long names are cut, with their length; bytes outside ASCII are shown in hexadecimal. */
export function showPath(path: string): string {
  const shown = path
    .split('/')
    .map((name) => {
      const text = name.replace(
        /[^ -~]/g,
        (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
      );
      return name.length > 40 ? `${name.slice(0, 3)}...(${name.length} bytes)` : text;
    })
    .join('/');
  return `"${shown}"`;
}
