/** What a caller of a server sees: the options of a call, its answer, and the interface that a Peer implements. */
import type { Logger } from '../log.ts';
import type { LendablePages } from '../pipes/lendable-pages.ts';
import type { PipedBytes } from '../pipes/piped-bytes.ts';
import type { Hello, Welcome } from './handshake.ts';
import type { FailureCodec, Operation } from './operation.ts';

/** Where a server listens. */
export interface Address {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `host:port`, IPv6 addresses in brackets. */
export function formatAddress(address: Address): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** Where a payload lands: in memory, or in a pipe where it need not be looked at. */
export type Landing = Buffer | PipedBytes;

export interface CallOptions {
  /** Raw bytes after the arguments, sent without a copy. Unchanged by the caller until the call settles. */
  readonly payload?: readonly Buffer[] | undefined;
  /**
   * Where the payload, which is then one slice, begins. These pages may be sent by reference, and {@link LendablePages.reclaim}
   * tells when they may change.
   */
  readonly pages?: LendablePages | undefined;
  /**
   * Where the answer's payload is to land: at least that many bytes, which belong to the call until it settles. Without
   * it, a buffer is made. May be asked again when the connection was lost half-way.
   */
  readonly receive?: ((lengthBytes: number) => Landing) | undefined;
  /** Default 30 s, time spent waiting for a connection included. */
  readonly deadlineMs?: number | undefined;
  /**
   * Gives the call up. It settles at once, or, where memory of the caller is in use by the socket, as soon as that is
   * over; what the server did or did not do is then unknown.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface Answer<A> {
  readonly value: A;
  /** As long as what was sent; in the buffer that `receive` gave, if it was given. Undefined without payload. */
  readonly payload: Buffer | undefined;
  /** Set in place of `payload` where `receive` gave this. */
  readonly piped?: PipedBytes | undefined;
}

/**
 * Rejects with FsError (the server's errno), a service's failure, ConnectionClosedError, HandshakeError (a reason that
 * waiting does not cure), DeadlineError, ProtocolError, or the signal's reason.
 */
export type Call = <Q, A>(
  operation: Operation<Q, A>,
  request: Q,
  options?: CallOptions,
) => Promise<Answer<A>>;

/** `idle` before the first call; `away` while it cannot be reached, though connecting goes on. */
export type PeerState = 'idle' | 'connecting' | 'ready' | 'away' | 'closed';

/** One server, as those see it who call it. */
export interface Caller {
  readonly call: Call;
  readonly address: Address;
  readonly state: PeerState;
  /** What the server said of itself at the latest connection. */
  readonly welcome: Welcome | undefined;
  readonly lastError: Error | undefined;
}

/** Times of a Peer in milliseconds; what is absent has the default. */
export interface PeerTimes {
  /** For one attempt to connect, handshake included: 5,000. */
  readonly connectMs: number;
  /** First pause between attempts, doubled each time: 20. */
  readonly firstBackoffMs: number;
  /** Longest pause: 1,000. */
  readonly lastBackoffMs: number;
  /** Nothing heard for so long: ping. 2,000. */
  readonly pingMs: number;
  /** Nothing heard for so long: the connection is dead. 6,000. */
  readonly silenceMs: number;
}

/**
 * How bytes are read. `exact`: what is expected and no more, so that payloads land in their final place without a copy,
 * but for some first bytes where a payload begins sooner than the last did.
 * `small`: up to 64 KiB at once, for many small messages.
 */
export type Reading = 'exact' | 'small';

export interface PeerOptions {
  readonly address: Address;
  /** One Peer per client id and server: the tags of mutating calls count per Peer. */
  readonly hello: Hello;
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  readonly reading: Reading;
  /**
   * Runs after each handshake, before calls that wait: opens a session, registers. Calls made through its argument are
   * not repeated. If it rejects, the connection is closed and tried again later.
   */
  readonly onConnect?: ((call: Call, welcome: Welcome) => Promise<void>) | undefined;
  /** How long a call waits for a server that is away; one away for longer fails calls at once. Default 10 s. */
  readonly patienceMs?: number | undefined;
  readonly logger: Logger;
  readonly failures?: readonly FailureCodec[] | undefined;
  readonly times?: Partial<PeerTimes> | undefined;
}
