/**
 * The CPU that a polling thread keeps from others. The kernel likes to wake whoever is to answer, or has been answered, on
 * the CPU of the thread that woke it; unless that gives way, what it polls for waits for the poll to end.
 */
import { libc } from './libc.ts';

/** A turn of a program that computes takes as long (EEVDF's base slice). Whoever is waited for is mostly done sooner. */
const COMPETING_MS = 2;
/** For so long a CPU that others want is left to them at first; twice as long whenever they still want it then. */
const LEAST_PAUSE_MS = 10;
const MOST_PAUSE_MS = 2560;

export class SharedCpu {
  readonly #now: () => number;
  readonly #yieldCpu: () => void;
  #wantedUntilMs = -Infinity;
  #pauseMs = 0;

  constructor(
    now: () => number = () => performance.now(),
    yieldCpu: () => void = () => {
      libc().yieldCpu();
    },
  ) {
    this.#now = now;
    this.#yieldCpu = yieldCpu;
  }

  /** Monotonic milliseconds. */
  nowMs(): number {
    return this.#now();
  }

  /**
   * Lets others run first that wait for this CPU. Returns the time afterwards. If so much has gone by since `sinceMs`, a time
   * since which there was nothing to do here, that a program must be computing, {@link isWanted} is true for a while: each
   * turn given to it would cost as much.
   */
  giveWay(sinceMs: number): number {
    this.#yieldCpu();
    const nowMs = this.#now();
    if (nowMs - sinceMs > COMPETING_MS) this.#pause(nowMs);
    return nowMs;
  }

  #pause(nowMs: number): void {
    const wasQuiet = nowMs - this.#wantedUntilMs > this.#pauseMs;
    this.#pauseMs = wasQuiet ? LEAST_PAUSE_MS : Math.min(2 * this.#pauseMs, MOST_PAUSE_MS);
    this.#wantedUntilMs = nowMs + this.#pauseMs;
  }

  /** Polling is not worth its price now. */
  isWanted(nowMs: number): boolean {
    return nowMs < this.#wantedUntilMs;
  }
}
