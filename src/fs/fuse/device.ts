/**
 * Reads and writes whole FUSE messages on a non-blocking /dev/fuse descriptor, and waits for them from Node's own
 * event loop. Nothing here looks into a message, and the descriptor is never touched after it was closed.
 */
import { closeSync, write } from 'node:fs';
import { Errno, errnoName } from '../../errno.ts';
import { invariant } from '../../invariant.ts';
import { type Pipe, PipeError } from '../../pipes/pipe.ts';
import type { PipedBytes } from '../../pipes/piped-bytes.ts';
import { libc, type Libc } from './libc.ts';
import { HEAD_BYTES } from './request.ts';

/** What {@link Device.watch} calls, always from the event loop. */
export interface DeviceHandlers {
  /**
   * A request may be waiting. Called again while any is left unread; when it returns true, in the next turn of the
   * event loop whether or not one is.
   */
  onReadable(): boolean;
  /** The connection has ended; called once, and nothing is called after it. */
  onGone(): void;
  /** A handler threw. Watching has stopped; the owner aborts the connection and exits. */
  onBug(error: unknown): void;
}

export interface Device {
  /** First {@link HEAD_BYTES} of the request that was read last; overwritten by the next read. */
  readonly head: Buffer;
  /**
   * Reads one request, its first bytes into {@link head} and the rest into `payload`. Returns its whole length,
   * or 0 when none is waiting. Throws {@link DeviceGoneError} after the mount has ended. `payload` belongs to the
   * caller and must hold max_write + 4,096 bytes.
   */
  read(payload: Buffer): number;
  /**
   * Writes one whole message, which the kernel has copied when this returns. Returns 0 or the positive errno:
   * ENOENT for a request that was aborted, ENODEV after the end.
   */
  write(parts: readonly Buffer[]): number;
  /** As {@link write}, of a message whose bytes behind `head` are in a pipe. */
  writePiped(head: readonly Buffer[], piped: PipedBytes): number;
  /**
   * As {@link write}, but by another thread, for messages on which the kernel may wait for what only this process can
   * answer. `message` must not change until it resolves.
   */
  writeLater(message: Buffer): Promise<number>;
  watch(handlers: DeviceHandlers): void;
  /** Ends the connection at once: every process that waits for an answer gets ECONNABORTED. */
  abort(): void;
  /** {@link abort}, and resolves when the event loop no longer knows the descriptor. May be repeated. */
  close(): Promise<void>;
}

/** The mount has ended: unmounted, aborted, or the device was closed. */
export class DeviceGoneError extends Error {
  override name = 'DeviceGoneError';
}

/** read(2) on /dev/fuse failed in a way that fuse_dev_do_read() does not document. */
export class DeviceError extends Error {
  override name = 'DeviceError';
}

/** Messages up to this size are copied together: cheaper than one iovec per part (measured up to 16 KiB). */
const COPIED_BYTES = 16 * 1024;
/** `IOV_MAX`. */
const MAX_PARTS = 1024;
/** A `struct iovec` is two 64-bit words: address and length. */
const WORDS_PER_IOVEC = 2;
/** Not in our table of file-system errnos; the kernel's answer after an abort with FUSE_ABORT_ERROR. */
const ECONNABORTED = 103;

/** Memory and callbacks that libuv still refers to; kept from the garbage collector until `uv_close` is done. */
const liveHandles = new Set<PollHandle>();

interface PollHandle {
  readonly memory: Buffer;
  readonly onPoll: bigint;
}

/** What is in two pipes, in memory. */
function joined(first: Pipe, second: Pipe): Buffer {
  const at = first.lengthBytes;
  const bytes = Buffer.allocUnsafeSlow(at + second.lengthBytes);
  first.read(bytes.subarray(0, at));
  second.read(bytes.subarray(at));
  return bytes;
}

/** The device behind a mount of the kernel; main thread only. Owns `fd` and closes it. */
export class KernelDevice implements Device {
  readonly head: Buffer;
  readonly #libc: Libc;
  #fd: number;
  #poll: PollHandle | undefined;
  #handlers: DeviceHandlers | undefined;
  #closed: Promise<void> | undefined;
  /** Other threads that use the descriptor: it is closed behind the last. */
  #writersElsewhere = 0;
  #onWritten: (() => void) | undefined;
  #nextTurn: NodeJS.Immediate | undefined;

  readonly #readVector = new BigUint64Array(8 * WORDS_PER_IOVEC);
  readonly #readVectorAddress: number;
  /** The buffer whose address is in the read vector; holding it keeps that address valid. */
  #payload: Buffer | undefined;

  readonly #copy = Buffer.alloc(COPIED_BYTES);
  readonly #copyAddress: number;
  readonly #writeVector = new BigUint64Array(MAX_PARTS * WORDS_PER_IOVEC);
  readonly #writeVectorAddress: number;

  /** `fd` must be non-blocking and close-on-exec. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#libc = libc();
    // Larger than the 64 bytes up to which V8 keeps a typed array on its moving heap.
    this.head = Buffer.alloc(4096).subarray(0, HEAD_BYTES);
    this.#readVector[0] = this.#libc.address(this.head);
    this.#readVector[1] = BigInt(HEAD_BYTES);
    this.#readVectorAddress = this.#addressOf(this.#readVector);
    this.#copyAddress = this.#addressOf(this.#copy);
    this.#writeVectorAddress = this.#addressOf(this.#writeVector);
  }

  #addressOf(array: Uint8Array | BigUint64Array): number {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const address = Number(this.#libc.address(bytes));
    invariant(Number.isSafeInteger(address), 'An address does not fit a number');
    return address;
  }

  read(payload: Buffer): number {
    if (payload !== this.#payload) this.#aimAt(payload);
    for (;;) {
      if (this.#fd < 0) throw new DeviceGoneError('The device is closed');
      const length = this.#libc.readv(this.#fd, this.#readVectorAddress, 2);
      if (length >= 0) return length;
      const errno = this.#libc.errno();
      if (errno === Errno.EAGAIN) return 0;
      if (errno === Errno.ENODEV || errno === ECONNABORTED) {
        throw new DeviceGoneError('The mount has ended');
      }
      // ENOENT: the request was interrupted while the kernel copied it to us; the next one may be waiting.
      if (errno !== Errno.ENOENT && errno !== Errno.EINTR) {
        throw new DeviceError(`Reading from /dev/fuse failed: ${errnoName(errno)}`);
      }
    }
  }

  #aimAt(payload: Buffer): void {
    // FUSE_MIN_READ_BUFFER; smaller reads fail with EINVAL.
    invariant(payload.length + HEAD_BYTES >= 8192, 'The read buffer is too small for the kernel');
    this.#readVector[2] = this.#libc.address(payload);
    this.#readVector[3] = BigInt(payload.length);
    this.#payload = payload;
  }

  write(parts: readonly Buffer[]): number {
    // A late answer must not reach whatever file has our descriptor's number now.
    if (this.#fd < 0) return Errno.ENODEV;
    let length = 0;
    for (const part of parts) length += part.length;
    for (;;) {
      const written =
        length <= COPIED_BYTES ? this.#writeCopied(parts, length) : this.#writeGathered(parts);
      if (written >= 0) {
        invariant(written === length, `Only ${written} of ${length} bytes went to /dev/fuse`);
        return 0;
      }
      const errno = this.#libc.errno();
      if (errno !== Errno.EINTR) return errno;
    }
  }

  writePiped(head: readonly Buffer[], piped: PipedBytes): number {
    const { pipe } = piped;
    const message = pipe === undefined ? undefined : piped.spare();
    if (pipe === undefined || message === undefined) return this.write([...head, piped.bytes]);
    try {
      for (const part of head) message.write(part);
      pipe.moveTo(message);
      if (pipe.lengthBytes > 0) return this.write([joined(message, pipe)]);
      if (this.#fd < 0) return Errno.ENODEV;
      const length = message.lengthBytes;
      const written = message.drainTo(this.#fd);
      invariant(written === length, `Only ${written} of ${length} bytes went to /dev/fuse`);
      return 0;
    } catch (error) {
      if (!(error instanceof PipeError)) throw error;
      return error.errno;
    } finally {
      piped.giveBack(message);
    }
  }

  #writeCopied(parts: readonly Buffer[], length: number): number {
    let offset = 0;
    for (const part of parts) {
      this.#copy.set(part, offset);
      offset += part.length;
    }
    return this.#libc.write(this.#fd, this.#copyAddress, length);
  }

  #writeGathered(parts: readonly Buffer[]): number {
    invariant(parts.length <= MAX_PARTS, `A message of ${parts.length} parts`);
    let word = 0;
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#writeVector[word] = this.#libc.address(part);
      this.#writeVector[word + 1] = BigInt(part.length);
      word += WORDS_PER_IOVEC;
    }
    return this.#libc.writev(this.#fd, this.#writeVectorAddress, word / WORDS_PER_IOVEC);
  }

  writeLater(message: Buffer): Promise<number> {
    const fd = this.#fd;
    if (fd < 0) return Promise.resolve(Errno.ENODEV);
    this.#writersElsewhere++;
    return new Promise((resolve) => {
      write(fd, message, (error) => {
        this.#writersElsewhere--;
        if (this.#writersElsewhere === 0) this.#onWritten?.();
        resolve(error === null ? 0 : Math.abs(error.errno ?? Errno.EIO));
      });
    });
  }

  watch(handlers: DeviceHandlers): void {
    invariant(this.#handlers === undefined, 'The device is watched twice');
    if (this.#fd < 0) throw new DeviceGoneError('The device is closed');
    const { poll } = this.#libc;
    const memory = Buffer.alloc(Math.max(1024, poll.handleBytes));
    const code = poll.init(memory, this.#fd);
    if (code < 0) throw new DeviceError(`Cannot poll /dev/fuse: ${errnoName(-code)}`);
    const onPoll = poll.registerPoll((_handle, status) => {
      this.#onPoll(status);
    });
    this.#handlers = handlers;
    this.#poll = { memory, onPoll };
    liveHandles.add(this.#poll);
    const started = poll.start(memory, onPoll);
    invariant(started === 0, `uv_poll_start: ${errnoName(-started)}`);
  }

  /** Called by C: an exception that left this function would vanish and take all further calls with it. */
  #onPoll(status: number): void {
    const handlers = this.#handlers;
    if (handlers === undefined) return;
    try {
      // fuse_dev_poll() reports an error only when the connection has ended; libuv has then stopped polling.
      if (status < 0) this.#gone(handlers);
      else if (handlers.onReadable()) this.#nextTurn ??= setImmediate(this.#onNextTurn);
    } catch (error) {
      this.#failed(handlers, error);
    }
  }

  readonly #onNextTurn = (): void => {
    this.#nextTurn = undefined;
    this.#onPoll(0);
  };

  #failed(handlers: DeviceHandlers, error: unknown): void {
    this.#stopPolling();
    // From an immediate, so that what a handler throws now becomes an uncaught exception as any other.
    setImmediate(() => {
      if (error instanceof DeviceGoneError) this.#gone(handlers);
      else handlers.onBug(error);
    });
  }

  #gone(handlers: DeviceHandlers): void {
    if (this.#handlers === undefined) return;
    this.#handlers = undefined;
    this.#stopPolling();
    handlers.onGone();
  }

  #stopPolling(): void {
    clearImmediate(this.#nextTurn);
    if (this.#poll !== undefined) this.#libc.poll.stop(this.#poll.memory);
  }

  abort(): void {
    void this.close();
  }

  close(): Promise<void> {
    if (this.#closed === undefined) {
      this.#handlers = undefined;
      clearImmediate(this.#nextTurn);
      // uv_close() forgets the descriptor before it returns; only the memory must live until its callback.
      this.#closed = this.#closePoll();
      const fd = this.#fd;
      this.#fd = -1;
      // No other descriptor refers to the connection, so fuse_dev_release() aborts it. A thread that is about to write
      // must not find another file under its number.
      this.#onWritten = () => {
        closeSync(fd);
      };
      if (this.#writersElsewhere === 0) this.#onWritten();
    }
    return this.#closed;
  }

  #closePoll(): Promise<void> {
    const handle = this.#poll;
    if (handle === undefined) return Promise.resolve();
    this.#poll = undefined;
    const { poll } = this.#libc;
    return new Promise((resolve) => {
      const onClose = poll.registerClose(() => {
        // koffi must not lose a callback that is still running.
        setImmediate(() => {
          poll.unregister(handle.onPoll);
          poll.unregister(onClose);
          liveHandles.delete(handle);
          resolve();
        });
      });
      poll.close(handle.memory, onClose);
    });
  }
}
