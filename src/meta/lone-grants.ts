/**
 * Which client, if any, a metadata server has told that it is the only one, and until when. While such a grant holds, no
 * other client is let in: it waits. So a client with grants of all metadata servers knows that nobody else changes anything.
 */
import type { Clock } from '../clock.ts';
import { pause } from './pause.ts';

/** How long a grant holds: for the client from when it asked, here from when it was answered. */
export const GRANT_MS = 2000;
/** For so long a client must have been the only one: mounts that start together are not to wait for each other. */
export const ALONE_AFTER_MS = 3000;

export interface LoneGrantsOptions {
  readonly clock: Clock;
  /** Resolves after `ms`, or when `signal` aborts; a timer if absent. */
  readonly pause?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

export class LoneGrants {
  readonly #clock: Clock;
  readonly #pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Clients that have been let in. */
  readonly #members = new Set<string>();
  /** Those who wait to be let in. */
  readonly #waiting = new Set<AbortController>();
  #grant: { readonly client: string; readonly untilMs: number } | undefined;
  /** When a client was last let in, or left. */
  #changedMs: number;

  constructor({ clock, pause: wait = pause }: LoneGrantsOptions) {
    this.#clock = clock;
    this.#pause = wait;
    this.#changedMs = clock.monotonicMs();
  }

  /**
   * Clients that a former life of this server had let in. One that was the only one may have a grant of that life; of
   * several none had, since the second was let in when the first one's grant had ended.
   */
  resume(clients: readonly string[]): void {
    for (const client of clients) this.#members.add(client);
    const [only] = clients;
    if (only === undefined || clients.length > 1) return;
    this.#grant = { client: only, untilMs: this.#clock.monotonicMs() + GRANT_MS };
  }

  /**
   * Lets a client in, as soon as nobody else's grant holds; from the moment at which it waits nobody gets one. False
   * for one that goes away while it waits. Whoever is in stays in until {@link left}.
   */
  async enter(client: string, isThere: () => boolean): Promise<boolean> {
    for (;;) {
      if (this.#members.has(client)) return true;
      const waitMs = this.#heldByOthersMs(client);
      if (waitMs <= 0) break;
      const waiting = new AbortController();
      this.#waiting.add(waiting);
      try {
        await this.#pause(waitMs, waiting.signal);
      } finally {
        this.#waiting.delete(waiting);
      }
      if (!isThere()) return false;
    }
    this.#members.add(client);
    this.#changedMs = this.#clock.monotonicMs();
    return true;
  }

  #heldByOthersMs(client: string): number {
    const grant = this.#grant;
    if (grant === undefined || grant.client === client) return 0;
    return Math.ceil(grant.untilMs - this.#clock.monotonicMs());
  }

  /** Nothing that this client still sends is carried out. Its grant holds on, unless it has said itself that it ends. */
  left(client: string, isOrderly: boolean): void {
    if (!this.#members.delete(client)) return;
    this.#changedMs = this.#clock.monotonicMs();
    if (!isOrderly || this.#grant?.client !== client) return;
    this.#grant = undefined;
    for (const waiting of this.#waiting) waiting.abort();
  }

  /** For how many milliseconds from when it asked the client is the only one, for certain; 0 if that cannot be told. */
  ask(client: string): number {
    const nowMs = this.#clock.monotonicMs();
    const isAlone = this.#members.size === 1 && this.#members.has(client);
    if (!isAlone || this.#waiting.size > 0 || nowMs - this.#changedMs < ALONE_AFTER_MS) return 0;
    this.#grant = { client, untilMs: nowMs + GRANT_MS };
    return GRANT_MS;
  }
}
