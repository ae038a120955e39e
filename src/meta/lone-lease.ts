/**
 * What a mount knows of being the only one of its file system: until when, for certain, as all metadata servers have granted
 * it. It asks them while it is used, and counts from the moment at which it asked, so that neither delays nor other clocks matter.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { isPromiseLike, type MaybePromise } from '../task.ts';
import type { Aloneness } from './store.ts';

/** Asks one metadata server: milliseconds for which this mount is the only one, 0 if it is not. */
export type AskAlone = () => MaybePromise<number>;

/** A lease is renewed when so much time has gone since it was asked for. */
const RENEW_MS = 500;
/** A server that has said no, or nothing, is asked again after so long. */
const AGAIN_MS = 1000;

interface Server {
  readonly ask: AskAlone;
  isAsking: boolean;
  askedMs: number;
  /** Nobody else has been there from then on. */
  sinceMs: number;
  untilMs: number;
}

export class LoneLease implements Aloneness {
  readonly #servers: readonly Server[];
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #logger: Logger;
  /** The time that all servers' grants have in common. */
  #sinceMs = Infinity;
  #untilMs = -Infinity;
  /** Some server is to be asked then. */
  #dueMs = -Infinity;

  /** One question for each metadata server. */
  constructor(
    questions: readonly AskAlone[],
    { clock, logger }: { clock: Pick<Clock, 'monotonicMs'>; logger: Logger },
  ) {
    this.#clock = clock;
    this.#logger = logger;
    this.#servers = questions.map((ask) => ({
      ask,
      isAsking: false,
      askedMs: -Infinity,
      sinceMs: Infinity,
      untilMs: -Infinity,
    }));
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Whoever wants to know makes the lease go on. */
  leftMs(sinceMs: number): number {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#dueMs) this.#askWhoIsDue(nowMs);
    return sinceMs < this.#sinceMs ? 0 : Math.max(0, this.#untilMs - nowMs);
  }

  /** Whether this mount is the only one, as far as it was told; asks nobody. */
  get isAlone(): boolean {
    return this.#clock.monotonicMs() < this.#untilMs;
  }

  #askWhoIsDue(nowMs: number): void {
    this.#dueMs = Infinity;
    for (const server of this.#servers) {
      if (server.isAsking) continue;
      if (nowMs >= dueMs(server)) this.#ask(server, nowMs);
      else this.#dueMs = Math.min(this.#dueMs, dueMs(server));
    }
  }

  #ask(server: Server, nowMs: number): void {
    server.isAsking = true;
    server.askedMs = nowMs;
    const learn = (grantedMs: number): void => {
      server.isAsking = false;
      this.#learn(server, grantedMs);
      this.#dueMs = Math.min(this.#dueMs, dueMs(server));
    };
    try {
      const asked = server.ask();
      if (isPromiseLike(asked)) {
        asked.then(learn, () => {
          learn(0);
        });
      } else learn(asked);
    } catch {
      learn(0);
    }
  }

  /** A server that says no waits until what it has granted has ended: to end it at once does no harm. */
  #learn(server: Server, grantedMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const untilMs = server.askedMs + grantedMs;
    if (grantedMs <= 0 || untilMs <= nowMs) {
      server.untilMs = -Infinity;
    } else {
      // Where the former lease has ended, somebody may have come and gone before this one was asked for.
      if (nowMs >= server.untilMs) server.sinceMs = server.askedMs;
      server.untilMs = untilMs;
    }
    const wasAlone = nowMs < this.#untilMs;
    this.#sinceMs = Math.max(...this.#servers.map((each) => each.sinceMs));
    this.#untilMs = Math.min(...this.#servers.map((each) => each.untilMs));
    const isAlone = nowMs < this.#untilMs;
    if (isAlone !== wasAlone) this.#logger.debug({ alone: isAlone }, isAlone ? ALONE : NOT_ALONE);
  }
}

const ALONE = 'the only mount: the kernel keeps names and attributes';
const NOT_ALONE = 'perhaps not the only mount: the kernel keeps no names and attributes';

/** When the server is to be asked again. */
function dueMs({ askedMs, untilMs }: Server): number {
  return askedMs + (untilMs === -Infinity ? AGAIN_MS : RENEW_MS);
}
