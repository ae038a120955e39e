/** Messages between simulated servers and clients: late, lost, doubled and out of order, as chance has it. */
import { FsError } from '../../../src/errno.ts';
import { UnreachableError } from '../../../src/meta/distributed/errors.ts';
import type { MaybePromise } from '../../../src/task.ts';
import type { Schedule } from './schedule.ts';

export interface Conditions {
  /** Share of messages that get lost. */
  lost: number;
  /** Share of messages that arrive twice. */
  doubled: number;
  mostDelayMs: number;
}

/** Who sends or gets messages. */
export interface Endpoint {
  readonly dead: boolean;
}

export interface Call<E extends Endpoint, T> {
  from: Endpoint;
  /** Whoever is there when the message arrives. */
  to: () => E | undefined;
  ask: (at: E) => MaybePromise<T>;
  patienceMs: number;
}

export class Network {
  conditions: Conditions = { lost: 0, doubled: 0, mostDelayMs: 0 };
  /** Called before each arrival of a message, with the number of those before it. */
  onArrival: (count: number) => void = () => undefined;
  /** Failures that no server should answer with. */
  readonly bugs: unknown[] = [];
  readonly #schedule: Schedule;
  #arrivals = 0;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  get arrivals(): number {
    return this.#arrivals;
  }

  call<E extends Endpoint, T>({ from, to, ask, patienceMs }: Call<E, T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const giveUp = (): void => {
        reject(new UnreachableError('no answer'));
      };
      this.#schedule.after(patienceMs, giveUp);
      this.#send(from, () => {
        const at = to();
        if (at === undefined || at.dead) return;
        const answer = (action: () => void): void => {
          this.#send(at, action);
        };
        Promise.resolve()
          .then(() => ask(at))
          .then(
            (value) => {
              answer(() => {
                resolve(value);
              });
            },
            (error: unknown) => {
              if (!(error instanceof FsError) && !at.dead) this.bugs.push(error);
              answer(() => {
                reject(error instanceof Error ? error : new Error(String(error)));
              });
            },
          );
      });
    });
  }

  #send(from: Endpoint, arrive: () => void): void {
    if (from.dead) return;
    const { lost, doubled, mostDelayMs } = this.conditions;
    const copies = this.#schedule.chance(doubled) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#schedule.chance(lost)) continue;
      this.#schedule.after(this.#schedule.random() * mostDelayMs, () => {
        this.onArrival(this.#arrivals++);
        arrive();
      });
    }
  }
}
