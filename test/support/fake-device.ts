/** A FUSE device without a kernel: a queue of requests, and a list of what was answered. */
import { DeviceGoneError, type Device, type DeviceHandlers } from '../../src/fs/fuse/device.ts';
import type { PipedBytes } from '../../src/pipes/piped-bytes.ts';
import { HEAD_BYTES } from '../../src/fs/fuse/request.ts';

export class FakeDevice implements Device {
  readonly head = Buffer.alloc(HEAD_BYTES);
  /** Whole messages that the session wrote. */
  readonly written: Buffer[] = [];
  /** What {@link write} returns from now on. */
  writeErrno = 0;
  readonly #queue: Buffer[] = [];
  #handlers: DeviceHandlers | undefined;
  #gone = false;

  push(...messages: readonly Buffer[]): void {
    this.#queue.push(...messages);
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Calls the session as the event loop would, once. */
  poll(): void {
    try {
      this.#handlers?.onReadable();
    } catch (error) {
      if (error instanceof DeviceGoneError) this.#handlers?.onGone();
      else this.#handlers?.onBug(error);
    }
  }

  /** The mount ends. */
  unmount(): void {
    this.#gone = true;
    this.poll();
  }

  read(payload: Buffer): number {
    if (this.#gone) throw new DeviceGoneError('unmounted');
    const message = this.#queue.shift();
    if (message === undefined) return 0;
    message.copy(this.head);
    message.subarray(HEAD_BYTES).copy(payload);
    return message.length;
  }

  writePiped(head: readonly Buffer[], piped: PipedBytes): number {
    return this.write([...head, piped.bytes]);
  }

  write(parts: readonly Buffer[]): number {
    if (this.writeErrno === 0) this.written.push(Buffer.concat(parts));
    return this.writeErrno;
  }

  writeLater(message: Buffer): Promise<number> {
    return Promise.resolve(this.write([message]));
  }

  watch(handlers: DeviceHandlers): void {
    this.#handlers = handlers;
  }

  abort(): void {
    this.#gone = true;
  }

  close(): Promise<void> {
    this.#gone = true;
    return Promise.resolve();
  }
}
