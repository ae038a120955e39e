/**
 * A metadata server: one database, the metadata operations and the cluster operations on one port. While it has no
 * number it has no database either, and holds the requests that need one.
 */
import { type Clock, SystemClock } from '../clock.ts';
import { DEFAULTS } from '../config.ts';
import { FileType } from '../stat.ts';
import { invariant } from '../invariant.ts';
import { type Address, formatAddress, type PeerOptions } from '../net/call.ts';
import type { AnyHandlerRow } from '../net/handler.ts';
import { HandshakeError } from '../net/errors.ts';
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import { RpcServer } from '../net/server.ts';
import type { ClusterDatabase } from '../meta/cluster-database.ts';
import { ADOPT, clusterFailure } from '../meta/cluster-protocol.ts';
import {
  type Appointment,
  ClusterService,
  type ClusterServiceOptions,
} from '../meta/cluster-service.ts';
import type { MetaCore } from '../meta/core.ts';
import { DistributedCore } from '../meta/distributed/distributed-core.ts';
import { TransactionOperation } from '../meta/distributed/protocol.ts';
import { RemoteParticipant } from '../meta/distributed/remote-participant.ts';
import { LocalMetaStore } from '../meta/local.ts';
import type { WaitsOf } from '../meta/lock-deadlocks.ts';
import { LOCK_WAITS, LockOperation } from '../meta/lock-protocol.ts';
import { MapFollower } from '../meta/map-follower.ts';
import { META_FAILURES, MetaOperation } from '../meta/protocol.ts';
import { MetaService } from '../meta/server.ts';
import { ServedLocks } from '../meta/served-locks.ts';
import { type BlockLife, parseAddress } from '../meta/server-map.ts';
import { Sessions } from '../meta/sessions.ts';
import type { Layout } from '../meta/store.ts';
import type { MetaServerConfig, RunningServer, ServerEnd, StartServer } from './cluster-config.ts';
import { ClusterReaper } from './cluster-reaper.ts';
import { FailureError } from './errors.ts';
import { heldRows } from './held-rows.ts';
import type { RootLogger } from './logging.ts';
import { appointmentOf, databaseOf } from './meta-database.ts';
import { secretOf } from './secret-options.ts';

const ROOT_PERMISSIONS = 0o755;

/** Layout of a root until the first mount says what it is to be. */
const FIRST_LAYOUT: Layout = {
  policy: DEFAULTS.policy,
  blockSizeBytes: 1024 * 1024,
  replication: 1,
};

/** How long another block server's life may take to answer before it counts as ended. */
const ANSWER_MS = 2000;

/** How long a transaction over several servers waits for one that is away, before it tries again. */
const NEIGHBOUR_PATIENCE_MS = 1500;

/** How long another server may take to say who waits there for locks; a deadlock that it knows of is found later, or not. */
const LOCK_WAITS_MS = 2000;

/** How often a server that waits for number 0 says so. */
const SAY_EVERY_MS = 30_000;

export interface MetaServerOptions {
  readonly listen: Address;
  /** Undefined if it is to be told. */
  readonly index: number | undefined;
  readonly metaServers: readonly string[] | undefined;
  readonly metadataFile: string | undefined;
  readonly secret: Buffer | undefined;
  readonly logger: RootLogger;
}

/** What serves a database once it is open. */
interface Served {
  readonly sessions: Sessions;
  /** Undefined for the only metadata server. */
  readonly shared: DistributedCore | undefined;
  readonly rows: ReadonlyMap<number, AnyHandlerRow>;
}

/** See the file's header. A mount in the same process uses {@link MetaServer.sessions} instead of the port. */
export class MetaServer {
  readonly #options: MetaServerOptions;
  readonly #clock: Clock = new SystemClock();
  readonly #incarnation = randomId();
  readonly #rpc: RpcServer;
  readonly #service: ClusterService;
  readonly #reaper: ClusterReaper;
  /** Connections of its own to metadata server 0. */
  readonly #peers = new Set<Peer>();
  #store: LocalMetaStore | undefined;
  #served: Served | undefined;
  #address: Address;
  /** It knows its number, and is opening its database. */
  #beginning = false;
  #stopping: Promise<void> | undefined;
  #tellEnd: (end: ServerEnd) => void = () => undefined;
  readonly ended: Promise<ServerEnd>;

  private constructor(options: MetaServerOptions) {
    this.#options = options;
    this.#address = options.listen;
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
    const { logger, secret } = options;
    this.#reaper = new ClusterReaper({
      servers: () => this.#servers(),
      secret,
      logger: logger.component('blocks'),
    });
    this.#service = new ClusterService(this.#serviceOptions());
    const held = heldRows({
      operations: [
        ...Object.values(MetaOperation),
        ...Object.values(TransactionOperation),
        ...Object.values(LockOperation),
        LOCK_WAITS,
      ],
      table: () => this.#served?.rows ?? new Map(),
      whenReady: ({ mutates }) => this.#service.whenReady(mutates),
    });
    this.#rpc = new RpcServer({
      operations: [...this.#service.operations, ...held],
      welcome: () => ({
        role: 'meta',
        clusterId: this.#service.identity?.clusterId ?? null,
        serverNumber: this.#service.identity?.number ?? null,
        incarnation: this.#incarnation,
        shards: [],
      }),
      admit: () => {
        if (this.#beginning) throw new HandshakeError('not-ready', 'the metadata is being opened');
      },
      secret,
      reading: 'small',
      logger: logger.component('net'),
      failures: [clusterFailure, ...META_FAILURES],
    });
  }

  #serviceOptions(): ClusterServiceOptions {
    return {
      clock: this.#clock,
      logger: this.#options.logger.component('cluster'),
      open: (appointment) => this.#open(appointment),
      serve: (metaServers) => this.#serve(metaServers),
      answers: (life) => this.#answers(life),
      follow: (parts) => this.#follow(parts),
      load: () => {
        const { connections, requestsPerSecond } = this.#rpc.statistics;
        return { connections, requestsPerSecond };
      },
      onStop: () => {
        this.stop().catch((error: unknown) => {
          this.#tellEnd({ reason: 'failed', error });
        });
      },
    };
  }

  /** Resolves when it listens. Rejects with nothing left open. */
  static async start(options: MetaServerOptions): Promise<MetaServer> {
    const known = await appointmentOf(options);
    const server = new MetaServer(options);
    try {
      server.#beginning = known !== undefined;
      server.#address = await server.#rpc.listen(options.listen);
      if (known !== undefined) await server.#service.begin(known, options.metaServers);
      server.#beginning = false;
    } catch (error) {
      await server.#close();
      throw error;
    }
    if (known === undefined && options.index !== undefined) void server.#askNumberZero();
    return server;
  }

  get address(): Address {
    return this.#address;
  }

  /** Undefined until it knows its number. */
  get identity(): { clusterId: string; number: number } | undefined {
    return this.#service.identity;
  }

  /** Undefined until it knows all metadata servers. */
  get sessions(): Sessions | undefined {
    return this.#served?.sessions;
  }

  #servers(): ReturnType<ConstructorParameters<typeof ClusterReaper>[0]['servers']> {
    const { identity, board } = this.#service;
    if (identity === undefined || board === undefined) return undefined;
    return { clusterId: identity.clusterId, map: board.map };
  }

  async #open({ number, clusterId }: Appointment): Promise<ClusterDatabase> {
    const { metadataFile, logger } = this.#options;
    const store = await LocalMetaStore.open({
      ...(metadataFile !== undefined && { path: metadataFile }),
      ...(clusterId !== null && { clusterId: Buffer.from(clusterId, 'hex') }),
      clock: this.#clock,
      reaper: this.#reaper,
      defaults: FIRST_LAYOUT,
      owner: {
        uid: process.getuid?.() ?? 0,
        gid: process.getgid?.() ?? 0,
        mode: FileType.DIRECTORY | ROOT_PERMISSIONS,
      },
      logger: logger.component('meta'),
      server: number,
      blocksOutliveUs: true,
    });
    this.#store = store;
    return databaseOf(store);
  }

  async #serve(metaServers: readonly string[]): Promise<void> {
    const store = this.#store;
    invariant(store !== undefined, 'what is served has been opened');
    const logger = this.#options.logger.component('sessions');
    const peer = this.#neighbours(databaseOf(store).clusterId, metaServers);
    const count = metaServers.length;
    const shared = count > 1 ? this.#share(store, count, peer) : undefined;
    const core: MetaCore = shared ?? store.core;
    const others = metaServers.map((_, number) => number).filter((n) => n !== core.server);
    const locks = new ServedLocks({ others: others.map((number) => lockWaitsAt(peer, number)) });
    const sessions = await Sessions.load({ core, clock: this.#clock, logger, locks });
    const { operations } = new MetaService({ core, sessions });
    const rows = [...operations, ...(shared?.operations ?? [])];
    this.#served = {
      sessions,
      shared,
      rows: new Map(rows.map((entry) => [entry.operation.code, entry])),
    };
    sessions.start();
  }

  /** The part of a namespace that several servers share. */
  #share(store: LocalMetaStore, servers: number, peer: (server: number) => Peer): DistributedCore {
    const participants = new Map<number, RemoteParticipant>();
    return new DistributedCore({
      parts: store.parts,
      servers,
      neighbour: (number) => {
        let participant = participants.get(number);
        if (participant === undefined) {
          participant = new RemoteParticipant(peer(number));
          participants.set(number, participant);
        }
        return participant;
      },
      logger: this.#options.logger.component('transactions'),
    });
  }

  /** The other metadata servers, each connected to when it is first asked for. */
  #neighbours(clusterId: string, metaServers: readonly string[]): (server: number) => Peer {
    const peers = new Map<number, Peer>();
    return (server) => {
      let peer = peers.get(server);
      if (peer === undefined) {
        peer = this.#peerOf(metaServers[server] ?? '', clusterId, {
          failures: META_FAILURES,
          patienceMs: NEIGHBOUR_PATIENCE_MS,
        });
        peers.set(server, peer);
      }
      return peer;
    };
  }

  async #answers(life: BlockLife): Promise<boolean> {
    const peer = new Peer({
      address: { host: life.host, port: life.ports[0] ?? 0 },
      hello: { role: 'blocks', clientId: randomId(), clusterId: null },
      secret: this.#options.secret,
      reading: 'small',
      patienceMs: ANSWER_MS,
      logger: this.#options.logger.component('net'),
    });
    try {
      const { incarnation } = await peer.ready({ deadlineMs: ANSWER_MS });
      return incarnation === life.incarnation;
    } catch {
      return false;
    } finally {
      await peer.close();
    }
  }

  #follow(parts: Parameters<ClusterServiceOptions['follow']>[0]): MapFollower {
    const { number, clusterId, metaServers, version, onAnswer } = parts;
    const logger = this.#options.logger.component('cluster');
    const peer = this.#peerOf(metaServers[0] ?? '', clusterId, {
      onConnect: async (call) => {
        await call(ADOPT, { clusterId, number: 0, metaServers });
      },
    });
    return new MapFollower({
      call: (...request) => peer.call(...request),
      number,
      version,
      onAnswer,
      clock: this.#clock,
      logger,
    });
  }

  /** A connection of this server to another, closed with it. */
  #peerOf(
    server: string,
    clusterId: string | null,
    options: Partial<Pick<PeerOptions, 'onConnect' | 'failures' | 'patienceMs'>> = {},
  ): Peer {
    const address = parseAddress(server);
    if (address === undefined) throw new FailureError('the list of metadata servers is damaged');
    const peer = new Peer({
      address,
      hello: { role: 'meta', clientId: randomId(), clusterId },
      secret: this.#options.secret,
      reading: 'small',
      failures: [clusterFailure],
      logger: this.#options.logger.component('net'),
      ...options,
    });
    this.#peers.add(peer);
    return peer;
  }

  /** Number 0 says of which file system this one is, whose number the hostfile tells. */
  async #askNumberZero(): Promise<void> {
    const { index, metaServers, logger } = this.#options;
    if (index === undefined || metaServers === undefined) return;
    const peer = this.#peerOf(metaServers[0] ?? '', null);
    let saidMs = -Infinity;
    while (this.#stopping === undefined && this.#service.identity === undefined) {
      try {
        const { value } = await peer.call(ADOPT, { clusterId: null, number: 0, metaServers });
        await this.#service.adopt({ clusterId: value.clusterId, number: index, metaServers });
      } catch (error) {
        const nowMs = this.#clock.monotonicMs();
        if (nowMs - saidMs >= SAY_EVERY_MS && !this.#isStopping()) {
          saidMs = nowMs;
          logger.warn({ err: error }, `waiting for metadata server 0 at ${metaServers[0] ?? ''}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
    this.#peers.delete(peer);
    await peer.close();
  }

  #isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  describe(): string[] {
    const { identity } = this.#service;
    const where = formatAddress(this.#address);
    const number = identity?.number ?? this.#options.index;
    const lines =
      number === undefined
        ? [`metadata server at ${where}, whose number the first mount or block server tells`]
        : [`metadata server ${number} at ${where}`];
    const path = this.#store?.path;
    if (path !== undefined) lines.push(`metadata in ${path}`);
    return lines;
  }

  /** Finishes what is in flight, syncs the database. Bounded. */
  stop(): Promise<void> {
    this.#stopping ??= this.#close().then(() => {
      this.#tellEnd({ reason: 'stopped' });
    });
    return this.#stopping;
  }

  async #close(): Promise<void> {
    await this.#service.close();
    // Those who wait for locks would be waited for.
    this.#served?.sessions.close();
    await this.#rpc.close();
    await Promise.all([...this.#peers].map((peer) => peer.close()));
    this.#served?.shared?.close();
    await this.#reaper.close();
    await this.#store?.close();
  }
}

/** Asks another metadata server who waits there for whose locks. */
function lockWaitsAt(peer: (server: number) => Peer, server: number): WaitsOf {
  return async (owners) => {
    const { value } = await peer(server).call(LOCK_WAITS, [...owners], {
      deadlineMs: LOCK_WAITS_MS,
    });
    return value;
  };
}

/** Starts a metadata server as a process of its own. */
export const startMetaServer: StartServer<MetaServerConfig> = async (config, logger) => {
  const { listenHost, port, index, metaServers, metadataFile } = config;
  const server = await MetaServer.start({
    listen: { host: listenHost, port },
    index,
    metaServers: metaServers?.map(formatAddress),
    metadataFile,
    secret: await secretOf(config.secret),
    logger,
  });
  return server satisfies RunningServer;
};
