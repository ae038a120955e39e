/**
 * One socket, either side's: frames come out of it and go into it, payloads without a copy. It knows nothing of calls.
 * After {@link Connection.destroy} no memory that was given to it is touched any more.
 */
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';
import type { LendablePages } from '../pipes/lendable-pages.ts';
import type { Address, Reading } from './call.ts';
import { socketTo } from './congestion.ts';
import { ConnectionClosedError } from './errors.ts';
import type { FrameLimits } from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';

/** Who owns a connection. What its methods throw ends the connection, and is then the error of `onClosed`. */
export interface ConnectionOwner extends FrameSink {
  /** Once, never from within a method of the connection other than `destroy`. */
  onClosed(error: Error): void;
  /** What came cannot be read as frames. Returns true if it ended the connection itself, with a last message. */
  onUnreadable?(error: Error): boolean;
  /** All that was queued has been handed to the kernel. */
  onDrained?(): void;
}

/** What Node keeps of an open socket; its queue is not shown elsewhere. */
interface SocketHandle {
  readonly fd?: number;
  readonly writeQueueSize?: number;
}

const NOTHING = Buffer.alloc(0);

type HandleSocket = Socket & { _handle: SocketHandle | null };

export class Connection {
  readonly #socket: HandleSocket;
  readonly #reader: FrameReader;
  #owner: ConnectionOwner;
  #closed = false;
  #paused = false;
  #discarding = false;
  #error: Error | undefined;
  #queuedTotal = 0;
  #progressMark = 0;
  #lastHeardMs = performance.now();
  #batching = false;
  /** Part of a frame has gone, and the rest never will. */
  #isTorn = false;

  /** `open` makes the socket, which is to read by `onread`. */
  constructor(
    open: (onread: OnReadOpts) => Socket,
    options: { owner: ConnectionOwner; reading: Reading; limits: FrameLimits },
  ) {
    this.#owner = options.owner;
    const sink: FrameSink = {
      onFrame: (header, args) => this.#owner.onFrame(header, args),
      onPayload: () => {
        this.#owner.onPayload();
      },
    };
    this.#reader = new FrameReader(sink, options, (pipe, most) => {
      return this.#descriptor < 0 ? 0 : pipe.fillFrom(this.#descriptor, most);
    });
    this.#socket = open({
      buffer: () => this.#reader.buffer(),
      callback: (length) => this.#onRead(length),
    }) as HandleSocket;
    this.#socket.setNoDelay(true);
    this.#listen(this.#socket);
  }

  #listen(socket: Socket): void {
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => {
      this.destroy(new ConnectionClosedError('the other side closed the connection'));
    });
    socket.on('close', () => {
      this.#finish();
    });
    socket.on('drain', () => {
      this.#owner.onDrained?.();
    });
  }

  /** Hands the connection to another owner, with other limits, from the next frame on. */
  transfer(owner: ConnectionOwner, limits: FrameLimits): void {
    this.#owner = owner;
    this.#reader.setLimits(limits);
  }

  /** Below 0 where Node does not show it, or has closed it. */
  get #descriptor(): number {
    return this.#socket._handle?.fd ?? -1;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? 'unknown';
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Monotonic milliseconds at which bytes last came, or, as {@link noteProgress} saw it, last went. */
  get lastHeardMs(): number {
    return this.#lastHeardMs;
  }

  /** A frame has begun to arrive. */
  get isWithinFrame(): boolean {
    return this.#reader.isWithinFrame;
  }

  #onRead(length: number): boolean {
    this.#lastHeardMs = performance.now();
    if (this.#closed || this.#discarding) return !this.#closed;
    this.#batching = true;
    this.#socket.cork();
    try {
      this.#reader.advance(length);
    } catch (error) {
      this.#batching = false;
      this.#socket.uncork();
      const cause = error instanceof Error ? error : new Error(String(error));
      if (this.#owner.onUnreadable?.(cause) !== true) this.destroy(cause);
      return !this.#closed;
    }
    this.#batching = false;
    this.#socket.uncork();
    return !this.#paused;
  }

  /**
   * Sends a frame and its payload, in one write. Returns whether the kernel took all of it at once; if not, `onHanded` is
   * called when it has, or when the connection has ended. Until then the payload must not change.
   */
  send(frame: Buffer, payload?: readonly Buffer[], onHanded?: () => void): boolean {
    if (this.#closed || this.#isTorn) {
      if (onHanded !== undefined) process.nextTick(onHanded);
      return payload === undefined;
    }
    this.#queuedTotal += frame.length;
    const socket = this.#socket;
    if (payload === undefined || payload.length === 0) {
      socket.write(frame);
      return true; // Nobody else knows the frame's memory.
    }
    // What the kernel takes at once is only known when nothing holds the write back.
    const wasBatching = this.#batching;
    if (!wasBatching) socket.cork();
    socket.write(frame);
    for (let index = 0; index < payload.length; index++) {
      const slice = payload[index] as Buffer;
      this.#queuedTotal += slice.length;
      if (index === payload.length - 1 && onHanded !== undefined) socket.write(slice, onHanded);
      else socket.write(slice);
    }
    socket.uncork();
    const handed = socket.writableLength === 0;
    if (wasBatching) socket.cork();
    return handed;
  }

  /**
   * As {@link send}, with the first `lengthBytes` bytes of `pages` as the payload, which the kernel takes by reference as far as
   * it has room. It is theirs to know when they may change.
   */
  sendPages(
    frame: Buffer,
    pages: LendablePages,
    lengthBytes: number,
    onHanded?: () => void,
  ): boolean {
    const payload = pages.bytes.subarray(0, lengthBytes);
    if (this.#closed || this.#isTorn) return this.send(frame, [payload], onHanded);
    const wasBatching = this.#batching;
    if (wasBatching) this.#socket.uncork();
    const { writable, writableLength } = this.#socket;
    const isNext = writable && writableLength === 0 && this.#descriptor >= 0;
    const taken = isNext ? this.#lend(frame, pages, lengthBytes) : 0;
    if (wasBatching) this.#socket.cork();
    this.#queuedTotal += taken;
    if (taken === frame.length + lengthBytes) return true;
    if (taken < frame.length) return this.send(frame.subarray(taken), [payload], onHanded);
    return this.send(payload.subarray(taken - frame.length), [NOTHING], onHanded);
  }

  /** Returns how many bytes of frame and payload need not be sent any more. */
  #lend(frame: Buffer, pages: LendablePages, lengthBytes: number): number {
    try {
      const to = { borrower: this, socket: this.#descriptor };
      return pages.sendTo(to, frame, lengthBytes) ?? 0;
    } catch (error) {
      // The socket has an error, of which it tells in a later turn, if at all.
      this.#isTorn = true;
      setImmediate(() => {
        this.destroy(error as Error);
      });
      return frame.length + lengthBytes;
    }
  }

  /** No more frames are read until {@link resume}; those that were read together with the present one still come. */
  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#lastHeardMs = performance.now();
    this.#socket.resume();
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /**
   * What is queued was found to move, or not: true if some of it has gone since the last call. Counts as a sign of life,
   * since only a living kernel on the other side makes room.
   */
  noteProgress(nowMs: number): boolean {
    const mark =
      this.#queuedTotal - this.#socket.writableLength - (this.#socket._handle?.writeQueueSize ?? 0);
    const moved = mark !== this.#progressMark;
    this.#progressMark = mark;
    if (moved) this.#lastHeardMs = Math.max(this.#lastHeardMs, nowMs);
    return moved;
  }

  /** Sends what is queued, then says that nothing follows. What still arrives is dropped. */
  end(): void {
    if (this.#closed) return;
    this.#discarding = true;
    this.resume();
    this.#socket.end();
  }

  /** Ends the connection now. Memory of both directions is free when this returns, but for pages sent by reference. */
  destroy(error: Error): void {
    if (this.#closed) return;
    this.#error ??= error;
    this.#socket.destroy();
    this.#finish();
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.onClosed(
      this.#error ?? new ConnectionClosedError('the other side closed the connection'),
    );
  }
}

/** Begins to connect. */
export function openTo(address: Address): (onread: OnReadOpts) => Socket {
  return (onread) => socketTo(address, onread).connect({ host: address.host, port: address.port });
}

/**
 * An accepted socket cannot be told to read into given buffers, but another one around the same handle can. `accepted`
 * must have been paused at its creation, and is unusable afterwards.
 */
export function adopt(accepted: Socket): (onread: OnReadOpts) => Socket {
  return (onread) => {
    const holder = accepted as HandleSocket;
    const handle = holder._handle;
    holder._handle = null;
    // Without its handle, this only tells the listening server that it counts one connection less.
    accepted.destroy();
    return new Socket({ handle, onread } as SocketConstructorOpts);
  };
}
