/** Connects to a server and goes through the handshake; from then on somebody else owns the connection. */
import { formatAddress, type Address, type Reading } from './call.ts';
import { Connection, openTo, type ConnectionOwner } from './connection.ts';
import { ConnectionClosedError, HandshakeError, ProtocolError } from './errors.ts';
import { FrameKind, VersionError, type ReceivedHeader } from './frame.ts';
import {
  ClientHandshake,
  HANDSHAKE_LIMITS,
  versionMismatch,
  type Hello,
  type Welcome,
} from './handshake.ts';

export interface DialOptions {
  readonly address: Address;
  readonly hello: Hello;
  readonly secret: Buffer | undefined;
  readonly reading: Reading;
  /** For connecting and handshake together. */
  readonly timeoutMs: number;
}

/** Exactly one of the two is called, once, unless {@link Dialling.cancel} was. */
export interface DialOutcome {
  /** The receiver transfers the connection to its new owner before it returns. */
  onReady(connection: Connection, welcome: Welcome): void;
  onFailed(error: Error): void;
}

/** An attempt that is under way. */
export interface Dialling {
  cancel(): void;
}

class Dialler implements ConnectionOwner, Dialling {
  readonly #options: DialOptions;
  readonly #outcome: DialOutcome;
  readonly #handshake: ClientHandshake;
  readonly #connection: Connection;
  readonly #timer: NodeJS.Timeout;
  #done = false;

  constructor(options: DialOptions, outcome: DialOutcome) {
    this.#options = options;
    this.#outcome = outcome;
    this.#handshake = new ClientHandshake(options);
    this.#connection = new Connection(openTo(options.address), {
      owner: this,
      reading: options.reading,
      limits: HANDSHAKE_LIMITS,
    });
    this.#connection.send(this.#handshake.first);
    this.#timer = setTimeout(() => {
      this.#connection.destroy(
        new ConnectionClosedError(`no answer within ${options.timeoutMs} ms`),
      );
    }, options.timeoutMs);
  }

  onFrame(header: ReceivedHeader, args: Buffer): undefined {
    if (header.kind !== FrameKind.HANDSHAKE) throw new ProtocolError('a handshake was expected');
    const step = this.#handshake.receive(header.operation, args);
    if (step.send !== undefined) this.#connection.send(step.send);
    if (step.welcome === undefined) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#outcome.onReady(this.#connection, step.welcome);
  }

  onPayload(): void {
    // The limits of the handshake allow none.
  }

  onClosed(error: Error): void {
    clearTimeout(this.#timer);
    if (this.#done) return;
    this.#done = true;
    this.#outcome.onFailed(this.#explain(error));
  }

  #explain(error: Error): Error {
    const where = formatAddress(this.#options.address);
    if (error instanceof HandshakeError) {
      return new HandshakeError(error.kind, `${where}: ${error.message}`);
    }
    if (error instanceof VersionError) {
      return new HandshakeError('version', `${where}: ${versionMismatch(error.version).message}`);
    }
    if (error instanceof ProtocolError) {
      return new HandshakeError(
        'malformed',
        `${where} does not answer as a server of imssfs (${error.message}); check address and port`,
        { cause: error },
      );
    }
    return new ConnectionClosedError(`cannot connect to ${where}: ${error.message}`, {
      cause: error,
    });
  }

  cancel(): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#connection.destroy(new ConnectionClosedError('given up'));
  }
}

/** Begins an attempt; its outcome is told later, never in this turn. */
export function dial(options: DialOptions, outcome: DialOutcome): Dialling {
  return new Dialler(options, outcome);
}
