/**
 * How metadata server 0 knows that all others have learnt a new epoch before a block server that lost its blocks
 * serves again. Each answer to one of them is a lease: until it lapses, that server may make datasets of the epoch it
 * was told; so a change is settled when each has asked with the new version, or its lease has lapsed.
 */
import type { Clock } from '../clock.ts';
import { MAP_POLL_MS } from './map-board.ts';

/** How long a metadata server acts on a map, counted from when it asked for it. */
export const MAP_LEASE_MS = 3 * MAP_POLL_MS;

interface Lease {
  /** Highest version that the server has shown to know. */
  knownVersion: number;
  /** It acts on what it was told until then, by our clock. */
  untilMs: number;
}

export class MapLeases {
  readonly #clock: Clock;
  readonly #leases = new Map<number, Lease>();
  /** What a former life of this server has leased lapses then. */
  readonly #formerUntilMs: number;
  readonly #waiters = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#formerUntilMs = clock.monotonicMs() + MAP_LEASE_MS;
  }

  /** Server `number` asks, and knows the map of this version. */
  asked(number: number, knownVersion: number): void {
    const untilMs = this.#leases.get(number)?.untilMs ?? -Infinity;
    this.#leases.set(number, { knownVersion, untilMs });
    for (const wake of [...this.#waiters]) wake();
  }

  /** Server `number` is being answered: it has until then from now on, at the most. */
  answered(number: number): void {
    const untilMs = this.#clock.monotonicMs() + MAP_LEASE_MS;
    const knownVersion = this.#leases.get(number)?.knownVersion ?? 0;
    this.#leases.set(number, { knownVersion, untilMs });
  }

  /** Milliseconds until no metadata server among `others` acts on an older map than `version`; 0 if none does. */
  unsettledMs(version: number, others: readonly number[]): number {
    const now = this.#clock.monotonicMs();
    const numbers = new Set([...others, ...this.#leases.keys()]);
    let waitMs = 0;
    for (const number of numbers) {
      const lease = this.#leases.get(number);
      if (lease !== undefined && lease.knownVersion >= version) continue;
      const untilMs = Math.max(lease?.untilMs ?? -Infinity, this.#formerUntilMs);
      waitMs = Math.max(waitMs, untilMs - now);
    }
    return waitMs;
  }

  /** Resolves when {@link unsettledMs} has become 0. */
  async settled(version: number, others: readonly number[]): Promise<void> {
    for (;;) {
      const waitMs = this.unsettledMs(version, others);
      if (waitMs <= 0) return;
      await this.#askedOrAfter(waitMs);
    }
  }

  #askedOrAfter(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.ceil(waitMs));
      this.#waiters.add(wake);
    });
  }
}
