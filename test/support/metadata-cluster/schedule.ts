/** Virtual time and seeded chance: what is to happen later happens in one order only, that of the seed. */
import type { Timing } from '../../../src/meta/distributed/timing.ts';

interface Event {
  atMs: number;
  order: number;
  action: () => void;
}

export class Schedule implements Timing {
  #nowMs = 0;
  #order = 0;
  #state: number;
  #events: Event[] = [];

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Mulberry32, a public-domain generator of 32 bits of state. */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number at least 0 and below `limit`. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error('nothing to choose from');
    return choice;
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  after(delayMs: number, action: () => void): () => void {
    const event = { atMs: this.#nowMs + delayMs, order: this.#order++, action };
    this.#events.push(event);
    return () => {
      event.action = () => undefined;
    };
  }

  /** Lets things happen until `done` says so; fails if that takes more than `limitMs` of virtual time. */
  async run(done: () => boolean, limitMs: number): Promise<void> {
    const endMs = this.#nowMs + limitMs;
    for (;;) {
      await settled();
      if (done()) return;
      const next = this.#takeNext();
      if (next === undefined) throw new Error('nothing is left to happen');
      if (next.atMs > endMs) throw new Error(`not done after ${limitMs} ms of virtual time`);
      this.#nowMs = next.atMs;
      next.action();
    }
  }

  #takeNext(): Event | undefined {
    let best: Event | undefined;
    for (const event of this.#events) {
      if (
        best === undefined ||
        event.atMs < best.atMs ||
        (event.atMs === best.atMs && event.order < best.order)
      ) {
        best = event;
      }
    }
    if (best !== undefined) this.#events = this.#events.filter((event) => event !== best);
    return best;
  }
}

/** All promises that can go on have gone on: none here waits for the system. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
