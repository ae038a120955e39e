/** What a service is to a server: a table of handlers, and what these are given. */
import type { MaybePromise } from '../task.ts';
import type { Hello } from './handshake.ts';
import type { AnyOperation, CallTag, Operation } from './operation.ts';

/** Memory in which a request's payload lands. A BlockLease is one. */
export interface ReceiveTarget {
  /** At least as long as the payload. */
  readonly bytes: Buffer;
  /** Called by the server only if the payload did not arrive whole, or was refused; afterwards it is the handler's. */
  release(): void;
}

/** A connected client, as handlers see it. Its identity may key a WeakMap of what a service knows of it. */
export interface ClientConnection {
  readonly hello: Hello;
  readonly remoteAddress: string;
  /** Counts up per server. */
  readonly id: number;
  /** Monotonic milliseconds (`performance.now()`) at which something was last heard of it. */
  readonly lastHeardMs: number;
  readonly isOpen: boolean;
  /** Runs `listener` once when the connection has ended; at once if it has already. */
  onClose(listener: () => void): void;
  /** Ends the connection without waiting for anything. */
  close(): void;
}

export interface HandlerContext {
  readonly client: ClientConnection;
  /** Set for operations that mutate. */
  readonly tag: CallTag | undefined;
  /** The request's payload, as long as what was sent; a view of `lease.bytes` if there is a lease. */
  readonly payload: Buffer | undefined;
  /** What the row's `receive` returned; the handler owns it from now on and releases it. */
  readonly lease: ReceiveTarget | undefined;
}

export interface Outcome<A> {
  readonly value: A;
  /** Sent without a copy. */
  readonly payload?: readonly Buffer[] | undefined;
  /**
   * Called in the turn in which the reply is sent, if the kernel could not take the payload at once; what it returns is
   * called when it has, or when the connection has ended. Until then the payload must not change.
   */
  readonly pin?: (() => () => void) | undefined;
}

/** Throws (or rejects with) FsError or an error that a FailureCodec knows; anything else is logged and becomes EIO. */
export type Handler<Q, A> = (request: Q, context: HandlerContext) => MaybePromise<Outcome<A>>;

export interface HandlerRow<Q, A> {
  readonly operation: Operation<Q, A>;
  readonly handle: Handler<Q, A>;
  /**
   * Where the payload is to land; undefined: in a buffer made for it. What it throws is the answer, and the payload is
   * dropped. A row without `receive` gets a buffer made for it, too.
   */
  readonly receive?: ((request: Q, lengthBytes: number) => ReceiveTarget | undefined) | undefined;
}

/** A row whatever its types; made by {@link row}, which checks them. */
export interface AnyHandlerRow {
  readonly operation: AnyOperation;
  readonly handle: Handler<never, unknown>;
  readonly receive?:
    ((request: never, lengthBytes: number) => ReceiveTarget | undefined) | undefined;
}

export type HandlerTable = readonly AnyHandlerRow[];

/** A row of a {@link HandlerTable}. */
export function row<Q, A>(
  operation: Operation<Q, A>,
  handle: Handler<Q, A>,
  receive?: HandlerRow<Q, A>['receive'],
): AnyHandlerRow {
  return { operation, handle, receive };
}

/** Limits of a server; what is absent has the default. */
export interface ServerLimits {
  /** For the whole handshake: 5,000. */
  readonly handshakeMs: number;
  /** Unsent replies of one connection above which no more of its requests are read: 64 MiB. */
  readonly outputBytes: number;
  /** Requests of one connection that run at once, above which no more are read: 4,096. */
  readonly runningRequests: number;
  /** A client that takes nothing of what is queued for so long is disconnected: 30,000. */
  readonly drainMs: number;
  /** A client of which nothing is heard for so long is disconnected: 15,000. */
  readonly silenceMs: number;
  /** How long a graceful close waits for what is in flight: 5,000. */
  readonly closeMs: number;
}
