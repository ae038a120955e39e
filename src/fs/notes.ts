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

/**
 * Least time between two notes of one file to a store elsewhere, in milliseconds, unless somebody waits for them: a
 * sequential writer would otherwise send one beside each block.
 */
const INTERVAL_MS = 5;

export class Notes {
  readonly #send: (note: Note) => MaybePromise<void>;
  readonly #intervalMs: number;
  #waiting: Note | undefined;
  #underWay: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;
  /** How far the data reaches that block 0 failed to hear of; told again with the next note. */
  #unheardEndBytes = 0;
  /** When the latest note to a store elsewhere was sent. */
  #sentMs = -Infinity;
  /** Somebody waits: notes go without a pause between them until all are through. */
  #isHurried = false;
  #endPause: (() => void) | undefined;

  /** `send` tells block 0, and keeps what it answers. */
  constructor(send: (note: Note) => MaybePromise<void>, intervalMs = INTERVAL_MS) {
    this.#send = send;
    this.#intervalMs = intervalMs;
  }

  /** Whether block 0 does not know everything yet. */
  get pending(): boolean {
    return this.#underWay !== undefined;
  }

  /** A note to a store in this process has been taken when this returns; it throws what that fails with. */
  add(note: Note): void {
    this.#waiting = merge(this.#waiting, note);
    if (this.#unheardEndBytes > 0) {
      const again = { endBytes: this.#unheardEndBytes, storedDelta: 0 };
      this.#waiting = merge(this.#waiting, again);
      this.#unheardEndBytes = 0;
    }
    if (this.#underWay !== undefined) return;
    if (performance.now() - this.#sentMs < this.#intervalMs) {
      this.#underWay = this.#run(undefined);
      return;
    }
    const first = this.#take();
    const sent = this.#send(first);
    if (!isPromiseLike(sent)) return;
    this.#sentMs = performance.now();
    this.#underWay = this.#run({ note: first, sent });
  }

  #take(): Note {
    const note = this.#waiting ?? { endBytes: 0, storedDelta: 0 };
    this.#waiting = undefined;
    return note;
  }

  /** Never rejects: the failure is kept for {@link settle}. */
  async #run(first: { note: Note; sent: PromiseLike<void> } | undefined): Promise<void> {
    if (first !== undefined) await this.#follow(first.note, first.sent);
    while (this.#waiting !== undefined) {
      if (!this.#isHurried) await this.#interval();
      this.#sentMs = performance.now();
      const note = this.#take();
      try {
        await this.#follow(note, this.#send(note));
      } catch (error) {
        this.#failed(note, error);
      }
    }
    this.#underWay = undefined;
    this.#isHurried = false;
  }

  async #follow(note: Note, sent: MaybePromise<void>): Promise<void> {
    try {
      await sent;
    } catch (error) {
      this.#failed(note, error);
    }
  }

  /** It may have been carried out, so that the bytes it counted must not be counted again. */
  #failed({ endBytes }: Note, error: unknown): void {
    this.#failure ??= { error };
    this.#unheardEndBytes = Math.max(this.#unheardEndBytes, endBytes);
  }

  /** Until the next note may be sent, or somebody waits for it. */
  #interval(): Promise<void> {
    const leftMs = this.#sentMs + this.#intervalMs - performance.now();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, leftMs));
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits until nothing is under way. A failure is left for those who may tell of it, as close(2) may and stat(2) not. */
  *pause(): Task<void> {
    while (this.#underWay !== undefined) {
      this.#isHurried = true;
      this.#endPause?.();
      yield* wait(this.#underWay);
    }
  }

  /** Waits until block 0 knows everything, and tells it again what it failed to hear. Throws what a note fails with. */
  *settle(): Task<void> {
    yield* this.pause();
    if (this.#failure === undefined && this.#unheardEndBytes > 0) {
      this.add({ endBytes: 0, storedDelta: 0 });
      yield* this.pause();
    }
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
