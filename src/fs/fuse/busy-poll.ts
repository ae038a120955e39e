/**
 * Whether the session looks for the next request for a moment before it sleeps. A caller that works one request at a
 * time sends the next some microseconds after our reply; finding it awake saves the wake-up of an idle CPU, which
 * costs more than the request itself (docs/performance.md).
 */
import type { Device } from './device.ts';
import { SharedCpu } from './shared-cpu.ts';

/** After so many misses in a row, one occasion of 64 is used. */
const MAX_MISSES = 6;

export class BusyPoll {
  readonly #limitMs: number;
  readonly #cpu: SharedCpu;
  /** How often in a row the time ran out. */
  #misses = 0;
  /** So many occasions are passed over before the next try. */
  #skips = 0;

  /** `limitMs` bounds one look, and with it what timers and sockets wait, but for what others take of this CPU; 0 never looks. */
  constructor(limitMs: number, cpu = new SharedCpu()) {
    this.#limitMs = limitMs;
    this.#cpu = cpu;
  }

  /**
   * Reads the next request as {@link Device.read} does, which has just found none; 0 when none came in time. When
   * that happens again and again, ever fewer occasions are used, so that an idle mount or slow callers cost next to
   * nothing; and where programs compete for the CPU, it leaves off for a while.
   */
  read(device: Device, payload: Buffer): number {
    if (this.#limitMs === 0) return 0;
    if (this.#skips > 0) {
      this.#skips -= 1;
      return 0;
    }
    const startMs = this.#cpu.nowMs();
    if (this.#cpu.isWanted(startMs)) return 0;
    let nowMs = startMs;
    do {
      nowMs = this.#cpu.giveWay(nowMs);
      const lengthBytes = device.read(payload);
      if (lengthBytes !== 0) {
        this.#misses = 0;
        return lengthBytes;
      }
    } while (nowMs - startMs < this.#limitMs);
    this.#misses = Math.min(this.#misses + 1, MAX_MISSES);
    this.#skips = 2 ** this.#misses - 1;
    return 0;
  }
}
