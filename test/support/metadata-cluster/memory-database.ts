/** A database in memory that outlives the simulated server on it, with lmdb's rules for transactions and appends. */
import type { Database, KeyRange, KeyValue, KeyValueTransaction } from '../../../src/meta/kv.ts';
import { runSync, type Task } from '../../../src/task.ts';

export class MemoryDatabase implements Database {
  readonly #values = new Map<string, Buffer>();

  get(key: Buffer): Buffer | undefined {
    const value = this.#values.get(key.toString('latin1'));
    return value === undefined ? undefined : Buffer.from(value);
  }

  range(range: KeyRange): KeyValue[] {
    const start = range.start.toString('latin1');
    const end = range.end.toString('latin1');
    return [...this.#values]
      .filter(([key]) => start <= key && key < end)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, range.limit)
      .map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value: Buffer.from(value) }));
  }

  transact<T>(operation: (kv: KeyValueTransaction) => Task<T>): T {
    const before = new Map<string, Buffer | undefined>();
    const set = (key: Buffer, value: Buffer | undefined): void => {
      const name = key.toString('latin1');
      if (!before.has(name)) before.set(name, this.#values.get(name));
      if (value === undefined) this.#values.delete(name);
      else this.#values.set(name, Buffer.from(value));
    };
    try {
      return runSync(
        operation({
          get: (key) => this.get(key),
          range: (range) => this.range(range),
          put: set,
          append: (key, value) => {
            const name = key.toString('latin1');
            for (const other of this.#values.keys()) {
              if (other >= name) throw new TypeError('appended below another key');
            }
            set(key, value);
          },
          remove: (key) => {
            set(key, undefined);
          },
        }),
      );
    } catch (error) {
      for (const [name, value] of before) {
        if (value === undefined) this.#values.delete(name);
        else this.#values.set(name, value);
      }
      throw error;
    }
  }
}
