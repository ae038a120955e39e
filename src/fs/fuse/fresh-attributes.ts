/**
 * The attributes that a lookup has just told, for the GETATTR of the same system call. Where others may change
 * everything the kernel keeps nothing, and asks for what it was told in the reply before: stat(2) is a LOOKUP and a
 * GETATTR. Good for one question of the same thread, which must be its next request and come at once.
 */
import type { InodeId } from '../../ids.ts';
import type { Entry, KnownStat } from '../types.ts';

/** The two requests of one system call are closer than this. */
const GOOD_FOR_MS = 1;
/** Threads that are in the middle of a system call. */
const MOST_THREADS = 256;

interface Fresh extends Entry {
  readonly untilMs: number;
}

export class FreshAttributes {
  readonly #byThread = new Map<number, Fresh>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** A reply to `pid` is about to tell of `entry`. */
  remember(pid: number, { inode, stat }: Entry): void {
    // All threads that this mount's process namespace does not have are number 0.
    if (pid === 0) return;
    if (this.#byThread.size >= MOST_THREADS) this.#byThread.clear();
    this.#byThread.set(pid, { inode, stat, untilMs: this.#nowMs() + GOOD_FOR_MS });
  }

  /** The thread asks for something else. */
  forget(pid: number): void {
    this.#byThread.delete(pid);
  }

  /** What the thread was told of `inode` just now, once. */
  take(pid: number, inode: InodeId): KnownStat | undefined {
    const fresh = this.#byThread.get(pid);
    if (fresh === undefined) return undefined;
    this.#byThread.delete(pid);
    return fresh.inode === inode && this.#nowMs() < fresh.untilMs ? fresh.stat : undefined;
  }
}
