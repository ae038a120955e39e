/** Sending memory without a copy. */
import { pipeCalls } from './calls.ts';
import { type Pipe, PipeError, type PipePool, sendAhead } from './pipe.ts';
import { allocatePlaced, LARGEST_PAGE_BYTES } from './placed-memory.ts';

/** `asm-generic/mman-common.h`. */
const MADV_DONTNEED = 4;
/** Where the bytes begin in a page: not where blocks do, to whose memory they are copied (`allocatePlaced`). */
const OFFSET_BYTES = 512;
/** What lies in the first page is copied: a pipe has 256 slots, which the other pages of 1 MiB fill (those of 4 KiB). */
const COPIED_BYTES = 4096 - OFFSET_BYTES;

/**
 * Memory whose pages a socket may be given in place of a copy. They are lent until the other side has said that it has
 * read all of them: the answer to a request that has succeeded, and nothing else, says so.
 */
export class LendablePages {
  readonly bytes: Buffer;
  readonly #pool: PipePool;
  /** A `struct iovec`, in an array above the 64 bytes up to which V8 moves them. */
  readonly #vector = new BigUint64Array(16);
  readonly #address: bigint;
  readonly #borrowers = new Set<object>();

  /** Undefined if there are no pipes here. */
  static allocate(pool: PipePool, lengthBytes: number): LendablePages | undefined {
    const table = pipeCalls();
    const pipe = table === null ? undefined : pool.take();
    if (table === null || pipe === undefined) return undefined;
    pool.give(pipe);
    return new LendablePages(pool, allocatePlaced(lengthBytes, OFFSET_BYTES));
  }

  private constructor(pool: PipePool, bytes: Buffer) {
    this.#pool = pool;
    this.bytes = bytes;
    this.#address = pipeCalls()?.address(bytes) ?? 0n;
  }

  /**
   * Sends `frame` and the first `lengthBytes` bytes to a socket. Returns how much of both it took, or undefined if it was
   * not tried, as with less than a page. From then on, `borrower` may have pages. Throws PipeError where the socket does.
   */
  sendTo(
    { borrower, socket }: { borrower: object; socket: number },
    frame: Buffer,
    lengthBytes: number,
  ): number | undefined {
    const pipe = lengthBytes > COPIED_BYTES ? this.#pool.take() : undefined;
    if (pipe === undefined) return undefined;
    this.#borrowers.add(borrower);
    try {
      return this.#sendThrough(pipe, socket, { frame, lengthBytes });
    } finally {
      this.#pool.give(pipe);
    }
  }

  #sendThrough(
    pipe: Pipe,
    socket: number,
    { frame, lengthBytes }: { frame: Buffer; lengthBytes: number },
  ): number {
    const copied = Buffer.concat([frame, this.bytes.subarray(0, COPIED_BYTES)]);
    let taken = sendAhead(socket, copied);
    let referred = COPIED_BYTES;
    while (taken >= copied.length && taken < frame.length + lengthBytes) {
      if (referred < lengthBytes) {
        const count = this.#refer(pipe, referred, lengthBytes);
        if (count === undefined) return taken;
        referred += count;
      }
      const moved = pipe.drainTo(socket);
      taken += moved;
      if (moved === 0) break;
    }
    return taken;
  }

  /** Undefined where the system does not do it: then the rest is copied, and so is all that follows. */
  #refer(pipe: Pipe, from: number, to: number): number | undefined {
    this.#vector[0] = this.#address + BigInt(from);
    this.#vector[1] = BigInt(to - from);
    try {
      return pipe.refer(this.#vector);
    } catch (error) {
      if (!(error instanceof PipeError)) throw error;
      this.#pool.refuse();
      return undefined;
    }
  }

  /** What {@link sendTo} sent has been answered with success, over the same connection. */
  returned(borrower: object): void {
    this.#borrowers.delete(borrower);
  }

  /**
   * To be called before the bytes change. Pages that are still lent are left as they are to those who have them; here, others
   * take their place. False if the system refuses that, as it does for locked memory: then the bytes must never change.
   */
  reclaim(): boolean {
    if (this.#borrowers.size === 0) return true;
    const wholePages = Math.ceil((OFFSET_BYTES + this.bytes.length) / LARGEST_PAGE_BYTES);
    const result = pipeCalls()?.madvise(
      this.#address - BigInt(OFFSET_BYTES),
      wholePages * LARGEST_PAGE_BYTES,
      MADV_DONTNEED,
    );
    if (result !== 0) return false;
    this.#borrowers.clear();
    return true;
  }
}
