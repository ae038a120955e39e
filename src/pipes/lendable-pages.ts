/** Sending memory without a copy. */
import { invariant } from '../invariant.ts';
import { pipeCalls } from './calls.ts';
import type { PipePool } from './pipe.ts';

/** `asm-generic/mman-common.h`. */
const MADV_DONTNEED = 4;
const PAGE_BYTES = 4096;

/**
 * Memory whose pages a socket may be given in place of a copy. They are lent until the other side has said that it has
 * read all of them: an answer to the request, and nothing else, says so.
 */
export class LendablePages {
  /** Begins with a page, and is a whole number of them. */
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
    const whole = Buffer.allocUnsafeSlow(lengthBytes + PAGE_BYTES);
    const skipped = Number(-table.address(whole) & BigInt(PAGE_BYTES - 1));
    return new LendablePages(pool, whole.subarray(skipped, skipped + lengthBytes));
  }

  private constructor(pool: PipePool, bytes: Buffer) {
    this.#pool = pool;
    this.bytes = bytes;
    this.#address = pipeCalls()?.address(bytes) ?? 0n;
  }

  /**
   * Sends `frame` and the first `lengthBytes` bytes to a socket. Returns how much of both it took, or undefined if it was
   * not tried. From then on, `borrower` may have pages. Throws PipeError.
   */
  sendTo(
    { borrower, socket }: { borrower: object; socket: number },
    frame: Buffer,
    lengthBytes: number,
  ): number | undefined {
    const pipe = this.#pool.take();
    if (pipe === undefined) return undefined;
    this.#borrowers.add(borrower);
    try {
      if (pipe.write(frame) < frame.length) return 0;
      let referred = 0;
      let taken = 0;
      do {
        this.#vector[0] = this.#address + BigInt(referred);
        this.#vector[1] = BigInt(lengthBytes - referred);
        if (referred < lengthBytes) referred += pipe.refer(this.#vector);
        const moved = pipe.drainTo(socket);
        taken += moved;
        if (moved === 0) break;
      } while (taken < frame.length + lengthBytes);
      return taken;
    } finally {
      this.#pool.give(pipe);
    }
  }

  /** An answer has come to what {@link sendTo} sent, over the same connection. */
  returned(borrower: object): void {
    this.#borrowers.delete(borrower);
  }

  /**
   * To be called before the bytes change. Pages that are still lent are left as they are to those who have them; here, others
   * take their place.
   */
  reclaim(): void {
    if (this.#borrowers.size === 0) return;
    const result = pipeCalls()?.madvise(this.#address, this.bytes.length, MADV_DONTNEED);
    invariant(result === 0, 'Pages of our own can be given up');
    this.#borrowers.clear();
  }
}
