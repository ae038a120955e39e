/**
 * What metadata server 0 decides for the whole file system: who serves blocks at which place, who has mounted it, when
 * all servers end. Its decisions are in the database before anybody is told of them.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { formatAddress } from '../net/call.ts';
import type { ClientConnection } from '../net/handler.ts';
import type { ClusterDatabase } from './cluster-database.ts';
import { ClusterError } from './cluster-errors.ts';
import type {
  AttachAnswer,
  AttachRequest,
  BlockStatus,
  HeartbeatAnswer,
  HeartbeatRequest,
  LeaveRequest,
  RegisterAnswer,
  RegisterRequest,
  StopAnswer,
  WatchAnswer,
  WatchRequest,
} from './cluster-protocol.ts';
import type { MapBoard } from './map-board.ts';
import { MapLeases } from './map-leases.ts';
import { declareBlocks, readCluster, registerLife, settleLayout } from './members.ts';
import { Presence } from './presence.ts';
import { type BlockLife, FIRST_EPOCH, type ServerMap } from './server-map.ts';

export interface FirstServerOptions {
  readonly database: ClusterDatabase;
  readonly board: MapBoard;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether that very life of a block server answers where it said that it listens. Bounded; never rejects. */
  readonly answers: (life: BlockLife) => Promise<boolean>;
  /** Somebody has asked all servers to end, and the others have: it is this one's turn. */
  readonly onStop: () => void;
}

/** How long server 0 waits for the others to end before it does. */
const STOP_WAIT_MS = 10_000;
const STOP_CHECK_MS = 50;

export class FirstServer {
  readonly #options: FirstServerOptions;
  readonly #presence: Presence;
  readonly #leases: MapLeases;
  /** Mounts by connection. */
  readonly #mounts = new Map<ClientConnection, string>();
  /** Connections over which other metadata servers watch the map. */
  readonly #followers = new Set<ClientConnection>();
  /** The latest registration; they are decided one after the other. */
  #registering: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(options: FirstServerOptions) {
    this.#options = options;
    this.#presence = new Presence(options.clock);
    this.#leases = new MapLeases(options.clock);
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  get #map(): ServerMap {
    return this.#options.board.map;
  }

  mounts(): string[] {
    return [...this.#mounts.values()];
  }

  attach(request: AttachRequest, client: ClientConnection): AttachAnswer {
    this.#refuseWhileStopping();
    const { database, board } = this.#options;
    const { list } = request;
    this.#requireBlockSize(request, this.#presentLayout(request));
    if (list !== undefined) {
      board.publish(database.transact((kv) => declareBlocks(kv, list)));
    }
    const layout = this.#settleLayout(request);
    const isKnown = this.#mounts.has(client);
    this.#mounts.set(client, request.name);
    if (!isKnown) client.onClose(() => this.#mounts.delete(client));
    return { layout, map: this.#map };
  }

  /** The layout of the file system: what its first mount asked for. */
  #presentLayout({ layout: wanted }: AttachRequest): AttachAnswer['layout'] {
    const { database } = this.#options;
    // A database that has served before, though no cluster, keeps the layout that its files were made with.
    return database.read(readCluster).layout ?? (this.#isNew() ? wanted : database.rootLayout());
  }

  #isNew(): boolean {
    return this.#options.database.statistics().inodes <= 1;
  }

  #requireBlockSize(request: AttachRequest, layout: AttachAnswer['layout']): void {
    const { layout: wanted, blockSizeIsExplicit } = request;
    if (!blockSizeIsExplicit || layout.blockSizeBytes === wanted.blockSizeBytes) return;
    throw new ClusterError(
      'other-block-size',
      `this file system has blocks of ${layout.blockSizeBytes} bytes, not ${wanted.blockSizeBytes}: ` +
        `give -b ${layout.blockSizeBytes}, or leave -b out`,
    );
  }

  #settleLayout(request: AttachRequest): AttachAnswer['layout'] {
    const { database } = this.#options;
    const layout = this.#presentLayout(request);
    if (database.read(readCluster).layout === undefined) {
      if (this.#isNew()) database.setRootLayout(layout);
      database.transact((kv) => settleLayout(kv, layout));
    }
    return layout;
  }

  async watch(request: WatchRequest, client: ClientConnection): Promise<WatchAnswer> {
    const { number } = request;
    const { board } = this.#options;
    if (number !== undefined) {
      this.#leases.asked(number, request.version);
      this.#follows(client);
    }
    const map = this.#stopping ? board.map : await board.changedFrom(request.version);
    if (number !== undefined) this.#leases.answered(number);
    return { map, stopping: this.#stopping };
  }

  /** The same connection asks every two seconds, and is listened to once. */
  #follows(client: ClientConnection): void {
    if (this.#followers.has(client)) return;
    this.#followers.add(client);
    client.onClose(() => this.#followers.delete(client));
  }

  async register(request: RegisterRequest, client: ClientConnection): Promise<RegisterAnswer> {
    this.#refuseWhileStopping();
    const decided = this.#registering.then(() => this.#decide(request, client));
    this.#registering = decided.catch(() => undefined);
    return decided;
  }

  async #decide(request: RegisterRequest, client: ClientConnection): Promise<RegisterAnswer> {
    const { database, board, logger } = this.#options;
    const { clusterId } = database;
    if (request.clusterId !== null && request.clusterId !== clusterId) {
      throw new ClusterError(
        'other-cluster',
        `the metadata server is of file system ${clusterId}, block server ${request.index} of ${request.clusterId}: ` +
          'start the block server anew, or the metadata server with the metadata file (-M) that it had',
      );
    }
    board.publish(database.transact((kv) => declareBlocks(kv, request.list)));
    await this.#requireFree(request);
    const { map, bornEpoch, raised } = database.transact((kv) => registerLife(kv, request));
    database.setEpoch(map.epoch);
    board.publish(map);
    // Also when it is repeated: the server may have ended in the middle of the first time.
    if (bornEpoch > FIRST_EPOCH) await this.#leases.settled(map.version, this.#otherNumbers());
    this.#presence.arrived(request.index, request.incarnation);
    client.onClose(() => {
      this.#presence.disconnected(request.index, request.incarnation);
    });
    const { index, host, ports, incarnation } = request;
    logger.info(
      { index, host, ports, incarnation, epoch: map.epoch, raised },
      'block server registered',
    );
    return { clusterId, epoch: map.epoch, bornEpoch };
  }

  /** One that lives keeps its place. */
  async #requireFree(request: RegisterRequest): Promise<void> {
    const { index, incarnation } = request;
    const life = this.#map.blocks[index]?.life;
    if (life === undefined || life.incarnation === incarnation) return;
    const where = formatAddress({ host: life.host, port: life.ports[0] ?? 0 });
    if (request.clusterId !== null) {
      throw new ClusterError(
        'replaced',
        `block server ${index} was taken for dead, and one at ${where} has its place: end this one`,
      );
    }
    const isUp = this.#presence.stateOf(index, life.incarnation) === 'up';
    if (isUp || (await this.#options.answers(life))) {
      throw new ClusterError(
        'taken',
        `block server ${index} runs already, at ${where}: stop it first, or give this one another place in the hostfile by --node`,
      );
    }
  }

  #otherNumbers(): number[] {
    const servers = this.#options.database.read(readCluster).metaServers ?? [];
    return servers.map((_address, number) => number).slice(1);
  }

  heartbeat({ index, incarnation, report }: HeartbeatRequest): HeartbeatAnswer {
    const known = this.#presence.heard(index, incarnation, report);
    return { known, stopping: this.#stopping };
  }

  leave({ index, incarnation }: LeaveRequest): void {
    this.#presence.ended(index, incarnation);
    this.#options.logger.info({ index, incarnation }, 'block server ended');
  }

  blockStatus(): BlockStatus[] {
    return this.#map.blocks.map(({ declared, life }, index) => ({
      index,
      declared,
      state: this.#presence.stateOf(index, life?.incarnation),
      quietMs: life && this.#presence.quietMs(index, life.incarnation),
      life,
      report: life && this.#presence.reportOf(index, life.incarnation),
    }));
  }

  /** Asks all servers to end; the answer comes before they do. */
  stop(force: boolean, client: ClientConnection): StopAnswer {
    const others = [...this.#mounts].filter(([connection]) => connection !== client);
    if (others.length > 0 && !force) {
      const names = others.map(([, name]) => name).join(', ');
      throw new ClusterError(
        'in-use',
        `the file system is mounted (${names}): unmount it there first, or stop the servers with --force`,
      );
    }
    const servers = this.blockStatus().filter(({ state }) => state === 'up');
    if (!this.#stopping) {
      this.#stopping = true;
      this.#options.logger.info({ force }, 'asked to stop all servers');
      this.#options.board.wakeAll();
      void this.#stopWhenAlone();
    }
    const metaServers = this.#options.database.read(readCluster).metaServers ?? [];
    return { servers: [...servers.map(({ declared }) => declared), ...metaServers] };
  }

  async #stopWhenAlone(): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + STOP_WAIT_MS;
    while (this.#hasServers() && clock.monotonicMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, STOP_CHECK_MS));
    }
    this.#options.onStop();
  }

  #hasServers(): boolean {
    return this.#followers.size > 0 || this.blockStatus().some(({ state }) => state === 'up');
  }

  #refuseWhileStopping(): void {
    if (!this.#stopping) return;
    throw new ClusterError(
      'stopping',
      'the servers of this file system are being stopped: start them again, then repeat this',
    );
  }
}
