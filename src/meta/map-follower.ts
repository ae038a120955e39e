/**
 * Keeps a copy of the server map up to date by asking metadata server 0 again and again, each request waiting there for
 * a change. For another metadata server each answer is also a lease on making datasets of the epoch that it tells.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { Call } from '../net/call.ts';
import { WATCH_MAP, type WatchAnswer } from './cluster-protocol.ts';
import { MAP_LEASE_MS } from './map-leases.ts';
import { pause } from './pause.ts';

export interface MapFollowerOptions {
  readonly call: Call;
  /** Of the metadata server that follows; undefined for others. */
  readonly number: number | undefined;
  /** Version of the map that is known now. */
  readonly version: () => number;
  /** Takes an answer, whatever it holds; what it throws counts as no answer. */
  readonly onAnswer: (answer: WatchAnswer) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Pause after a failure. */
const RETRY_MS = 250;
const DEADLINE_MS = 15_000;

export class MapFollower {
  readonly #options: MapFollowerOptions;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<() => void>();
  #leasedUntilMs = -Infinity;
  #loop: Promise<void> | undefined;

  constructor(options: MapFollowerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#follow();
  }

  /** Whether the map that is known here may be acted upon. */
  get isCurrent(): boolean {
    return this.#options.clock.monotonicMs() < this.#leasedUntilMs;
  }

  /** Resolves when {@link isCurrent}, or when this is closed. */
  async whenCurrent(): Promise<void> {
    while (!this.isCurrent && !this.#closing.signal.aborted) {
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('closed'));
    this.#wake();
    await this.#loop;
  }

  async #follow(): Promise<void> {
    const { call, number, version, onAnswer, clock, logger } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const sentMs = clock.monotonicMs();
      const options = { signal, deadlineMs: DEADLINE_MS };
      try {
        const { value } = await call(WATCH_MAP, { version: version(), number }, options);
        onAnswer(value);
        this.#leasedUntilMs = sentMs + MAP_LEASE_MS;
        this.#wake();
      } catch (error) {
        logger.debug({ err: error }, 'the server map cannot be asked for');
        await pause(RETRY_MS, signal);
      }
    }
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }
}
