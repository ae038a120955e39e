/** The newest server map that this process knows, and those who wait for a newer one. */
import type { ServerMap } from './server-map.ts';

/** A waiting request is answered after so long, also when nothing has changed. */
export const MAP_POLL_MS = 2000;

interface Waiter {
  readonly wake: () => void;
}

export class MapBoard {
  #map: ServerMap;
  readonly #waiters = new Set<Waiter>();

  constructor(map: ServerMap) {
    this.#map = map;
  }

  get map(): ServerMap {
    return this.#map;
  }

  /** Wakes whoever waits; a map that is no newer changes nothing. */
  publish(map: ServerMap): void {
    if (map.version <= this.#map.version) return;
    this.#map = map;
    this.wakeAll();
  }

  /** Answers all that wait, changed or not. */
  wakeAll(): void {
    for (const { wake } of [...this.#waiters]) wake();
  }

  /** The map as soon as its version is another than `known`, or after {@link MAP_POLL_MS}. */
  changedFrom(known: number, waitMs = MAP_POLL_MS): Promise<ServerMap> {
    if (this.#map.version !== known) return Promise.resolve(this.#map);
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(this.#map);
      };
      const timer = setTimeout(wake, waitMs);
      timer.unref();
      const waiter: Waiter = { wake };
      this.#waiters.add(waiter);
    });
  }
}
