/**
 * Keeps the event loop awake for a moment while requests wait for another node, whose answer mostly comes sooner than a
 * sleeping CPU would be awake again.
 */
import { SharedCpu } from './shared-cpu.ts';

/** An answer of another node takes several times as long as the kernel's next request. */
const ANSWER_FACTOR = 4;
/** Who waits longer than this does not notice a wake-up. */
const MOST_MS = 4;

export class PendingPoll {
  readonly #limitMs: number;
  readonly #isPending: () => boolean;
  readonly #cpu: SharedCpu;
  #untilMs = 0;
  #isTurning = false;

  /** `busyPollMs` is how long the session looks for the kernel's next request; 0 never polls. */
  constructor(busyPollMs: number, isPending: () => boolean, cpu = new SharedCpu()) {
    this.#limitMs = Math.min(busyPollMs * ANSWER_FACTOR, MOST_MS);
    this.#isPending = isPending;
    this.#cpu = cpu;
  }

  /** A request begins to wait. */
  begin(): void {
    if (this.#limitMs === 0) return;
    const nowMs = this.#cpu.nowMs();
    this.#untilMs = nowMs + this.#limitMs;
    if (this.#isTurning || this.#cpu.isWanted(nowMs)) return;
    this.#isTurning = true;
    setImmediate(this.#turn);
  }

  /** An event loop with something to do in its next turn looks at its sockets without sleeping. */
  readonly #turn = (): void => {
    this.#isTurning = this.#isPending() && this.#mayGoOn();
    if (this.#isTurning) setImmediate(this.#turn);
  };

  #mayGoOn(): boolean {
    const nowMs = this.#cpu.giveWay(this.#cpu.nowMs());
    return nowMs < this.#untilMs && !this.#cpu.isWanted(nowMs);
  }
}
