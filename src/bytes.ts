/**
 * Bounds-checked little-endian cursors over a Buffer. Every record and message of ours is read and written
 * through these; a short buffer throws {@link ShortBufferError}, never reads beyond.
 */
import type { Timespec } from './clock.ts';

/** The buffer ends before the field does. */
export class ShortBufferError extends Error {
  override name = 'ShortBufferError';
}

const WORD = 2 ** 32;

/** Reads fields one after the other. Slices that it returns share the buffer's memory. */
export class ByteReader {
  readonly #buffer: Buffer;
  #offset: number;

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset;
  }

  #take(length: number): number {
    const start = this.#offset;
    if (start + length > this.#buffer.length) {
      throw new ShortBufferError(`${length} bytes wanted at ${start} of ${this.#buffer.length}`);
    }
    this.#offset = start + length;
    return start;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  /** A non-negative 64-bit number; exact below 2^53. */
  u64(): number {
    const at = this.#take(8);
    return this.#buffer.readUInt32LE(at + 4) * WORD + this.#buffer.readUInt32LE(at);
  }

  /** A signed 64-bit number; exact between -2^53 and 2^53. */
  i64(): number {
    const at = this.#take(8);
    return this.#buffer.readInt32LE(at + 4) * WORD + this.#buffer.readUInt32LE(at);
  }

  time(): Timespec {
    return { seconds: this.i64(), nanoseconds: this.u32() };
  }

  /** A view of the next `length` bytes. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  /** A view of all bytes that are left. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }
}

/** Writes fields one after the other into a buffer that grows as needed. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(capacityBytes);
  }

  #grow(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, start);
      this.#buffer = larger;
    }
    this.#length = end;
    return start;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  /** A 64-bit number, negative ones in two's complement. */
  i64(value: number): this {
    const at = this.#grow(8);
    this.#buffer.writeInt32LE(Math.floor(value / WORD) | 0, at + 4);
    this.#buffer.writeUInt32LE(value - Math.floor(value / WORD) * WORD, at);
    return this;
  }

  u64(value: number): this {
    return this.i64(value);
  }

  time(value: Timespec): this {
    return this.i64(value.seconds).u32(value.nanoseconds);
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** Empties the writer for reuse; what {@link view} returned is overwritten from now on. */
  reset(): this {
    this.#length = 0;
    return this;
  }

  /** What was written, sharing memory until the next write or {@link reset}. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  copy(): Buffer {
    return Buffer.from(this.view());
  }
}
