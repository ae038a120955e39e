/**
 * Room on disk for lmdb to grow into, taken before lmdb needs it: a commit that finds the disk full may be torn, and
 * even removals write new pages before old ones become free. The last of the room is a reserve for removals.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';

/** What a transaction may use: one that makes the database grow must leave the reserve alone. */
export type RoomUse = 'growth' | 'reserve';

/** More than one namespace operation writes: some seven paths through the tree, with splits and freed pages. */
const TRANSACTION_BYTES = 128 * 1024;

/** Kept for transactions that replace and remove: they take new pages first, and the old ones are reused later. */
export const RESERVE_BYTES = 512 * 1024;

/** lmdb's list of free pages may take one byte for so many used ones. */
const LIST_SHARE = 64;

/** The file grows by a quarter of what it holds, within these bounds. */
const LEAST_STEP_BYTES = 1024 * 1024;
const MOST_STEP_BYTES = 4 * 1024 * 1024;

const ZEROS = Buffer.alloc(256 * 1024);

export interface FileRoomOptions {
  path: string;
  /** Bytes of pages in use, wherever in the file; costs some 10 microseconds. */
  usedBytes: () => number;
  /** Writes zeros behind the end of the file and returns how many; replaced in tests. */
  write?: (fd: number, zeros: Buffer, position: number) => number;
}

export class FileRoom {
  readonly #fd: number;
  readonly #usedBytes: () => number;
  readonly #write: (fd: number, zeros: Buffer, position: number) => number;
  /** Transactions that may run before the room is looked at again. */
  #allowed = 0;

  constructor(options: FileRoomOptions) {
    this.#fd = openSync(options.path, 'r+');
    this.#usedBytes = options.usedBytes;
    this.#write =
      options.write ?? ((fd, zeros, position) => writeSync(fd, zeros, 0, zeros.length, position));
  }

  /** To be called before each transaction. Returns false if it would grow and there is no room. */
  take(use: RoomUse): boolean {
    if (this.#allowed > 0) {
      this.#allowed--;
      return true;
    }
    const used = this.#usedBytes() + TRANSACTION_BYTES;
    const taken = used + used / LIST_SHARE + RESERVE_BYTES;
    const step = Math.min(Math.max(used / 4, LEAST_STEP_BYTES), MOST_STEP_BYTES);
    const endBytes = this.#atLeast(taken, Math.ceil(taken + step));
    this.#allowed = Math.floor((endBytes - taken) / TRANSACTION_BYTES);
    if (this.#allowed >= 0) return true;
    this.#allowed = 0;
    return use === 'reserve';
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Makes the file `wantedBytes` long if it is shorter than `leastBytes`, and returns its length. */
  #atLeast(leastBytes: number, wantedBytes: number): number {
    const { size } = fstatSync(this.#fd);
    if (size >= leastBytes) return size;
    let end = size;
    try {
      while (end < wantedBytes) {
        end += this.#write(this.#fd, ZEROS.subarray(0, wantedBytes - end), end);
      }
    } catch {
      // A full disk, most likely; what has been written is ours. Transactions tell of any other failure.
    }
    return end;
  }
}
