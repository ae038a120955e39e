/**
 * Sees to it that a change which arrives twice runs once: the reply to each is kept until the client says that it has
 * it. Kept for the server's life, and for a while after the client's last connection.
 */
import type { Clock } from '../clock.ts';
import { FsError } from '../errno.ts';
import { type MaybePromise, isPromiseLike } from '../task.ts';

/** A client that has been away for longer has given up what it asked. */
const KEEP_MS = 60_000;
/** More unacknowledged replies than this are a client that has lost count. */
const MOST_REPLIES = 65_536;

/** What a change is marked with; see `CallTag` of the net. */
export interface ChangeTag {
  readonly sequence: number;
  readonly acknowledgedBelow: number;
}

type Reply =
  | { readonly kind: 'running'; readonly result: Promise<unknown> }
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly error: unknown };

interface Client {
  readonly replies: Map<number, Reply>;
  acknowledgedBelow: number;
  connections: number;
  /** Monotonic time at which the last connection ended. */
  leftMs: number;
}

export class ReplyCache {
  readonly #clock: Clock;
  readonly #clients = new Map<string, Client>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Clients that are remembered. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** How many replies are kept for `client`. */
  replyCount(client: string): number {
    return this.#clients.get(client)?.replies.size ?? 0;
  }

  /** The client has a connection, or another one. Returns what to call when that has ended. */
  connected(client: string): () => void {
    this.#forgetOld();
    const known = this.#clientOf(client);
    known.connections++;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      known.connections--;
      known.leftMs = this.#clock.monotonicMs();
      this.#forgetOld();
    };
  }

  /**
   * Runs `perform`, unless this change has been here before: then its reply is given again, or waited for. EIO for a
   * change that the client has given up: to run it now could undo a later one.
   */
  run<T>(client: string, tag: ChangeTag, perform: () => MaybePromise<T>): MaybePromise<T> {
    const known = this.#clientOf(client);
    this.#acknowledge(known, tag.acknowledgedBelow);
    const earlier = known.replies.get(tag.sequence);
    if (earlier !== undefined) return repeat(earlier) as MaybePromise<T>;
    if (tag.sequence < known.acknowledgedBelow) {
      throw new FsError('EIO', `change ${tag.sequence} arrived after it was given up`);
    }
    if (known.replies.size >= MOST_REPLIES) {
      throw new FsError('EIO', `${MOST_REPLIES} replies are unacknowledged`);
    }
    return record(known.replies, tag.sequence, perform);
  }

  #clientOf(client: string): Client {
    let known = this.#clients.get(client);
    if (known === undefined) {
      known = {
        replies: new Map(),
        acknowledgedBelow: 0,
        connections: 0,
        leftMs: this.#clock.monotonicMs(),
      };
      this.#clients.set(client, known);
    }
    return known;
  }

  /** Replies are kept in the order of arrival, nearly that of their numbers: what is left behind goes with the next. */
  #acknowledge(client: Client, below: number): void {
    if (below <= client.acknowledgedBelow) return;
    client.acknowledgedBelow = below;
    for (const sequence of client.replies.keys()) {
      if (sequence >= below) return;
      client.replies.delete(sequence);
    }
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { connections, leftMs }] of this.#clients) {
      if (connections === 0 && nowMs - leftMs > KEEP_MS) this.#clients.delete(id);
    }
  }
}

function record<T>(
  replies: Map<number, Reply>,
  sequence: number,
  perform: () => MaybePromise<T>,
): MaybePromise<T> {
  let result: MaybePromise<T>;
  try {
    result = perform();
  } catch (error) {
    replies.set(sequence, { kind: 'failed', error });
    throw error;
  }
  if (!isPromiseLike(result)) {
    replies.set(sequence, { kind: 'done', value: result });
    return result;
  }
  const settled = Promise.resolve(result).then(
    (value) => {
      if (replies.has(sequence)) replies.set(sequence, { kind: 'done', value });
      return value;
    },
    (error: unknown) => {
      if (replies.has(sequence)) replies.set(sequence, { kind: 'failed', error });
      throw error;
    },
  );
  replies.set(sequence, { kind: 'running', result: settled });
  return settled;
}

function repeat(reply: Reply): unknown {
  if (reply.kind === 'done') return reply.value;
  if (reply.kind === 'running') return reply.result;
  throw reply.error;
}
