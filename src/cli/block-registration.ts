/**
 * A block server's membership: registers at metadata server 0 whenever it has connected there, tells it every two
 * seconds how it is, and learns whether it is to end. It goes on serving what it has while that server is away.
 */
import type { Logger } from '../log.ts';
import { type Address, type Call, formatAddress } from '../net/call.ts';
import { HandshakeError } from '../net/errors.ts';
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import { ClusterError } from '../meta/cluster-errors.ts';
import {
  clusterFailure,
  HEARTBEAT,
  LEAVE_BLOCKS,
  REGISTER_BLOCKS,
  type RegisterAnswer,
} from '../meta/cluster-protocol.ts';
import type { Registration } from '../meta/members.ts';
import { type BlockReport, HEARTBEAT_MS } from '../meta/presence.ts';

export interface BlockRegistrationOptions {
  /** Metadata server 0. */
  readonly metaServer: Address;
  readonly secret: Buffer | undefined;
  readonly registration: Registration;
  readonly report: () => Promise<BlockReport>;
  /** This life has its place; called again after each new connection, with the same answer. */
  readonly onRegistered: (answer: RegisterAnswer) => Promise<void>;
  /** This life has lost its place to another: it must end. */
  readonly onReplaced: (error: Error) => void;
  /** All servers of the file system are being stopped. */
  readonly onStop: () => void;
  readonly logger: Logger;
  /** For the person who started it. */
  readonly tell: (line: string) => void;
}

/** After so long without an answer it says for whom it waits, and again each time. */
const FIRST_SAY_MS = 1000;
const SAY_EVERY_MS = 30_000;
/** A registration may have to wait until all metadata servers have learnt of it. */
const REGISTER_DEADLINE_MS = 20_000;
const LEAVE_DEADLINE_MS = 1000;
const CALL_DEADLINE_MS = 4000;
const RETRY_MS = 200;

export class BlockRegistration {
  readonly #options: BlockRegistrationOptions;
  readonly #peer: Peer;
  #answer: RegisterAnswer | undefined;
  /** Why it was refused before the first registration. */
  #refusal: ClusterError | undefined;
  /** Aborted by a refusal that waiting does not change. */
  readonly #hopeless = new AbortController();
  #heartbeat: NodeJS.Timeout | undefined;
  #lastSaidMs = -Infinity;
  #closed = false;

  constructor(options: BlockRegistrationOptions) {
    this.#options = options;
    this.#peer = new Peer({
      address: options.metaServer,
      hello: { role: 'meta', clientId: randomId(), clusterId: null },
      secret: options.secret,
      reading: 'small',
      onConnect: (call) => this.#register(call),
      failures: [clusterFailure],
      logger: options.logger,
    });
  }

  /**
   * Resolves when this life has its place, however long that takes. Rejects where waiting does not help: with
   * ClusterError or HandshakeError.
   */
  async start(): Promise<RegisterAnswer> {
    const { tell, metaServer } = this.#options;
    const where = formatAddress(metaServer);
    const say = (): void => {
      tell(`waiting for metadata server 0 at ${where}${this.#reason()}`);
    };
    const first = setTimeout(say, FIRST_SAY_MS);
    const again = setInterval(say, SAY_EVERY_MS);
    try {
      while (this.#answer === undefined) await this.#attempt();
    } finally {
      clearTimeout(first);
      clearInterval(again);
    }
    this.#heartbeat = setInterval(() => void this.#beat(), HEARTBEAT_MS);
    void this.#beat();
    return this.#answer;
  }

  #reason(): string {
    const error = this.#refusal ?? this.#peer.lastError;
    return error === undefined ? '' : ` (${error.message})`;
  }

  async #attempt(): Promise<void> {
    const { signal } = this.#hopeless;
    try {
      await this.#peer.ready({ deadlineMs: RETRY_MS * 5, signal });
    } catch (error) {
      if (this.#closed || signal.aborted) throw error;
      if (error instanceof HandshakeError && error.isPermanent) throw error;
    }
    if (this.#answer === undefined) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }

  /** Runs at each new connection, before anything else goes over it. */
  async #register(call: Call): Promise<void> {
    const { registration, onRegistered, onReplaced } = this.#options;
    const clusterId = this.#answer?.clusterId ?? null;
    const request = { ...registration, clusterId };
    try {
      const { value } = await call(REGISTER_BLOCKS, request, { deadlineMs: REGISTER_DEADLINE_MS });
      await onRegistered(value);
      this.#answer = value;
    } catch (error) {
      if (error instanceof ClusterError) {
        if (this.#answer === undefined) this.#refused(error);
        else if (error.reason === 'replaced') onReplaced(error);
        else this.#complain(error);
      }
      throw error;
    }
  }

  #refused(error: ClusterError): void {
    this.#refusal = error;
    if (error.reason !== 'stopping') this.#hopeless.abort(error);
  }

  /** It has data, which ending would lose: a person has to decide. */
  #complain(error: Error): void {
    const nowMs = performance.now();
    if (nowMs - this.#lastSaidMs < SAY_EVERY_MS) return;
    this.#lastSaidMs = nowMs;
    this.#options.logger.error({ err: error }, 'metadata server 0 refuses this block server');
  }

  async #beat(): Promise<void> {
    const { report, registration, onStop, logger } = this.#options;
    const { index, incarnation } = registration;
    try {
      const request = { index, incarnation, report: await report() };
      const { value } = await this.#peer.call(HEARTBEAT, request, { deadlineMs: CALL_DEADLINE_MS });
      if (value.stopping) onStop();
      else if (!value.known) await this.#register((...call) => this.#peer.call(...call));
    } catch (error) {
      if (!this.#closed) logger.debug({ err: error }, 'no answer to a heartbeat');
    }
  }

  /** Gives the place up, if metadata server 0 can be told. Bounded; never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    const { index, incarnation } = this.#options.registration;
    try {
      if (this.#peer.state === 'ready') {
        await this.#peer.call(
          LEAVE_BLOCKS,
          { index, incarnation },
          { deadlineMs: LEAVE_DEADLINE_MS },
        );
      }
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'could not say that this server ends');
    }
    await this.#peer.close();
  }
}
