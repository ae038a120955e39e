/**
 * The parts of the package fuse-native 2.2.6 that we use; it brings no types. Read from its index.js: what it calls,
 * what it passes, and what its C half does with the answers. Members with an underscore are its own, and pinned with
 * its version.
 */

/** 0, a negative errno, or for reads and writes a number of bytes. */
export type Result = number;

export type Done = (result: Result) => void;
export type DoneWith<T> = (result: Result, value?: T) => void;

/** Attributes as the package encodes them: 32-bit numbers, sizes of 64 bits, times in milliseconds. */
export interface PackageStat {
  mode: number;
  uid: number;
  gid: number;
  size: number;
  nlink: number;
  ino: number;
  rdev: number;
  blksize: number;
  blocks: number;
  atime: number;
  mtime: number;
  ctime: number;
}

/** All fields have 32 bits. */
export interface PackageStatfs {
  bsize: number;
  frsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  ffree: number;
  favail: number;
  namemax: number;
}

/**
 * The callbacks. Paths begin at the mount's root; buffers are libfuse's memory, and gone once `done` is called.
 * Every `done` must be called exactly once.
 */
export interface Operations {
  getattr(path: string, done: DoneWith<PackageStat>): void;
  /** Called only because {@link EngineFuse} calls it: the package's own handler asks `getattr`. */
  fgetattr(path: string, fd: number, done: DoneWith<PackageStat>): void;
  access(path: string, mode: number, done: Done): void;
  statfs(path: string, done: DoneWith<PackageStatfs>): void;
  readdir(path: string, done: ReaddirDone): void;
  readlink(path: string, done: DoneWith<string>): void;
  truncate(path: string, size: number, done: Done): void;
  ftruncate(path: string, fd: number, size: number, done: Done): void;
  utimens(path: string, atimeMs: number, mtimeMs: number, done: Done): void;
  chown(path: string, uid: number, gid: number, done: Done): void;
  chmod(path: string, mode: number, done: Done): void;
  mknod(path: string, mode: number, dev: number, done: Done): void;
  mkdir(path: string, mode: number, done: Done): void;
  create(path: string, mode: number, done: DoneWith<number>): void;
  open(path: string, flags: number, done: DoneWith<number>): void;
  read(
    path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    done: Done,
  ): void;
  write(
    path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    done: Done,
  ): void;
  flush(path: string, fd: number, done: Done): void;
  fsync(path: string, datasync: number, fd: number, done: Done): void;
  release(path: string, fd: number, done: Done): void;
  unlink(path: string, done: Done): void;
  rmdir(path: string, done: Done): void;
  rename(from: string, to: string, done: Done): void;
  link(path: string, newPath: string, done: Done): void;
  symlink(target: string, path: string, done: Done): void;
  setxattr(
    path: string,
    name: string,
    value: Buffer,
    position: number,
    flags: number,
    done: Done,
  ): void;
  getxattr(path: string, name: string, position: number, done: DoneWith<Buffer>): void;
  /** Names, each followed by NUL: bytes, where the package itself would take an array of strings. */
  listxattr(path: string, done: DoneWith<Buffer>): void;
  removexattr(path: string, name: string, done: Done): void;
}

export type ReaddirDone = (
  result: Result,
  names?: readonly string[],
  stats?: readonly Pick<PackageStat, 'mode' | 'ino'>[],
) => void;

/** Answers a request of libfuse; the values depend on the operation. */
export type Signal = (result: Result, ...values: unknown[]) => void;

/** What the C half calls: its record of the request, the operation's number, the arguments. */
export type Handler = (record: Buffer, operation: number, ...parameters: unknown[]) => unknown;

/** One mount. */
export interface Fuse {
  /** 0 when no request is ever answered by a timer. */
  readonly timeout: unknown;
  ops: Operations;
  /** By operation number. */
  _handlers: Handler[];
  /** What {@link Fuse._malloc} has made. */
  readonly _threads: ReadonlySet<Buffer>;
  /** Makes the record of a thread of libfuse that asks for the first time. */
  _malloc(sizeBytes: number): Buffer;
  mount(done: (error?: Error | null) => void): void;
  _fuseOptions(): string;
  _op_getattr(signal: Signal, path: string): void;
  _op_fgetattr(signal: Signal, path: string, fd: number): void;
  _op_utimens(
    signal: Signal,
    path: string,
    atimeLow: number,
    atimeHigh: number,
    mtimeLow: number,
    mtimeHigh: number,
  ): void;
  _op_readdir(signal: Signal, path: string): void;
  _op_getxattr(signal: Signal, path: string, name: string, room: Buffer, position: number): void;
  _op_listxattr(signal: Signal, path: string, room: Buffer): void;
}

/** What `require('fuse-native')` returns. */
export interface FuseConstructor {
  new (mountPoint: string, operations: Operations, options: { timeout: false | number }): Fuse;
  readonly prototype: Fuse;
}
