/**
 * The server's side of one connection: handshake, then requests, started in the order in which they come; replies may
 * overtake each other. A client that reads nothing stops being read from, and harms no other.
 */
import type { Logger } from '../log.ts';
import { isPromiseLike, type MaybePromise } from '../task.ts';
import type { Reading } from './call.ts';
import { nullable, tuple, u53 } from './codec.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import { ConnectionClosedError, HandshakeError, ProtocolError } from './errors.ts';
import { encodeFailure } from './failure.ts';
import {
  FrameKind,
  MAX_ARGS_BYTES,
  MAX_PAYLOAD_BYTES,
  VersionError,
  type ReceivedHeader,
} from './frame.ts';
import type {
  AnyHandlerRow,
  ClientConnection,
  HandlerContext,
  Outcome,
  ReceiveTarget,
  ServerLimits,
} from './handler.ts';
import {
  HANDSHAKE_LIMITS,
  refusalFrame,
  ServerHandshake,
  versionMismatch,
  type Hello,
  type ServerHandshakeOptions,
} from './handshake.ts';
import { decodeArgs, encodeFrame } from './message.ts';
import type { CallTag, FailureCodec } from './operation.ts';

/** What all connections of a server share. */
export interface ServedClientHost {
  readonly rows: ReadonlyMap<number, AnyHandlerRow>;
  readonly handshake: ServerHandshakeOptions;
  readonly failures: readonly FailureCodec[];
  readonly limits: ServerLimits;
  readonly logger: Logger;
  /** A request has been understood. */
  countRequest(): void;
  /** Logs what a client did wrong, unless it has often done so lately. */
  complain(remoteAddress: string, what: string): void;
  onGone(client: ServedClient): void;
}

/** A request whose arguments have been read. */
interface Incoming {
  readonly header: ReceivedHeader;
  readonly row: AnyHandlerRow;
  readonly request: unknown;
  readonly tag: CallTag | undefined;
  readonly lease: ReceiveTarget | undefined;
  readonly payload: Buffer | undefined;
}

const envelopeTag = nullable(tuple(u53(), u53()));

function decodeTag(raw: unknown): CallTag | undefined {
  const found = envelopeTag.decode(raw);
  return found === null ? undefined : { sequence: found[0], acknowledgedBelow: found[1] };
}

type Phase = 'handshake' | 'ready' | 'leaving';

export class ServedClient implements ClientConnection, ConnectionOwner {
  readonly id: number;
  readonly remoteAddress: string;
  readonly #host: ServedClientHost;
  readonly #connection: Connection;
  readonly #handshake: ServerHandshake;
  readonly #sinceMs = performance.now();
  #phase: Phase = 'handshake';
  #leftMs: number | undefined;
  #hello: Hello | undefined;
  #running = 0;
  #landing: Incoming | undefined;
  #lastMovedMs = performance.now();
  #closeListeners: (() => void)[] = [];

  constructor(
    open: ConstructorParameters<typeof Connection>[0],
    host: ServedClientHost,
    options: { id: number; reading: Reading },
  ) {
    this.id = options.id;
    this.#host = host;
    this.#handshake = new ServerHandshake(host.handshake);
    this.#connection = new Connection(open, {
      owner: this,
      reading: options.reading,
      limits: HANDSHAKE_LIMITS,
    });
    this.remoteAddress = this.#connection.remoteAddress;
  }

  get hello(): Hello {
    if (this.#hello === undefined) throw new ProtocolError('the handshake is not over');
    return this.#hello;
  }

  get lastHeardMs(): number {
    return this.#connection.lastHeardMs;
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** The handshake is over. */
  get isAdmitted(): boolean {
    return this.#hello !== undefined;
  }

  onClose(listener: () => void): void {
    if (this.isOpen) this.#closeListeners.push(listener);
    else listener();
  }

  close(): void {
    this.#connection.destroy(new ConnectionClosedError('closed by the server'));
  }

  /** Answers what runs, takes nothing new, then ends the connection. */
  leave(): void {
    if (this.#phase === 'handshake') this.close();
    this.#phase = 'leaving';
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#phase !== 'leaving' || this.#running > 0 || this.#landing !== undefined) return;
    this.#end();
  }

  #end(): void {
    this.#leftMs = performance.now();
    this.#connection.end();
  }

  onFrame(header: ReceivedHeader, args: Buffer): Buffer | undefined {
    if (this.#phase === 'ready') return this.#onRequest(header, args);
    if (this.#phase === 'handshake') this.#onHandshake(header, args);
    return undefined;
  }

  #onHandshake(header: ReceivedHeader, args: Buffer): void {
    if (header.kind !== FrameKind.HANDSHAKE) throw new ProtocolError('a handshake was expected');
    let step;
    try {
      step = this.#handshake.receive(header.operation, args);
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      this.#refuse(error);
      return;
    }
    this.#connection.send(step.send);
    if (step.hello === undefined) return;
    this.#hello = step.hello;
    this.#phase = 'ready';
    this.#connection.transfer(this, { args: MAX_ARGS_BYTES, payload: MAX_PAYLOAD_BYTES });
  }

  #refuse(error: HandshakeError): void {
    if (error.isPermanent) {
      this.#host.complain(this.remoteAddress, `refused (${error.kind}): ${error.message}`);
    }
    this.#phase = 'leaving';
    this.#connection.send(refusalFrame(error));
    this.#end();
  }

  #onRequest(header: ReceivedHeader, args: Buffer): Buffer | undefined {
    if (header.kind !== FrameKind.REQUEST) throw new ProtocolError('a request was expected');
    this.#host.countRequest();
    let incoming: Incoming;
    try {
      incoming = this.#decode(header, args);
    } catch (error) {
      this.#fail(header, error);
      return undefined;
    }
    if (incoming.payload === undefined) {
      this.#run(incoming);
      return undefined;
    }
    this.#landing = incoming;
    return incoming.payload;
  }

  #decode(header: ReceivedHeader, args: Buffer): Incoming {
    const row = this.#host.rows.get(header.operation);
    if (row === undefined) throw new ProtocolError(`operation ${header.operation} is not served`);
    const raw = decodeArgs(args);
    if (!Array.isArray(raw) || raw.length !== 2) throw new ProtocolError('a tag and a request');
    const tag = decodeTag(raw[0]);
    if (row.operation.mutates && tag === undefined) {
      throw new ProtocolError(`${row.operation.name} needs a tag`);
    }
    const request: unknown = row.operation.request.decode(raw[1]);
    const length = header.payloadLength;
    if (length === 0) {
      return { header, row, request, tag, lease: undefined, payload: undefined };
    }
    const lease = row.receive?.(request as never, length);
    const room = lease?.bytes ?? Buffer.allocUnsafeSlow(length);
    if (room.length < length) {
      lease?.release();
      throw new ProtocolError(`${row.operation.name} takes at most ${room.length} bytes`);
    }
    const payload = room.length === length ? room : room.subarray(0, length);
    return { header, row, request, tag, lease, payload };
  }

  onPayload(): void {
    const incoming = this.#landing;
    if (incoming === undefined) return;
    this.#landing = undefined;
    this.#run(incoming);
    this.#endIfDone();
  }

  #run(incoming: Incoming): void {
    const { header, row } = incoming;
    const context: HandlerContext = {
      client: this,
      tag: incoming.tag,
      payload: incoming.payload,
      lease: incoming.lease,
    };
    let result: MaybePromise<Outcome<unknown>>;
    try {
      result = row.handle(incoming.request as never, context);
    } catch (error) {
      this.#fail(header, error);
      return;
    }
    if (!isPromiseLike(result)) {
      this.#reply(incoming, result);
      return;
    }
    this.#running++;
    this.#throttle();
    result.then(
      (outcome) => {
        this.#running--;
        this.#reply(incoming, outcome);
        this.#afterRun();
      },
      (error: unknown) => {
        this.#running--;
        this.#fail(header, error);
        this.#afterRun();
      },
    );
  }

  #afterRun(): void {
    this.#unthrottle();
    this.#endIfDone();
  }

  #reply(incoming: Incoming, outcome: Outcome<unknown>): void {
    if (!this.isOpen) return;
    const { header, row } = incoming;
    const { payload } = outcome;
    let length = 0;
    if (payload !== undefined) for (const slice of payload) length += slice.length;
    let frame: Buffer;
    try {
      const args: unknown = row.operation.reply.encode(outcome.value);
      frame = this.#replyFrame(header, 0, args, length);
    } catch (error) {
      this.#fail(header, error);
      return;
    }
    if (length === 0) {
      this.#connection.send(frame);
    } else {
      let unpin: (() => void) | undefined;
      const { pin } = outcome;
      const onHanded = pin === undefined ? undefined : (): void => unpin?.();
      const handed = this.#connection.send(frame, payload, onHanded);
      if (!handed) unpin = pin?.();
    }
    this.#throttle();
  }

  #replyFrame(header: ReceivedHeader, status: number, args: unknown, length = 0): Buffer {
    const { operation, requestId } = header;
    return encodeFrame({ kind: FrameKind.REPLY, operation, requestId, status }, args, length);
  }

  #fail(header: ReceivedHeader, error: unknown): void {
    const failure = encodeFailure(error, this.#host.failures);
    const name = this.#host.rows.get(header.operation)?.operation.name ?? header.operation;
    if (failure.unexpected === true) {
      this.#host.logger.error({ err: error, operation: name }, 'a request failed unexpectedly');
    } else if (error instanceof ProtocolError) {
      this.#host.complain(this.remoteAddress, `bad request (${name}): ${error.message}`);
    }
    this.#connection.send(this.#replyFrame(header, failure.status, failure.args));
    this.#throttle();
  }

  /** Reads no more while too much is queued or running. */
  #throttle(): void {
    const { limits } = this.#host;
    if (
      this.#connection.queuedBytes > limits.outputBytes ||
      this.#running >= limits.runningRequests
    ) {
      this.#connection.pause();
    }
  }

  #unthrottle(): void {
    if (!this.#connection.isPaused) return;
    const { limits } = this.#host;
    if (
      this.#connection.queuedBytes <= limits.outputBytes &&
      this.#running < limits.runningRequests
    ) {
      this.#connection.resume();
    }
  }

  onDrained(): void {
    this.#unthrottle();
  }

  /** Called about once a second: ends what takes too long. */
  checkTimes(nowMs: number): void {
    const { limits } = this.#host;
    if (this.#phase === 'handshake') {
      if (nowMs - this.#sinceMs >= limits.handshakeMs) {
        this.#connection.destroy(new ProtocolError('no handshake in time'));
      }
      return;
    }
    if (this.#leftMs !== undefined && nowMs - this.#leftMs >= limits.closeMs) this.close();
    const queued = this.#connection.queuedBytes > 0;
    if (this.#connection.noteProgress(nowMs) || !queued) this.#lastMovedMs = nowMs;
    if (nowMs - this.#lastMovedMs >= limits.drainMs) {
      this.#connection.destroy(new ProtocolError('it does not read its replies'));
    } else if (
      nowMs - this.lastHeardMs >= limits.silenceMs &&
      !queued &&
      !this.#connection.isPaused
    ) {
      this.#connection.destroy(new ConnectionClosedError('nothing heard of the client'));
    }
  }

  onClosed(error: Error): void {
    const landing = this.#landing;
    this.#landing = undefined;
    landing?.lease?.release();
    this.#report(error);
    this.#host.onGone(this);
    const listeners = this.#closeListeners;
    this.#closeListeners = [];
    for (const listener of listeners) listener();
  }

  #report(error: Error): void {
    if (error instanceof ProtocolError) {
      this.#host.complain(this.remoteAddress, `connection closed: ${error.message}`);
    } else if (this.#phase === 'ready' && this.#connection.isWithinFrame) {
      this.#host.complain(this.remoteAddress, `connection lost within a message: ${error.message}`);
    } else {
      this.#host.logger.debug({ remote: this.remoteAddress, err: error }, 'connection closed');
    }
  }

  /** A client of another version is told so, in the form that all versions understand. */
  onUnreadable(error: Error): boolean {
    if (!(error instanceof VersionError) || this.#phase !== 'handshake') return false;
    this.#refuse(versionMismatch(error.version));
    return true;
  }
}
