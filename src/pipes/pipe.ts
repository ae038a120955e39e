/**
 * Bytes that pass between descriptors without being copied into memory of this process, or out of it: pages of the kernel
 * in a pipe(7), moved by splice(2) and vmsplice(2). Nothing here ever waits.
 */
import { closeSync, openSync } from 'node:fs';
import { Errno, errnoName } from '../errno.ts';
import { invariant } from '../invariant.ts';
import { type PipeCalls, pipeCalls } from './calls.ts';

/** `asm-generic/fcntl.h`, `linux/fcntl.h`, `linux/splice.h`. */
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETPIPE_SZ = 1031;
const SPLICE_F_NONBLOCK = 2;
/** `linux/socket.h`: never wait, raise no SIGPIPE, and leave the bytes to go with those that follow. */
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;

/** What `fs.pipe-max-size` allows every user: 256 pages, or pieces of pages. */
const PIPE_BYTES = 1024 * 1024;

/** A system call that moves bytes failed for another reason than that there were none, or no room for them. */
export class PipeError extends Error {
  override name = 'PipeError';
  readonly errno: number;

  constructor(call: string, errno: number) {
    super(`${call}: ${errnoName(errno)}`);
    this.errno = errno;
  }
}

/** Copies bytes to a socket, ahead of others that follow at once. Returns how many it took. Throws PipeError. */
export function sendAhead(socket: number, bytes: Buffer): number {
  const calls = pipeCalls();
  const count = calls?.send(socket, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
  if (calls === null || count === undefined || count >= 0) return count ?? 0;
  const errno = calls.errno();
  if (errno === Errno.EAGAIN) return 0;
  throw new PipeError('send', errno);
}

/** Both ends of a pipe, non-blocking. Bytes come out in the order in which they went in. */
export class Pipe {
  readonly #calls: PipeCalls;
  readonly #readEnd: number;
  readonly #writeEnd: number;
  #lengthBytes = 0;
  #isSpoilt = false;

  /** Undefined if the system gives none: EMFILE, or EPERM for users with many pipes (`fs.pipe-user-pages-soft`). */
  static open(): Pipe | undefined {
    const table = pipeCalls();
    if (table === null) return undefined;
    const fds = [-1, -1];
    if (table.pipe2(fds, O_NONBLOCK | O_CLOEXEC) !== 0) return undefined;
    const [readEnd = -1, writeEnd = -1] = fds;
    const pipe = new Pipe(table, readEnd, writeEnd);
    if (table.fcntl(readEnd, F_SETPIPE_SZ, 'int', PIPE_BYTES) >= PIPE_BYTES) return pipe;
    pipe.close();
    return undefined;
  }

  private constructor(table: PipeCalls, readEnd: number, writeEnd: number) {
    this.#calls = table;
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
  }

  /** Bytes in it. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** A call has failed half-way: what is in it is not known. */
  get isSpoilt(): boolean {
    return this.#isSpoilt;
  }

  /** Takes up to `most` bytes from the descriptor `from`. 0 if it has none now, is at its end, or the pipe is full. */
  fillFrom(from: number, most: number): number {
    return this.#filled('splice', (calls) => {
      return calls.splice(from, 0, this.#writeEnd, 0, most, SPLICE_F_NONBLOCK);
    });
  }

  /**
   * Takes memory by reference, as far as there is room: `vector` is a `struct iovec`, whose pages must not change before
   * what was made of them has been read at the other end of wherever they go.
   */
  refer(vector: BigUint64Array): number {
    return this.#filled('vmsplice', (calls) => {
      return calls.vmsplice(this.#writeEnd, vector, 1, SPLICE_F_NONBLOCK);
    });
  }

  /** Copies `bytes` in, as far as there is room. Returns how many. */
  write(bytes: Buffer): number {
    return this.#filled('write', (calls) => calls.write(this.#writeEnd, bytes, bytes.length));
  }

  #filled(name: string, call: (calls: PipeCalls) => number): number {
    const count = this.#done(name, call(this.#calls));
    this.#lengthBytes += count;
    return count;
  }

  /** Gives up to `most` bytes to the descriptor `to`, in one call. Returns how many it took: 0 if it has no room. */
  drainTo(to: number, most = this.#lengthBytes): number {
    const moved = this.#done(
      'splice',
      this.#calls.splice(this.#readEnd, 0, to, 0, most, SPLICE_F_NONBLOCK),
    );
    this.#lengthBytes -= moved;
    return moved;
  }

  /** Moves all of it into another pipe, as far as that has room. */
  moveTo(other: Pipe): void {
    while (this.#lengthBytes > 0) {
      const moved = this.drainTo(other.#writeEnd);
      if (moved === 0) return;
      other.#lengthBytes += moved;
    }
  }

  /** Reads `bytes.length` bytes, which must be there. */
  read(bytes: Buffer): void {
    invariant(bytes.length <= this.#lengthBytes, 'More is read from a pipe than is in it');
    for (let at = 0; at < bytes.length;) {
      const rest = at === 0 ? bytes : bytes.subarray(at);
      const count = this.#done('read', this.#calls.read(this.#readEnd, rest, rest.length));
      invariant(count > 0, 'A pipe has fewer bytes than were put in');
      at += count;
      this.#lengthBytes -= count;
    }
  }

  #done(call: string, result: number): number {
    if (result >= 0) return result;
    const errno = this.#calls.errno();
    if (errno === Errno.EAGAIN) return 0;
    this.#isSpoilt = true;
    throw new PipeError(call, errno);
  }

  close(): void {
    closeSync(this.#readEnd);
    closeSync(this.#writeEnd);
  }
}

/** Empty pipes that are used again. */
export class PipePool {
  readonly #most: number;
  readonly #free: Pipe[] = [];
  #takenCount = 0;
  #isRefused = false;
  /** Of /dev/null, for what nobody wants. */
  #nowhere = -1;

  /** There are never more than `most` pipes. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Undefined if there are as many as there may be, or the system gives no more. */
  take(): Pipe | undefined {
    if (this.#isRefused || this.#takenCount >= this.#most) return undefined;
    const pipe = this.#free.pop() ?? Pipe.open();
    if (pipe === undefined) this.#isRefused = this.#takenCount === 0;
    else this.#takenCount++;
    return pipe;
  }

  /** What pipes are for does not work here: there are none from now on. */
  refuse(): void {
    this.#isRefused = true;
  }

  /** Takes a pipe back; what is still in it is dropped. */
  give(pipe: Pipe): void {
    this.#takenCount--;
    if (this.#isRefused || pipe.isSpoilt || !this.#isEmptied(pipe)) pipe.close();
    else this.#free.push(pipe);
  }

  #isEmptied(pipe: Pipe): boolean {
    if (pipe.lengthBytes === 0) return true;
    try {
      if (this.#nowhere < 0) this.#nowhere = openSync('/dev/null', 'w');
      while (pipe.lengthBytes > 0 && pipe.drainTo(this.#nowhere) > 0);
    } catch {
      return false;
    }
    return pipe.lengthBytes === 0;
  }

  /** There are no pipes any more; those that are out are closed when they are given back. */
  close(): void {
    this.refuse();
    for (const pipe of this.#free.splice(0)) pipe.close();
    if (this.#nowhere >= 0) closeSync(this.#nowhere);
    this.#nowhere = -1;
  }
}
