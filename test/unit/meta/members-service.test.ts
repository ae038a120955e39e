import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { silentLogger } from '../../../src/log.ts';
import type { ClusterDatabase } from '../../../src/meta/cluster-database.ts';
import { type Appointment, ClusterService } from '../../../src/meta/cluster-service.ts';
import { ClusterError } from '../../../src/meta/cluster-errors.ts';
import type { WatchAnswer, WatchRequest } from '../../../src/meta/cluster-protocol.ts';
import { LmdbKeyValue } from '../../../src/meta/lmdb-kv.ts';
import { MapFollower } from '../../../src/meta/map-follower.ts';
import { MAP_LEASE_MS } from '../../../src/meta/map-leases.ts';
import type { Call } from '../../../src/net/call.ts';
import { runSync } from '../../../src/task.ts';
import { LAYOUT, temporaryFolder } from './helpers.ts';

const CLUSTER = '00112233445566778899aabbccddeeff';
const LIST = ['m0:5569', 'm1:5569'];

/** A service over a real database, whose metadata server 0 is the test. */
class World {
  readonly clock = new ManualClock();
  readonly service: ClusterService;
  readonly epochs: number[] = [];
  readonly opened: Appointment[] = [];
  readonly asked: WatchRequest[] = [];
  served: readonly string[] | undefined;
  stops = 0;
  /** Answers the oldest question to number 0 that has none. */
  readonly #answers: ((answer: WatchAnswer) => void)[] = [];
  readonly #database: LmdbKeyValue;

  constructor(t: ExecutionContext) {
    this.#database = LmdbKeyValue.open(join(temporaryFolder(t), 'data'));
    this.service = new ClusterService({
      clock: this.clock,
      logger: silentLogger,
      open: (appointment) => {
        this.opened.push(appointment);
        return Promise.resolve(this.#databaseOf(appointment));
      },
      serve: (metaServers) => {
        this.served = metaServers;
        return Promise.resolve();
      },
      answers: () => Promise.resolve(false),
      follow: ({ number, version, onAnswer }) =>
        new MapFollower({
          call: this.#call,
          ...{ number, version, onAnswer, clock: this.clock, logger: silentLogger },
        }),
      load: () => ({ connections: 0, requestsPerSecond: 0 }),
      onStop: () => {
        this.stops++;
      },
    });
    t.teardown(async () => {
      await this.service.close();
      await this.#database.close();
    });
  }

  #databaseOf({ number, clusterId }: Appointment): ClusterDatabase {
    return {
      clusterId: clusterId ?? CLUSTER,
      number,
      read: (operation) => runSync(operation(this.#database)),
      transact: (operation) => this.#database.transact(operation),
      setEpoch: (epoch) => {
        this.epochs.push(epoch);
      },
      rootLayout: () => LAYOUT,
      setRootLayout: () => undefined,
      statistics: () => ({ inodes: 1, usedBytes: 0 }),
    };
  }

  readonly #call: Call = (_operation, request, options) => {
    this.asked.push(request as WatchRequest);
    return new Promise((resolve, reject) => {
      this.#answers.push((value) => {
        resolve({ value: value as never, payload: undefined });
      });
      options?.signal?.addEventListener('abort', () => {
        reject(new Error('closed'));
      });
    });
  };

  /** Number 0 answers that the map has this version, which is also its epoch. */
  async tell(version: number, stopping = false): Promise<void> {
    this.#answers.shift()?.({ map: { version, epoch: version, blocks: [] }, stopping });
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }

  /** Whether a request may be carried out now. */
  ready(needsEpoch: boolean): boolean {
    return this.service.whenReady(needsEpoch) === undefined;
  }
}

test('number 0 is ready when it knows all metadata servers, and not before', async (t) => {
  const world = new World(t);
  t.false(world.ready(false));
  const waiting = Promise.resolve(world.service.whenReady(true));
  await world.service.adopt({ clusterId: null, number: 0, metaServers: undefined });
  t.deepEqual(world.opened, [{ clusterId: null, number: 0 }]);
  t.false(world.ready(false));
  await world.service.adopt({ clusterId: CLUSTER, number: 0, metaServers: LIST });
  await waiting;
  t.deepEqual(world.served, LIST);
  t.true(world.ready(true));
});

test('another number makes datasets only while number 0 lets it, and reads all the time', async (t) => {
  const world = new World(t);
  await world.service.adopt({ clusterId: CLUSTER, number: 1, metaServers: LIST });
  t.true(world.ready(false));
  t.false(world.ready(true));
  const waiting = Promise.resolve(world.service.whenReady(true));
  world.clock.advance(MAP_LEASE_MS - 1);
  await world.tell(5);
  await waiting;
  t.deepEqual(world.epochs, [1, 5]);
  t.true(world.ready(true));
  t.deepEqual(world.asked.at(-1), { version: 5, number: 1 });
  world.clock.advance(1);
  t.false(world.ready(true), 'six seconds after it asked');
  t.true(world.ready(false));
  await world.tell(5);
  t.true(world.ready(true));
});

test('an older map is not believed', async (t) => {
  const world = new World(t);
  await world.service.adopt({ clusterId: CLUSTER, number: 1, metaServers: LIST });
  await world.tell(5);
  await world.tell(4);
  t.deepEqual(world.epochs, [1, 5]);
  t.is(world.service.board?.map.version, 5);
});

test('the end of all servers is heard of once', async (t) => {
  const world = new World(t);
  await world.service.adopt({ clusterId: CLUSTER, number: 1, metaServers: LIST });
  await world.tell(5, true);
  await world.tell(6, true);
  t.is(world.stops, 1);
  t.true(world.service.status().stopping);
});

test('two who tell a new server different numbers at once: one of them is contradicted', async (t) => {
  const world = new World(t);
  const tell = (number: number) =>
    world.service.adopt({ clusterId: CLUSTER, number, metaServers: [...LIST, 'm2:5569'] });
  const [first, second] = await Promise.allSettled([tell(1), tell(2)]);
  t.is(first.status, 'fulfilled');
  t.true(second.status === 'rejected' && second.reason instanceof ClusterError);
  t.is(world.opened.length, 1);
});

test('a number beyond the list is refused before anything is opened', async (t) => {
  const world = new World(t);
  const adopt = world.service.adopt({ clusterId: CLUSTER, number: 2, metaServers: LIST });
  t.is((await t.throwsAsync(adopt, { instanceOf: ClusterError })).reason, 'other-meta-servers');
  t.deepEqual(world.opened, []);
});
