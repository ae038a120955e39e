/**
 * Memory for block data on its way between nodes: buffers that are used again, and a bound on the bytes under way, so
 * that a burst of requests waits instead of filling the memory. One for all servers that a process talks to.
 */

import type { PipePool } from '../pipes/pipe.ts';
import { PipedBytes } from '../pipes/piped-bytes.ts';

/** Shorter answers are received in memory of their own. */
const LEAST_POOLED_BYTES = 16 * 1024;
/** Buffers are made in these steps, so that answers of nearly the same length share them. */
const GRAIN_BYTES = 64 * 1024;
/** To copy shorter payloads costs less than the calls that avoid it. */
export const LEAST_SPLICED_BYTES = 64 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/** A buffer that belongs to its holder until it is released. */
export interface LentBuffer {
  readonly bytes: Buffer;
  release(): void;
}

export class TransferBuffers {
  readonly #limitBytes: number;
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;
  #underWayBytes = 0;
  /** Served in order: a large transfer is not overtaken for ever by small ones. */
  readonly #waiting: Waiting[] = [];

  readonly #pipes: PipePool | undefined;

  /** `limitBytes` bounds the bytes under way, and the memory kept for later. Without `pipes`, all goes through memory. */
  constructor(limitBytes: number, pipes?: PipePool) {
    this.#limitBytes = limitBytes;
    this.#pipes = pipes;
  }

  get underWayBytes(): number {
    return this.#underWayBytes;
  }

  /** Buffers that are kept for later. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Counts `bytes` as under way; a promise where that has to wait for others to end. More than the limit goes alone. The
   * counterpart is {@link end}.
   */
  begin(bytes: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#underWayBytes += bytes;
      return undefined;
    }
    return new Promise((resolve) => {
      this.#waiting.push({ bytes, go: resolve });
    });
  }

  end(bytes: number): void {
    this.#underWayBytes -= bytes;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.bytes)) return;
      this.#waiting.shift();
      this.#underWayBytes += next.bytes;
      next.go();
    }
  }

  #fits(bytes: number): boolean {
    return this.#underWayBytes === 0 || this.#underWayBytes + bytes <= this.#limitBytes;
  }

  /** A buffer of at least `bytes`, whose contents are whatever they are. */
  lend(bytes: number): LentBuffer {
    if (bytes < LEAST_POOLED_BYTES) {
      return { bytes: Buffer.allocUnsafeSlow(bytes), release: () => undefined };
    }
    const size = Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES;
    const buffer = this.#take(size) ?? Buffer.allocUnsafeSlow(size);
    let isLent = true;
    return {
      bytes: buffer,
      release: () => {
        if (!isLent) return;
        isLent = false;
        this.#keep(buffer);
      },
    };
  }

  /** A pipe for so many bytes; undefined if memory is better, or there is none. */
  lendPipe(lengthBytes: number): PipedBytes | undefined {
    const pool = this.#pipes;
    if (pool === undefined || lengthBytes < LEAST_SPLICED_BYTES) return undefined;
    const pipe = pool.take();
    if (pipe === undefined) return undefined;
    return new PipedBytes({ pool, pipe, lengthBytes, makeRoom: () => this.lend(lengthBytes) });
  }

  #take(size: number): Buffer | undefined {
    const buffer = this.#free.get(size)?.pop();
    if (buffer !== undefined) this.#freeBytes -= size;
    return buffer;
  }

  #keep(buffer: Buffer): void {
    if (this.#freeBytes + buffer.length > this.#limitBytes) return;
    const alike = this.#free.get(buffer.length);
    if (alike === undefined) this.#free.set(buffer.length, [buffer]);
    else alike.push(buffer);
    this.#freeBytes += buffer.length;
  }
}
