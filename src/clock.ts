/** Time as file systems keep it. Nothing else in the source reads the system's clock. */

/** A point in time as in `struct timespec`; `seconds` may be negative, `nanoseconds` is 0…999,999,999. */
export interface Timespec {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Source of the present time. */
export interface Clock {
  /** Wall-clock time with sub-millisecond digits. */
  now(): Timespec;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
}

/** -1, 0 or 1 as `a` is before, equal to or after `b`. */
export function compareTime(a: Timespec, b: Timespec): number {
  return Math.sign(a.seconds - b.seconds || a.nanoseconds - b.nanoseconds);
}

/** The later of the two. */
export function laterOf(a: Timespec, b: Timespec): Timespec {
  return compareTime(a, b) >= 0 ? a : b;
}

/** The point `ms` milliseconds after 1970-01-01 UTC. */
export function fromMilliseconds(ms: number): Timespec {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.min(999_999_999, Math.floor((ms - seconds * 1000) * 1e6)) };
}

/**
 * The system's clock. Node shows only whole milliseconds of it, so the digits below come from the monotonic
 * clock, tied to the wall clock anew whenever the two no longer show the same millisecond.
 */
export class SystemClock implements Clock {
  /** Wall-clock milliseconds at monotonic zero. */
  #offsetMs: number;

  /** Waits, for a millisecond at most, until the wall clock shows a new one: then its hidden digits are zero. */
  constructor() {
    const startMs = Date.now();
    let nowMs = startMs;
    while (nowMs === startMs) nowMs = Date.now();
    this.#offsetMs = nowMs - performance.now();
  }

  now(): Timespec {
    const wholeMs = Date.now();
    const fineMs = this.#offsetMs + performance.now();
    if (fineMs >= wholeMs && fineMs < wholeMs + 1) return fromMilliseconds(fineMs);
    // Move the tie by no more than it takes to agree again, so that time rarely steps back.
    this.#offsetMs += fineMs < wholeMs ? wholeMs - fineMs : wholeMs + 0.999_999 - fineMs;
    return fromMilliseconds(Math.max(wholeMs, Math.min(fineMs, wholeMs + 0.999_999)));
  }

  monotonicMs(): number {
    return performance.now();
  }
}

/** A clock that tests move by hand. */
export class ManualClock implements Clock {
  #ms: number;

  constructor(startMs = 1_000_000_000_000) {
    this.#ms = startMs;
  }

  now(): Timespec {
    return fromMilliseconds(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}
