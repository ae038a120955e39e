/**
 * A file system of several nodes, as a mount or a command sees it: finds out which one it is, tells the metadata servers
 * who they are, joins, and follows the server map. It builds no stores: it returns what they are built from.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { type Address, type Call, formatAddress } from '../net/call.ts';
import { HandshakeError } from '../net/errors.ts';
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import { ClusterError } from './cluster-errors.ts';
import {
  ADOPT,
  ATTACH,
  type AttachAnswer,
  type AttachRequest,
  clusterFailure,
  STATUS,
} from './cluster-protocol.ts';
import { MapBoard } from './map-board.ts';
import { MapFollower } from './map-follower.ts';
import { awaitedMembers, EMPTY_MAP, type ServerMap } from './server-map.ts';
import type { Layout } from './store.ts';

export interface ClusterClientOptions {
  /** By number. */
  readonly metaServers: readonly Address[];
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  /** How the mount joins. Undefined for commands that only look: they join nothing and wait for no block servers. */
  readonly attach: AttachRequest | undefined;
  /** How long to wait for servers that are not there yet. */
  readonly waitMs: number;
  /** Called with a line for the person who waits, once it takes long, and again from time to time. */
  readonly tell: (line: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Servers that were waited for did not come. The message is one line: what is wrong; what to do. */
export class ClusterWaitError extends Error {
  override name = 'ClusterWaitError';
}

const FIRST_TELL_MS = 1000;
const TELL_EVERY_MS = 10_000;
const RETRY_MS = 100;
const ATTEMPT_MS = 1000;
/** A call that may have to wait for a database to be opened. */
const CALL_MS = 10_000;

export class ClusterClient {
  readonly #options: ClusterClientOptions;
  readonly #peers: readonly Peer[];
  readonly #board = new MapBoard(EMPTY_MAP);
  readonly #listeners = new Set<(map: ServerMap) => void>();
  readonly #follower: MapFollower;
  #clusterId: string | undefined;
  /** Metadata servers that have agreed to be who this client takes them for. */
  readonly #adopted = new Set<number>();
  #joined: AttachAnswer | undefined;
  #stopping = false;
  /** For whom it waits now. */
  #awaited = '';

  private constructor(options: ClusterClientOptions) {
    this.#options = options;
    const { metaServers, clock, logger } = options;
    this.#peers = metaServers.map((address, number) => this.#peerOf(address, number));
    this.#follower = new MapFollower({
      call: (...request) => this.#first.call(...request),
      number: undefined,
      version: () => this.#board.map.version,
      onAnswer: ({ map, stopping }) => {
        this.#stopping = stopping;
        this.#learn(map);
      },
      clock,
      logger,
    });
  }

  /**
   * Resolves when all servers of the file system are there, and this client has joined. Rejects with ClusterError or
   * HandshakeError where servers and client do not go together, with {@link ClusterWaitError} after `waitMs`; nothing
   * is left open then.
   */
  static async connect(options: ClusterClientOptions): Promise<ClusterClient> {
    const client = new ClusterClient(options);
    const { clock, waitMs, tell } = options;
    const dueMs = clock.monotonicMs() + waitMs;
    const say = (): void => {
      if (client.#awaited !== '') tell(`waiting for ${client.#awaited}`);
    };
    const first = setTimeout(say, FIRST_TELL_MS);
    const again = setInterval(say, TELL_EVERY_MS);
    try {
      await client.#join(dueMs);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    } finally {
      clearTimeout(first);
      clearInterval(again);
    }
  }

  get #first(): Peer {
    return this.#peers[0] as Peer;
  }

  get clusterId(): string {
    if (this.#clusterId === undefined) throw new TypeError('not connected yet');
    return this.#clusterId;
  }

  /** The layout of the root; undefined for a client that did not join. */
  get layout(): Layout | undefined {
    return this.#joined?.layout;
  }

  /** The newest map that is known. Its `blocks` say where block servers are. */
  get map(): ServerMap {
    return this.#board.map;
  }

  /** Resolves with the map as soon as its version is another than `version`, or after a while. */
  changedAfter(version: number): Promise<ServerMap> {
    return this.#board.changedFrom(version);
  }

  /** Somebody has asked all servers to end. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Calls `listener` with each newer map, until the client is closed. */
  onChange(listener: (map: ServerMap) => void): void {
    this.#listeners.add(listener);
  }

  #learn(map: ServerMap): void {
    if (map.version <= this.#board.map.version) return;
    this.#board.publish(map);
    for (const listener of this.#listeners) listener(map);
  }

  #peerOf(address: Address, number: number): Peer {
    const { secret, logger } = this.#options;
    return new Peer({
      address,
      hello: { role: 'meta', clientId: randomId(), clusterId: null },
      secret,
      reading: 'small',
      // A server that comes back has to be told again, and forgets its clients.
      onConnect: async (call) => {
        if (!this.#adopted.has(number)) return;
        await this.#adopt(call, number);
        if (number === 0 && this.#joined !== undefined) await this.#attach(call);
      },
      failures: [clusterFailure],
      logger,
    });
  }

  async #join(dueMs: number): Promise<void> {
    const { attach } = this.#options;
    // All of them first: a server must not be told a number that another one's contradicts.
    await Promise.all(this.#peers.map((_peer, number) => this.#waiting(dueMs, number)));
    await this.#checkWelcomes();
    await this.#waiting(dueMs, 0, (call) => this.#adopt(call, 0));
    const others = this.#peers.slice(1).map((_peer, index) => index + 1);
    await Promise.all(
      others.map((number) => this.#waiting(dueMs, number, (call) => this.#adopt(call, number))),
    );
    if (attach === undefined) return;
    await this.#waiting(dueMs, 0, (call) => this.#attach(call));
    this.#follower.start();
    await this.#allThere(dueMs);
  }

  /** What the servers said of themselves must fit together before any is told anything. */
  async #checkWelcomes(): Promise<void> {
    const welcomes = this.#peers.map(({ welcome }) => welcome);
    for (const [number, welcome] of welcomes.entries()) {
      const told = welcome?.serverNumber ?? number;
      if (told !== number) throw otherNumber(this.#nameOf(number), told);
    }
    const known = new Set(welcomes.flatMap((welcome) => welcome?.clusterId ?? []));
    if (known.size > 1) throw otherCluster([...known]);
    // Number 0 knows the file system before any other does; it may have come to know it since it welcomed us.
    if (known.size === 0 || welcomes[0]?.clusterId !== null) return;
    const { value: now } = await this.#first.call(STATUS, undefined, { deadlineMs: CALL_MS });
    if (now.clusterId === null) throw otherCluster([...known]);
  }

  #nameOf(number: number): string {
    const address = this.#options.metaServers[number];
    return `metadata server ${number} at ${address === undefined ? '?' : formatAddress(address)}`;
  }

  /** Repeats `attempt` until the server has answered it; without one, until it is connected. */
  async #waiting(
    dueMs: number,
    number: number,
    attempt?: (call: Call) => Promise<void>,
  ): Promise<void> {
    const { clock } = this.#options;
    const peer = this.#peers[number] as Peer;
    const what = this.#nameOf(number);
    this.#awaited = what;
    for (;;) {
      try {
        await peer.ready({ deadlineMs: ATTEMPT_MS });
        await attempt?.((...request) => peer.call(...request));
        this.#awaited = '';
        return;
      } catch (error) {
        if (isHopeless(error)) throw error;
        const reason = peer.lastError ?? error;
        const why = reason instanceof Error ? reason.message : String(reason);
        if (clock.monotonicMs() >= dueMs) {
          throw new ClusterWaitError(
            `${what} did not come in time (${why}): start it, correct -a, or wait longer with --wait`,
            { cause: error },
          );
        }
        this.#awaited = `${what} (${why})`;
      }
      await pause(RETRY_MS);
    }
  }

  async #adopt(call: Call, number: number): Promise<void> {
    const metaServers = this.#options.metaServers.map(formatAddress);
    // Number 0 says which file system it is; a former answer binds it.
    const clusterId = this.#clusterId ?? null;
    const { value } = await call(
      ADOPT,
      { clusterId, number, metaServers },
      { deadlineMs: CALL_MS },
    );
    this.#clusterId ??= value.clusterId;
    this.#adopted.add(number);
    if (number === 0) this.#learn(value.map);
  }

  async #attach(call: Call): Promise<void> {
    const { attach } = this.#options;
    if (attach === undefined) return;
    const { value } = await call(ATTACH, attach, { deadlineMs: CALL_MS });
    this.#joined = value;
    this.#learn(value.map);
  }

  /** Waits until a list has been declared and each of its servers has registered. */
  async #allThere(dueMs: number): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const { map } = this;
      const awaited = awaitedMembers(map);
      if (map.blocks.length > 0 && awaited.length === 0) return;
      this.#awaited = map.blocks.length === 0 ? 'any block server' : describe(awaited);
      const leftMs = dueMs - clock.monotonicMs();
      if (leftMs <= 0) {
        throw new ClusterWaitError(
          `${this.#awaited} did not come in time: start what is missing, correct the hostfile, or wait longer with --wait`,
        );
      }
      await this.#board.changedFrom(map.version, Math.min(leftMs, ATTEMPT_MS));
    }
  }

  /** Leaves: the mount is no client any more. */
  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#follower.close();
    await Promise.all(this.#peers.map((peer) => peer.close()));
  }
}

function otherNumber(name: string, told: number): ClusterError {
  return new ClusterError(
    'other-number',
    `${name} is number ${told} of its file system: name the metadata servers (-a) in the same order everywhere`,
  );
}

function otherCluster(clusterIds: readonly string[]): ClusterError {
  const what =
    clusterIds.length > 1
      ? `the metadata servers are of several file systems (${clusterIds.join(', ')})`
      : `metadata server 0 has lost the metadata of file system ${clusterIds[0] ?? ''}`;
  return new ClusterError(
    'other-cluster',
    `${what}: name the servers of one file system, each with the metadata file (-M) that it had`,
  );
}

const MAX_NAMED = 8;

function describe(servers: readonly string[]): string {
  const named = servers.slice(0, MAX_NAMED).join(', ');
  const more = servers.length > MAX_NAMED ? ` and ${servers.length - MAX_NAMED} more` : '';
  return `block server${servers.length === 1 ? '' : 's'} ${named}${more}`;
}

/** Waiting does not change what two sides are; a number may still be told, and servers that stop come back. */
function isHopeless(error: unknown): boolean {
  if (error instanceof HandshakeError) return error.isPermanent;
  return (
    error instanceof ClusterError && error.reason !== 'no-number' && error.reason !== 'stopping'
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
