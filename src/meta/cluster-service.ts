/**
 * The cluster operations of one metadata server, whichever it is. It begins without a number unless it knows it, takes
 * the first that it is told, and contradicts whoever tells another; only then is its database opened.
 */
import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import {
  type AnyHandlerRow,
  type ClientConnection,
  type HandlerTable,
  row,
} from '../net/handler.ts';
import type { MaybePromise } from '../task.ts';
import type { ClusterDatabase } from './cluster-database.ts';
import { ClusterError } from './cluster-errors.ts';
import * as protocol from './cluster-protocol.ts';
import type { AdoptAnswer, AdoptRequest, MetaStatus, WatchAnswer } from './cluster-protocol.ts';
import { FirstServer } from './first-server.ts';
import { MapBoard } from './map-board.ts';
import type { MapFollower } from './map-follower.ts';
import { learnMap, readCluster, tellMetaServers } from './members.ts';
import { type BlockLife, EMPTY_MAP } from './server-map.ts';

/** Who a metadata server is told to be. */
export interface Appointment {
  readonly number: number;
  /** Null begins a new file system; for number 0 only. */
  readonly clusterId: string | null;
}

export interface ClusterServiceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Opens the database. Called once; again if it failed. */
  readonly open: (appointment: Appointment) => Promise<ClusterDatabase>;
  /** Begins to serve the namespace, of which each of these servers has a part. Called once; again if it failed. */
  readonly serve: (metaServers: readonly string[]) => Promise<void>;
  /** See FirstServerOptions. */
  readonly answers: (life: BlockLife) => Promise<boolean>;
  /** A follower of metadata server 0, whose answers go to `onAnswer`. */
  readonly follow: (parts: {
    number: number;
    clusterId: string;
    metaServers: readonly string[];
    version: () => number;
    onAnswer: (answer: WatchAnswer) => void;
  }) => MapFollower;
  /** How busy the server is. */
  readonly load: () => { connections: number; requestsPerSecond: number };
  /** This server is to end: somebody has asked for it. */
  readonly onStop: () => void;
}

/** What is there once the server knows which one it is. */
interface Member {
  readonly database: ClusterDatabase;
  readonly board: MapBoard;
  /** On number 0 only. */
  readonly first: FirstServer | undefined;
}

export class ClusterService {
  readonly #options: ClusterServiceOptions;
  readonly #startedMs: number;
  readonly operations: HandlerTable;
  #member: Member | undefined;
  #opening: Promise<Member> | undefined;
  #follower: MapFollower | undefined;
  #serving: Promise<void> | undefined;
  #served = false;
  /** Wait until this server knows more of itself. */
  readonly #waiters = new Set<() => void>();
  #stopping = false;
  #closed = false;

  constructor(options: ClusterServiceOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.operations = this.#rows();
  }

  #rows(): AnyHandlerRow[] {
    return [
      row(protocol.ADOPT, async (request) => ({ value: await this.adopt(request) })),
      row(protocol.STATUS, () => ({ value: this.status() })),
      row(protocol.STOP, async ({ force }, { client }) => {
        const { first } = await this.#requireFirst();
        return { value: first.stop(force, client) };
      }),
      row(protocol.ATTACH, async (request, { client }) => {
        const { first } = await this.#requireFirst();
        return { value: first.attach(request, client) };
      }),
      row(protocol.WATCH_MAP, async (request, { client }) => ({
        value: await this.#watch(request, client),
      })),
      row(protocol.REGISTER_BLOCKS, async (request, { client }) => {
        // The first block server that registers makes the server that it was told number 0.
        await this.adopt({ clusterId: null, number: 0, metaServers: undefined });
        const { first } = await this.#requireFirst();
        return { value: await first.register(request, client) };
      }),
      row(protocol.HEARTBEAT, async (request) => {
        const { first } = await this.#requireFirst();
        return { value: first.heartbeat(request) };
      }),
      row(protocol.LEAVE_BLOCKS, async (request) => {
        const { first } = await this.#requireFirst();
        first.leave(request);
        return { value: undefined };
      }),
    ];
  }

  /** Undefined until it is known. */
  get identity(): { clusterId: string; number: number } | undefined {
    return this.#member?.database;
  }

  /** The map as it is known here; undefined before there is a number. */
  get board(): MapBoard | undefined {
    return this.#member?.board;
  }

  /**
   * Becomes the server that `request` says, or makes sure that it is; throws ClusterError where they contradict each
   * other. Servers that know their number at the start adopt themselves.
   */
  async adopt(request: AdoptRequest): Promise<AdoptAnswer> {
    const { number, clusterId, metaServers } = request;
    if (this.#member === undefined && this.#opening === undefined) {
      if (number > 0 && clusterId === null) throw noNumber();
      if (number === 0 && clusterId !== null) throw isNew(clusterId);
    }
    return this.#beOrBecome(request, metaServers);
  }

  /** Becomes the server that its own database or options say that it is. */
  async begin(appointment: Appointment, metaServers: readonly string[] | undefined): Promise<void> {
    await this.#beOrBecome(appointment, metaServers);
  }

  async #beOrBecome(
    appointment: Appointment,
    metaServers: readonly string[] | undefined,
  ): Promise<AdoptAnswer> {
    const { number, clusterId } = appointment;
    if (metaServers !== undefined && number >= metaServers.length) {
      throw beyondList(number, metaServers);
    }
    const { database, board } = this.#member ?? (await this.#becomeOnce({ number, clusterId }));
    checkIdentity(database, appointment);
    if (metaServers !== undefined) database.transact((kv) => tellMetaServers(kv, metaServers));
    await this.#serveIfTold();
    return { clusterId: database.clusterId, number: database.number, map: board.map };
  }

  #becomeOnce(appointment: Appointment): Promise<Member> {
    this.#opening ??= this.#become(appointment).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #become(appointment: Appointment): Promise<Member> {
    const { clock, logger, answers, open } = this.#options;
    const database = await open(appointment);
    const { map } = database.read(readCluster);
    const board = new MapBoard(map);
    database.setEpoch(map.epoch);
    const onStop = (): void => {
      this.#stop();
    };
    const first =
      database.number === 0
        ? new FirstServer({ database, board, clock, logger, answers, onStop })
        : undefined;
    this.#member = { database, board, first };
    const { number, clusterId } = database;
    logger.info({ number, clusterId, epoch: map.epoch }, 'metadata server knows its number');
    this.#wake();
    return this.#member;
  }

  /** How many metadata servers there are decides where things are, so nothing is served before that is known. */
  async #serveIfTold(): Promise<void> {
    const metaServers = this.#member?.database.read(readCluster).metaServers;
    if (metaServers === undefined || this.#closed) return;
    this.#follow(metaServers);
    this.#serving ??= this.#options.serve(metaServers).then(
      () => {
        this.#served = true;
        this.#wake();
      },
      (error: unknown) => {
        this.#serving = undefined;
        throw error;
      },
    );
    await this.#serving;
  }

  /** All but number 0 follow its map from when they know where it is. */
  #follow(metaServers: readonly string[]): void {
    const member = this.#member;
    if (member === undefined || member.first !== undefined || this.#follower !== undefined) return;
    const { database, board } = member;
    this.#follower = this.#options.follow({
      number: database.number,
      clusterId: database.clusterId,
      metaServers,
      version: () => board.map.version,
      onAnswer: ({ map, stopping }) => {
        if (map.version > board.map.version) {
          const learnt = database.transact((kv) => learnMap(kv, map));
          database.setEpoch(learnt.epoch);
          board.publish(learnt);
        }
        if (stopping) this.#stop();
      },
    });
    this.#follower.start();
    this.#wake();
  }

  /** Whether this server may act on the map that it knows. */
  get isCurrent(): boolean {
    const member = this.#member;
    if (member === undefined) return false;
    return member.first !== undefined || this.#follower?.isCurrent === true;
  }

  /**
   * Resolves when requests may be carried out: all servers are known and, for what makes datasets, the present epoch.
   * At once where it can; never once this is closed.
   */
  whenReady(needsEpoch: boolean): MaybePromise<void> {
    if (!this.#isReady(needsEpoch)) return this.#untilReady(needsEpoch);
  }

  #isReady(needsEpoch: boolean): boolean {
    return this.#served && (!needsEpoch || this.isCurrent);
  }

  async #untilReady(needsEpoch: boolean): Promise<void> {
    while (this.#closed || !this.#isReady(needsEpoch)) {
      if (!this.#served || this.#follower === undefined || this.#closed) await this.#moreKnown();
      else await this.#follower.whenCurrent();
    }
  }

  #moreKnown(): Promise<void> {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  async #requireFirst(): Promise<{ first: FirstServer }> {
    const member = this.#member ?? (await this.#opening);
    if (member?.first !== undefined) return { first: member.first };
    if (member === undefined) throw noNumber();
    throw new ClusterError(
      'not-the-first',
      `this is metadata server ${member.database.number}: name the first of the metadata servers (-a) instead`,
    );
  }

  async #watch(request: protocol.WatchRequest, client: ClientConnection): Promise<WatchAnswer> {
    const member = this.#member ?? (await this.#opening);
    if (member === undefined) throw noNumber();
    if (member.first !== undefined) return member.first.watch(request, client);
    const map = await member.board.changedFrom(request.version);
    return { map, stopping: this.#stopping };
  }

  status(): MetaStatus {
    const { clock, load } = this.#options;
    const member = this.#member;
    const database = member?.database;
    const { inodes, usedBytes } = database?.statistics() ?? { inodes: 0, usedBytes: 0 };
    return {
      clusterId: database?.clusterId ?? null,
      number: database?.number ?? null,
      epoch: (member?.board.map ?? EMPTY_MAP).epoch,
      isCurrent: this.isCurrent,
      pid: process.pid,
      uptimeMs: clock.monotonicMs() - this.#startedMs,
      inodes,
      databaseBytes: usedBytes,
      ...load(),
      metaServers: database?.read(readCluster).metaServers,
      mounts: member?.first?.mounts() ?? [],
      blockServers: member?.first?.blockStatus() ?? [],
      stopping: this.#stopping || member?.first?.stopping === true,
    };
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#options.onStop();
  }

  /** Answers who watches the map; the database is closed by who opened it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#member?.board.wakeAll();
    await this.#follower?.close();
  }
}

function checkIdentity(database: ClusterDatabase, appointment: Appointment): void {
  const { clusterId, number } = appointment;
  if (clusterId !== null && clusterId !== database.clusterId) {
    throw new ClusterError(
      'other-cluster',
      `this metadata server is of file system ${database.clusterId}, not ${clusterId}: ` +
        'name the servers of one file system, or start this one with another metadata file (-M)',
    );
  }
  if (number !== database.number) {
    throw new ClusterError(
      'other-number',
      `this is metadata server ${database.number} of its file system, not ${number}: ` +
        'name the metadata servers (-a) in the same order everywhere',
    );
  }
}

function beyondList(number: number, metaServers: readonly string[]): ClusterError {
  return new ClusterError(
    'other-meta-servers',
    `metadata server ${number} is not among the ${metaServers.length} of the list: give the same -a and -x everywhere`,
  );
}

function isNew(clusterId: string): ClusterError {
  return new ClusterError(
    'other-cluster',
    `this metadata server has no metadata yet, and so is not of file system ${clusterId}: ` +
      'start it with the metadata file (-M) that it had, or all servers and mounts anew',
  );
}

function noNumber(): ClusterError {
  return new ClusterError(
    'no-number',
    'this metadata server has not been told yet which one it is: mount the file system, or start its block servers',
  );
}
