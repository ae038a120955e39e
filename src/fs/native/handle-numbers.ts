/**
 * Open files by small numbers. The package carries a handle as a 32-bit number and takes 0 for none, while the VFS's
 * handles are never reused; so the lowest free number stands for each.
 */
import { FsError } from '../../errno.ts';
import type { HandleId, InodeId } from '../../ids.ts';

export interface OpenHandle {
  readonly handle: HandleId;
  readonly inode: InodeId;
}

export class HandleNumbers {
  readonly #open: (OpenHandle | undefined)[] = [undefined];
  /** Numbers in use before and free now. */
  readonly #free: number[] = [];

  /** A number for `handle`, above 0. */
  add(handle: OpenHandle): number {
    const number = this.#free.pop() ?? this.#open.length;
    this.#open[number] = handle;
    return number;
  }

  /** EBADF for a number that is not in use. */
  get(number: number): OpenHandle {
    const handle = this.#open[number];
    if (handle === undefined) throw new FsError('EBADF', `handle number ${number} is not open`);
    return handle;
  }

  /** Frees the number and returns what it stood for. EBADF. */
  remove(number: number): OpenHandle {
    const handle = this.get(number);
    this.#open[number] = undefined;
    this.#free.push(number);
    return handle;
  }
}
