/**
 * One server, as its caller sees it: connects, reconnects, and repeats what was not answered, in order. A call settles
 * exactly once, and never while the socket may still read or write memory that its caller lent; pages that were sent by
 * reference tell by themselves when they may change.
 */
import { PipedBytes } from '../pipes/piped-bytes.ts';
import {
  formatAddress,
  type Address,
  type Answer,
  type CallOptions,
  type Caller,
  type Landing,
  type PeerOptions,
  type PeerState,
  type PeerTimes,
} from './call.ts';
import { CallTable, type PendingCall } from './call-table.ts';
import type { Connection, ConnectionOwner } from './connection.ts';
import { dial, type Dialling } from './dial.ts';
import { ConnectionClosedError, HandshakeError, ProtocolError } from './errors.ts';
import { decodeFailure } from './failure.ts';
import { FrameKind, MAX_ARGS_BYTES, MAX_PAYLOAD_BYTES, type ReceivedHeader } from './frame.ts';
import type { Welcome } from './handshake.ts';
import { decodeArgs, encodeFrame } from './message.ts';
import { PING, type Operation } from './operation.ts';

const DEFAULT_TIMES: PeerTimes = {
  connectMs: 5000,
  firstBackoffMs: 20,
  lastBackoffMs: 1000,
  pingMs: 2000,
  silenceMs: 6000,
};
const DEFAULT_PATIENCE_MS = 10_000;
const DEFAULT_DEADLINE_MS = 30_000;

/** Request id 0: its answer is a sign of life and nothing else. */
const PING_FRAME = encodeFrame(
  { kind: FrameKind.REQUEST, operation: PING.code, requestId: 0, status: 0 },
  [null, null],
);

function lengthOf(payload: readonly Buffer[] = []): number {
  let length = 0;
  for (const slice of payload) length += slice.length;
  return length;
}

/** Exactly `length` bytes of the memory that a caller gave for an answer's payload. */
function firstOf(given: Buffer, length: number, { operation }: PendingCall): Buffer {
  if (given.length < length) {
    throw new ProtocolError(
      `${operation.name}: ${length} bytes were sent, but there is room for ${given.length}`,
    );
  }
  return given.length === length ? given : given.subarray(0, length);
}

export class Peer implements Caller {
  readonly #options: PeerOptions;
  readonly #times: PeerTimes;
  readonly #patienceMs: number;
  readonly #owner: ConnectionOwner;
  readonly #calls = new CallTable((call, error) => {
    this.#onDue(call, error);
  });
  #dialling: Dialling | undefined;
  #connection: Connection | undefined;
  /** Calls may be sent: the handshake and onConnect are over. */
  #ready = false;
  #closed = false;
  #welcome: Welcome | undefined;
  #lastError: Error | undefined;
  /** A reason for which waiting does not help. */
  #refusal: HandshakeError | undefined;
  /** For a connection, since the first call without one. */
  #isWaiting = false;
  #patienceIsOver = false;
  /** Since the last answer. */
  #attempts = 0;
  #landing: { call: PendingCall; answer: Answer<unknown> } | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #patienceTimer: NodeJS.Timeout | undefined;
  #tickTimer: NodeJS.Timeout | undefined;
  #lastTickMs = 0;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
    this.#owner = {
      onFrame: (header, args) => this.#onFrame(header, args),
      onPayload: () => {
        this.#onPayload();
      },
      onClosed: (error) => {
        this.#onClosed(error);
      },
    };
  }

  get address(): Address {
    return this.#options.address;
  }

  get state(): PeerState {
    if (this.#closed) return 'closed';
    if (this.#ready) return 'ready';
    if (!this.#isWaiting) return 'idle';
    return this.#lastError === undefined ? 'connecting' : 'away';
  }

  /** What the server said of itself at the latest connection; undefined before the first. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** Why it is away, or was the last time. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Connects now instead of at the first call. */
  connect(): void {
    if (this.#closed || this.#ready || this.#isWaiting) return;
    this.#startWaiting();
    this.#dial();
  }

  /** Connects, waiting as a call does, and returns what the server says of itself. Rejects as a call. */
  async ready(options?: Pick<CallOptions, 'deadlineMs' | 'signal'>): Promise<Welcome> {
    await this.call(PING, undefined, options);
    if (this.#welcome === undefined) throw new ProtocolError('no welcome');
    return this.#welcome;
  }

  /** See {@link Call}. */
  call<Q, A>(operation: Operation<Q, A>, request: Q, options?: CallOptions): Promise<Answer<A>> {
    return this.#submit({ operation, request, options: options ?? {}, isOpening: false });
  }

  #submit<Q, A>(spec: {
    operation: Operation<Q, A>;
    request: Q;
    options: CallOptions;
    isOpening: boolean;
  }): Promise<Answer<A>> {
    return new Promise<Answer<A>>((resolve, reject) => {
      const { operation, request, options, isOpening } = spec;
      const refused = this.#refusalNow(spec);
      if (refused !== undefined) {
        reject(refused);
        return;
      }
      const call: PendingCall = {
        id: this.#calls.nextId(),
        operation,
        request,
        options,
        isOpening,
        payloadLength: lengthOf(options.payload),
        sequence: operation.mutates ? this.#calls.nextSequence() : 0,
        dueMs: performance.now() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS),
        resolve: resolve as (answer: Answer<unknown>) => void,
        reject,
        sent: false,
        writing: false,
        landing: false,
        outcome: undefined,
        stopListening: undefined,
      };
      this.#listenToSignal(call);
      this.#calls.add(call);
      if (this.#ready || isOpening) this.#transmit(call);
      else this.connect();
    });
  }

  /** Why a call fails before it begins. */
  #refusalNow(spec: { options: CallOptions; isOpening: boolean }): Error | undefined {
    if (this.#closed) return this.#closedError('the connection was closed here');
    if (spec.options.signal?.aborted === true) return spec.options.signal.reason as Error;
    if (this.#ready || spec.isOpening || !this.#isWaiting) return undefined;
    if (this.#refusal !== undefined) return this.#refusal;
    return this.#patienceIsOver ? this.#awayError() : undefined;
  }

  #closedError(what: string, cause?: unknown): ConnectionClosedError {
    return new ConnectionClosedError(`${formatAddress(this.address)}: ${what}`, { cause });
  }

  #awayError(): ConnectionClosedError {
    const reason = this.#lastError?.message ?? 'no answer';
    return this.#closedError(
      `away for more than ${this.#patienceMs} ms: ${reason}`,
      this.#lastError,
    );
  }

  #listenToSignal(call: PendingCall): void {
    const { signal } = call.options;
    if (signal === undefined) return;
    const onAbort = (): void => {
      this.#settle(call, { error: signal.reason as Error });
    };
    signal.addEventListener('abort', onAbort, { once: true });
    call.stopListening = () => {
      signal.removeEventListener('abort', onAbort);
    };
  }

  #transmit(call: PendingCall): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    let frame: Buffer;
    try {
      const tag = this.#calls.tagOf(call);
      const args = [
        tag === null ? null : [tag.sequence, tag.acknowledgedBelow],
        call.operation.request.encode(call.request),
      ];
      const { code } = call.operation;
      frame = encodeFrame(
        { kind: FrameKind.REQUEST, operation: code, requestId: call.id, status: 0 },
        args,
        call.payloadLength,
      );
    } catch (error) {
      this.#settle(call, { error: error as Error });
      return;
    }
    call.sent = true;
    if (call.payloadLength === 0) {
      connection.send(frame);
      return;
    }
    call.writing = true;
    const { payload, pages } = call.options;
    const onHanded = (): void => {
      if (connection === this.#connection) this.#onHanded(call);
    };
    const handed = pages
      ? connection.sendPages(frame, pages, call.payloadLength, onHanded)
      : connection.send(frame, payload, onHanded);
    if (handed) this.#onHanded(call);
  }

  #onHanded(call: PendingCall): void {
    if (!call.writing) return;
    call.writing = false;
    if (call.outcome !== undefined) this.#settle(call, call.outcome);
  }

  /** Settles a call as soon as its memory is free; the first outcome counts. */
  #settle(call: PendingCall, outcome: NonNullable<PendingCall['outcome']>): void {
    call.outcome ??= outcome;
    if (call.writing || call.landing || this.#calls.get(call.id) !== call) return;
    this.#calls.remove(call);
    call.stopListening?.();
    if ('answer' in call.outcome) call.resolve(call.outcome.answer);
    else call.reject(call.outcome.error);
  }

  #onDue(call: PendingCall, error: Error): void {
    this.#settle(call, { error });
    if (this.#calls.get(call.id) !== call) return;
    // Only an end of the connection gets the caller's memory back now.
    this.#connection?.destroy(this.#closedError('a payload did not get through in time', error));
  }

  #onFrame(header: ReceivedHeader, args: Buffer): Landing | undefined {
    if (header.kind !== FrameKind.REPLY) throw new ProtocolError('a reply was expected');
    const call = this.#calls.get(header.requestId);
    if (call?.sent !== true) return undefined; // A ping's, or that of a call which was given up.
    if (call.operation.code !== header.operation) {
      throw new ProtocolError(`a reply to ${call.operation.name} is for another operation`);
    }
    this.#attempts = 0;
    // A request that is refused may be answered before its payload has been read.
    if (header.status === 0 && this.#connection !== undefined) {
      call.options.pages?.returned(this.#connection);
    }
    if (call.outcome !== undefined) return undefined;
    try {
      const raw = decodeArgs(args);
      if (header.status !== 0) {
        throw decodeFailure(header.status, raw, this.#options.failures ?? []);
      }
      const value: unknown = call.operation.reply.decode(raw);
      if (header.payloadLength > 0) return this.#land(call, value, header.payloadLength);
      this.#settle(call, { answer: { value, payload: undefined } });
    } catch (error) {
      this.#settle(call, { error: error as Error });
    }
    return undefined;
  }

  #land(call: PendingCall, value: unknown, length: number): Landing {
    const given = call.options.receive?.(length) ?? Buffer.allocUnsafeSlow(length);
    if (given instanceof PipedBytes) {
      call.landing = true;
      this.#landing = { call, answer: { value, payload: undefined, piped: given } };
      return given;
    }
    const payload = firstOf(given, length, call);
    call.landing = true;
    this.#landing = { call, answer: { value, payload } };
    return payload;
  }

  #onPayload(): void {
    const landing = this.#landing;
    if (landing === undefined) return;
    this.#landing = undefined;
    landing.call.landing = false;
    this.#settle(landing.call, { answer: landing.answer });
  }

  #dial(): void {
    if (this.#closed || this.#dialling !== undefined || this.#connection !== undefined) return;
    this.#attempts++;
    const { address, hello, secret, reading } = this.#options;
    const timeoutMs = this.#times.connectMs;
    this.#dialling = dial(
      { address, hello, secret, reading, timeoutMs },
      {
        onReady: (connection, welcome) => {
          this.#onConnected(connection, welcome);
        },
        onFailed: (error) => {
          this.#dialling = undefined;
          this.#onLost(error);
        },
      },
    );
  }

  #onConnected(connection: Connection, welcome: Welcome): void {
    this.#dialling = undefined;
    this.#connection = connection;
    this.#welcome = welcome;
    connection.transfer(this.#owner, { args: MAX_ARGS_BYTES, payload: MAX_PAYLOAD_BYTES });
    this.#lastTickMs = performance.now();
    this.#tickTimer = setInterval(() => {
      this.#tick(connection);
    }, this.#times.pingMs / 2);
    const { onConnect } = this.#options;
    if (onConnect === undefined) {
      this.#becomeReady();
      return;
    }
    const opening = <Q, A>(operation: Operation<Q, A>, request: Q, options?: CallOptions) => {
      if (this.#connection !== connection) return Promise.reject(this.#closedError('it was lost'));
      return this.#submit<Q, A>({ operation, request, options: options ?? {}, isOpening: true });
    };
    onConnect(opening, welcome).then(
      () => {
        if (this.#connection === connection) this.#becomeReady();
      },
      (error: unknown) => {
        connection.destroy(error as Error);
      },
    );
  }

  #becomeReady(): void {
    this.#ready = true;
    this.#isWaiting = false;
    this.#refusal = undefined;
    clearTimeout(this.#patienceTimer);
    this.#options.logger.debug({ server: formatAddress(this.address) }, 'connected');
    for (const call of this.#calls.all()) if (!call.sent) this.#transmit(call);
  }

  #onClosed(error: Error): void {
    this.#connection = undefined;
    this.#ready = false;
    this.#landing = undefined;
    clearInterval(this.#tickTimer);
    for (const call of this.#calls.all()) {
      call.sent = false;
      call.writing = false;
      call.landing = false;
      if (call.outcome !== undefined) this.#settle(call, call.outcome);
      else if (call.isOpening)
        this.#settle(call, { error: this.#closedError(error.message, error) });
    }
    this.#onLost(error);
  }

  /** An attempt has failed, or the connection is lost. */
  #onLost(error: Error): void {
    if (this.#closed) return;
    this.#lastError = error;
    this.#options.logger.debug(
      { server: formatAddress(this.address), err: error },
      'not connected',
    );
    this.#startWaiting();
    if (error instanceof HandshakeError && error.isPermanent) {
      this.#refusal = error;
      this.#failWaiting(error);
    }
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      this.#dial();
    }, this.#backoffMs());
  }

  #backoffMs(): number {
    if (this.#attempts === 0) return 0;
    const { firstBackoffMs, lastBackoffMs } = this.#times;
    const fullMs = Math.min(lastBackoffMs, firstBackoffMs * 2 ** (this.#attempts - 1));
    return fullMs * (0.5 + Math.random() / 2);
  }

  #startWaiting(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#patienceIsOver = false;
    clearTimeout(this.#patienceTimer);
    this.#patienceTimer = setTimeout(() => {
      this.#patienceIsOver = true;
      this.#failWaiting(this.#awayError());
    }, this.#patienceMs);
    this.#patienceTimer.unref();
  }

  #failWaiting(error: Error): void {
    for (const call of this.#calls.all()) if (!call.isOpening) this.#settle(call, { error });
  }

  #tick(connection: Connection): void {
    const nowMs = performance.now();
    const stalled = nowMs - this.#lastTickMs > 2 * this.#times.pingMs;
    this.#lastTickMs = nowMs;
    if (stalled) return; // This process slept; what has come meanwhile is still to be read.
    if (connection.queuedBytes > 0) connection.noteProgress(nowMs);
    const silentMs = nowMs - connection.lastHeardMs;
    if (silentMs >= this.#times.silenceMs) {
      connection.destroy(this.#closedError(`nothing heard for ${Math.round(silentMs)} ms`));
    } else if (silentMs >= this.#times.pingMs) {
      connection.send(PING_FRAME);
    }
  }

  /** Ends the connection; calls that have not settled reject. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#patienceTimer);
    this.#dialling?.cancel();
    const error = this.#closedError('the connection was closed here');
    this.#connection?.destroy(error);
    this.#failWaiting(error);
    this.#calls.close();
    return Promise.resolve();
  }
}
