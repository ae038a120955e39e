/**
 * Tells block 0 of writes without making the writers wait. Notes of one file go one after the other, those that wait
 * are merged into one; {@link Notes.settle} waits until block 0 knows all of them, and is where a failure comes out.
 */
import { isPromiseLike, type MaybePromise, type Task, wait } from '../task.ts';

/** A change of data that block 0 has to hear of. */
export interface Note {
  /** The size is at least this. */
  endBytes: number;
  /** Change of the bytes stored. */
  storedDelta: number;
}

export class Notes {
  readonly #send: (note: Note) => MaybePromise<void>;
  #waiting: Note | undefined;
  #underWay: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  /** `send` tells block 0, and keeps what it answers. */
  constructor(send: (note: Note) => MaybePromise<void>) {
    this.#send = send;
  }

  /** Whether block 0 does not know everything yet. */
  get pending(): boolean {
    return this.#underWay !== undefined;
  }

  /** A note to a store in this process has been taken when this returns; it throws what that fails with. */
  add(note: Note): void {
    if (this.#underWay !== undefined) {
      this.#waiting = merge(this.#waiting, note);
      return;
    }
    const sent = this.#send(note);
    if (isPromiseLike(sent)) this.#underWay = this.#follow(sent);
  }

  /** Never rejects: the failure is kept for {@link settle}. */
  async #follow(first: PromiseLike<void>): Promise<void> {
    let sent: MaybePromise<void> = first;
    for (;;) {
      try {
        await sent;
      } catch (error) {
        this.#failure ??= { error };
      }
      const next = this.#waiting;
      if (next === undefined) break;
      this.#waiting = undefined;
      try {
        sent = this.#send(next);
      } catch (error) {
        this.#failure ??= { error };
      }
    }
    this.#underWay = undefined;
  }

  /** Waits until nothing is under way. A failure is left for those who may tell of it, as close(2) may and stat(2) not. */
  *pause(): Task<void> {
    while (this.#underWay !== undefined) yield* wait(this.#underWay);
  }

  /** Waits until block 0 knows everything. Throws what a note failed with, once. */
  *settle(): Task<void> {
    yield* this.pause();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }
}

function merge(one: Note | undefined, two: Note): Note {
  if (one === undefined) return { ...two };
  return {
    endBytes: Math.max(one.endBytes, two.endBytes),
    storedDelta: one.storedDelta + two.storedDelta,
  };
}
