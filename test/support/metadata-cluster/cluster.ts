/**
 * Several simulated metadata servers and their clients. Everything that was committed is noted in its order, so that
 * what clients were told, and what observers saw, can be compared with a plain model afterwards.
 */
import { FsError } from '../../../src/errno.ts';
import { type InodeId, metaServerOf } from '../../../src/ids.ts';
import { UnreachableError } from '../../../src/meta/distributed/errors.ts';
import type { Participant } from '../../../src/meta/distributed/participant.ts';
import { openSession, type Outcome } from '../../../src/meta/exactly-once.ts';
import type { Database } from '../../../src/meta/kv.ts';
import { type Conditions, Network } from './network.ts';
import type { Operation, Place } from './namespace-model.ts';
import { Schedule } from './schedule.ts';
import { SimulatedServer } from './server.ts';

/** Longest wait for another server, for an operation, and of a client for an answer. */
const NEIGHBOUR_PATIENCE_MS = 3500;
const OPERATION_PATIENCE_MS = 2000;
const CLIENT_PATIENCE_MS = 2500;

/** An operation that was committed, and how it ended. */
export interface Committed {
  operation: Operation;
  /** 'OK' or the name of an errno. */
  result: string;
  /** Of the inode that it made, or that lost its name. */
  inode: number;
}

/** What somebody saw under a name at some time between two points of the history. */
export interface Sighting {
  place: Place;
  inode: number | undefined;
  from: number;
  to: number;
}

export class Cluster {
  readonly schedule: Schedule;
  readonly network: Network;
  readonly databases: readonly Database[];
  readonly servers: (SimulatedServer | undefined)[];
  /** In the order of their commits. */
  readonly history: Committed[] = [];
  readonly #undecided = new Map<Database, Committed>();

  constructor(seed: number, databases: readonly Database[]) {
    this.schedule = new Schedule(seed);
    this.network = new Network(this.schedule);
    this.databases = databases.map((database) => this.#noting(database));
    this.servers = databases.map(() => undefined);
    for (const number of databases.keys()) this.start(number);
  }

  /** Notes what a transaction did when it is committed. */
  #noting(database: Database): Database {
    const noting: Database = {
      get: (key) => database.get(key),
      range: (range) => database.range(range),
      transact: (operation, use) => {
        this.#undecided.delete(noting);
        const result = database.transact(operation, use);
        const committed = this.#undecided.get(noting);
        if (committed !== undefined) this.history.push(committed);
        this.#undecided.delete(noting);
        return result;
      },
    };
    return noting;
  }

  #database(number: number): Database {
    const database = this.databases[number];
    if (database === undefined) throw new Error(`no server ${number}`);
    return database;
  }

  start(number: number): void {
    const database = this.#database(number);
    const life: { server?: SimulatedServer } = {};
    life.server = new SimulatedServer({
      number,
      servers: this.databases.length,
      database,
      schedule: this.schedule,
      neighbour: (at) => this.#neighbour({ from: () => life.server, to: at }),
      patienceMs: OPERATION_PATIENCE_MS,
      onRan: (operation, outcome) => {
        this.#undecided.set(database, committed(operation, outcome));
      },
    });
    this.servers[number] = life.server;
  }

  kill(number: number): void {
    this.servers[number]?.kill();
    this.servers[number] = undefined;
  }

  #neighbour(ends: { from: () => SimulatedServer | undefined; to: number }): Participant {
    const call = <T>(ask: (at: Participant) => T | PromiseLike<T>): Promise<T> =>
      this.network.call<SimulatedServer, T>({
        from: ends.from() ?? { dead: false },
        to: () => this.servers[ends.to],
        ask: (server) => ask(server.distributed.participant),
        patienceMs: NEIGHBOUR_PATIENCE_MS,
      });
    return {
      read: (request) => call((at) => at.read(request)),
      prepare: (request) => call((at) => at.prepare(request)),
      finish: (request) => call((at) => at.finish(request)),
      outcome: (transaction) => call((at) => at.outcome(transaction)),
      reserve: (request) => call((at) => at.reserve(request)),
      reserveNumbers: (count) => call((at) => at.reserveNumbers(count)),
    };
  }

  /** Chance rules from now on. */
  set conditions(conditions: Conditions) {
    this.network.conditions = conditions;
  }

  /** Messages arrive, all servers are up, and everything that was under way comes to its end. */
  async calm(): Promise<void> {
    this.conditions = { lost: 0, doubled: 0, mostDelayMs: 1 };
    for (const [number, server] of this.servers.entries()) {
      if (server === undefined) this.start(number);
    }
    const deadlineMs = this.schedule.nowMs() + 60_000;
    // Beyond the patience of everybody, so that nothing that was sent before is still on its way.
    const quietMs = this.schedule.nowMs() + 4 * NEIGHBOUR_PATIENCE_MS;
    this.schedule.after(4 * NEIGHBOUR_PATIENCE_MS, () => undefined);
    const over = (): boolean =>
      this.schedule.nowMs() >= quietMs &&
      this.servers.every((server) => {
        const { holders, unconfirmed } = server?.distributed.statistics() ?? fail();
        return holders.length === 0 && unconfirmed === 0;
      });
    await this.schedule.run(over, deadlineMs - this.schedule.nowMs());
  }
}

function fail(): never {
  throw new Error('a server is down');
}

function committed(operation: Operation, outcome: Outcome): Committed {
  return outcome.ok
    ? { operation, result: 'OK', inode: outcome.record?.inode ?? 0 }
    : { operation, result: outcome.error.code, inode: 0 };
}

/** Server that a client turns to with an operation. */
export function serverFor(operation: Operation): number {
  const place = operation.kind === 'rename' ? operation.from : operation.at;
  return metaServerOf(place.parent as InodeId);
}

/** Repeats each request until it is answered, as a mount does. */
export class SimulatedClient {
  dead = false;
  readonly #cluster: Cluster;
  readonly #sessions = new Map<number, { session: number; sequence: number }>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Undefined if the client died before it got an answer. */
  async perform(operation: Operation, server = serverFor(operation)): Promise<Outcome | undefined> {
    const session = this.#session(server);
    const tag = {
      session: session.session,
      sequence: session.sequence,
      acknowledgedBelow: session.sequence,
    };
    session.sequence++;
    return this.#repeat(server, (at) => at.execute(operation, tag));
  }

  /** A session's opening is not what is tested. */
  #session(server: number): { session: number; sequence: number } {
    let known = this.#sessions.get(server);
    if (known === undefined) {
      const database = this.#cluster.databases[server];
      if (database === undefined) throw new Error(`no server ${server}`);
      known = { session: database.transact(openSession), sequence: 0 };
      this.#sessions.set(server, known);
    }
    return known;
  }

  async #repeat<T>(
    server: number,
    ask: (at: SimulatedServer) => T | PromiseLike<T>,
  ): Promise<T | undefined> {
    const { network, servers } = this.#cluster;
    while (!this.dead) {
      try {
        return await network.call<SimulatedServer, T>({
          from: this,
          to: () => servers[server],
          ask,
          patienceMs: CLIENT_PATIENCE_MS,
        });
      } catch (error) {
        const again =
          error instanceof UnreachableError || (error instanceof FsError && error.code === 'EIO');
        if (!again) throw error;
      }
    }
    return undefined;
  }

  /** Looks at names one after the other. */
  async observe(places: readonly Place[]): Promise<Sighting[]> {
    const { history } = this.#cluster;
    const sightings: Sighting[] = [];
    for (const place of places) {
      const from = history.length;
      const server = metaServerOf(place.parent as InodeId);
      const seen = await this.#repeat(server, async (at) => ({ inode: await at.look(place) }));
      if (seen === undefined) break;
      sightings.push({ place, inode: seen.inode, from, to: history.length });
    }
    return sightings;
  }
}
