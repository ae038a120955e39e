/** Keeps one address from filling the log: one line in ten seconds, which says how many were left out. */

const INTERVAL_MS = 10_000;
const MAX_ADDRESSES = 1000;

export class LineLimiter {
  readonly #addresses = new Map<string, { sinceMs: number; suppressed: number }>();

  /** Undefined if the line is to be left out; otherwise how many of this address were left out before it. */
  take(address: string, nowMs: number): number | undefined {
    const known = this.#addresses.get(address);
    if (known !== undefined && nowMs - known.sinceMs < INTERVAL_MS) {
      known.suppressed++;
      return undefined;
    }
    this.#addresses.delete(address);
    if (this.#addresses.size >= MAX_ADDRESSES) this.#forgetOldest();
    this.#addresses.set(address, { sinceMs: nowMs, suppressed: 0 });
    return known?.suppressed ?? 0;
  }

  #forgetOldest(): void {
    for (const address of this.#addresses.keys()) {
      this.#addresses.delete(address);
      return;
    }
  }
}
