/**
 * Changes of a file's data that have begun and not ended, also those whose callers are not waited for any more: whoever
 * has been killed while a server was away is gone before what it has written has arrived.
 */
import { type Task, wait } from '../task.ts';

interface Write {
  readonly listeners: (() => void)[];
}

export class WritesUnderWay {
  readonly #running = new Set<Write>();

  /** Runs a change, which may be aborted only when nothing of it can come to a server any more. */
  *during<T>(change: Task<T>): Task<T> {
    const write: Write = { listeners: [] };
    this.#running.add(write);
    try {
      return yield* change;
    } finally {
      this.#running.delete(write);
      for (const listener of write.listeners) listener();
    }
  }

  /** Waits until those have ended that are under way now; of how, nothing is told. */
  *ended(): Task<void> {
    if (this.#running.size === 0) return;
    const ends = [...this.#running].map(
      ({ listeners }) => new Promise<void>((resolve) => listeners.push(resolve)),
    );
    yield* wait(Promise.all(ends));
  }
}
