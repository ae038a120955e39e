/** One server's part in others' transactions, message by message. */
import test from 'ava';
import { makeInodeId } from '../../../../src/ids.ts';
import { silentLogger } from '../../../../src/log.ts';
import { DistributedMetadata } from '../../../../src/meta/distributed/distributed-metadata.ts';
import { LockedError } from '../../../../src/meta/distributed/errors.ts';
import type {
  FinishRequest,
  Footprint,
  Participant,
  PrepareRequest,
  TransactionOutcome,
} from '../../../../src/meta/distributed/participant.ts';
import { InodeNumbers } from '../../../../src/meta/inode-numbers.ts';
import { numberKey, Table } from '../../../../src/meta/keys.ts';
import { ProtocolError } from '../../../../src/net/errors.ts';
import { runSync, wait } from '../../../../src/task.ts';
import { MemoryDatabase } from '../../../support/metadata-cluster/memory-database.ts';
import { Schedule } from '../../../support/metadata-cluster/schedule.ts';

const SERVER = 1;
const KEY = numberKey(Table.ORPHANS, makeInodeId(SERVER, 5));
const OTHER_KEY = numberKey(Table.ORPHANS, makeInodeId(SERVER, 6));
const OLD = Buffer.from('old');
const NEW = Buffer.from('new');

interface Setting {
  database: MemoryDatabase;
  schedule: Schedule;
  /** What the coordinator answers. */
  coordinator: { outcome: TransactionOutcome; asked: number };
}

function makeSetting(): Setting {
  const database = new MemoryDatabase();
  database.transact((kv) => wait(kv.put(KEY, OLD)));
  return { database, schedule: new Schedule(1), coordinator: { outcome: 'pending', asked: 0 } };
}

/** One life of the server. */
function start({ database, schedule, coordinator }: Setting): DistributedMetadata {
  const outcome = (): TransactionOutcome => {
    coordinator.asked++;
    return coordinator.outcome;
  };
  const numbers = new InodeNumbers(SERVER);
  runSync(numbers.load(database));
  const metadata = new DistributedMetadata({
    database,
    server: SERVER,
    servers: 2,
    numbers,
    neighbour: () => ({ outcome }) as unknown as Participant,
    timing: schedule,
    logger: silentLogger,
    onApplied: () => undefined,
  });
  metadata.recover();
  return metadata;
}

function prepare(number: number, footprint: Partial<Footprint> = {}): PrepareRequest {
  return {
    transaction: { coordinator: 0, number },
    settledBelow: 0,
    use: 'growth',
    reads: [{ key: KEY, value: OLD }],
    ranges: [],
    writes: [{ key: KEY, value: NEW }],
    ...footprint,
  };
}

function finish(number: number, commit: boolean, settledBelow = 0): FinishRequest {
  return { transaction: { coordinator: 0, number }, settledBelow, commit };
}

/** Lets so much virtual time pass. */
async function pass(schedule: Schedule, ms: number): Promise<void> {
  let over = false;
  schedule.after(ms, () => {
    over = true;
  });
  await schedule.run(() => over, ms + 1);
}

test('what is prepared is neither shown nor changed by others before the decision', (t) => {
  const setting = makeSetting();
  const { database, participant } = start(setting);
  t.is(participant.prepare(prepare(1)), 'prepared');
  t.throws(() => database.get(KEY), { instanceOf: LockedError });
  t.throws(
    () => {
      database.transact((kv) => wait(kv.put(KEY, NEW)));
    },
    { instanceOf: LockedError },
  );
  t.is(participant.prepare(prepare(2)), 'conflict');
  t.deepEqual(setting.database.get(KEY), OLD);
  participant.finish(finish(1, true));
  t.deepEqual(database.get(KEY), NEW);
});

test('an aborted transaction leaves no trace', (t) => {
  const setting = makeSetting();
  const before = setting.database.range({ start: Buffer.alloc(0), end: Buffer.alloc(1, 0xff) });
  const { database, participant } = start(setting);
  participant.prepare(prepare(1));
  participant.finish(finish(1, false));
  t.deepEqual(database.get(KEY), OLD);
  t.deepEqual(
    setting.database.range({ start: Buffer.alloc(0), end: Buffer.alloc(1, 0xff) }),
    before,
  );
});

test('what was read may be read by others, and not changed', (t) => {
  const { database, participant } = start(makeSetting());
  t.is(participant.prepare(prepare(1, { writes: [] })), 'prepared');
  t.deepEqual(database.get(KEY), OLD);
  t.throws(
    () => {
      database.transact((kv) => wait(kv.remove(KEY)));
    },
    { instanceOf: LockedError },
  );
  t.is(participant.prepare(prepare(2, { writes: [] })), 'prepared');
  t.is(participant.prepare(prepare(3)), 'conflict');
});

test('nobody adds to a range that was read', (t) => {
  const { database, participant } = start(makeSetting());
  const range = { start: KEY, end: numberKey(Table.ORPHANS, makeInodeId(SERVER, 9)) };
  const read = { range, pairs: [{ key: KEY, value: OLD }] };
  t.is(participant.prepare(prepare(1, { reads: [], ranges: [read], writes: [] })), 'prepared');
  t.throws(
    () => {
      database.transact((kv) => wait(kv.put(OTHER_KEY, NEW)));
    },
    {
      instanceOf: LockedError,
    },
  );
  participant.finish(finish(1, true));
  database.transact((kv) => wait(kv.put(OTHER_KEY, NEW)));
  t.is(participant.prepare(prepare(2, { reads: [], ranges: [read], writes: [] })), 'conflict');
});

test('what has changed since it was read is a conflict', (t) => {
  const { participant } = start(makeSetting());
  t.is(participant.prepare(prepare(1, { reads: [{ key: KEY, value: NEW }] })), 'conflict');
  t.is(participant.prepare(prepare(2, { reads: [{ key: KEY, value: undefined }] })), 'conflict');
  t.is(participant.prepare(prepare(3)), 'prepared');
});

test('what is prepared is held by the next life of the server, which asks what became of it', async (t) => {
  const setting = makeSetting();
  const first = start(setting);
  first.participant.prepare(prepare(1));
  first.close();
  setting.coordinator.outcome = 'pending';
  const second = start(setting);
  t.throws(() => second.database.get(KEY), { instanceOf: LockedError });
  await pass(setting.schedule, 600);
  t.true(setting.coordinator.asked > 0);
  t.throws(() => second.database.get(KEY), { instanceOf: LockedError });
  setting.coordinator.outcome = 'committed';
  await pass(setting.schedule, 5000);
  t.deepEqual(second.database.get(KEY), NEW);
});

test('a transaction that its coordinator does not know is dropped', async (t) => {
  const setting = makeSetting();
  const { database, participant } = start(setting);
  participant.prepare(prepare(1));
  setting.coordinator.outcome = 'aborted';
  await pass(setting.schedule, 600);
  t.deepEqual(database.get(KEY), OLD);
});

test('a transaction is applied once, although its messages come again and the values are what they were', async (t) => {
  const setting = makeSetting();
  const first = start(setting);
  first.participant.prepare(prepare(1));
  first.participant.finish(finish(1, true));
  first.database.transact((kv) => wait(kv.put(KEY, OLD)));
  first.participant.prepare(prepare(1));
  first.participant.finish(finish(1, true));
  t.deepEqual(first.database.get(KEY), OLD);
  first.close();

  const second = start(setting);
  second.participant.prepare(prepare(1));
  second.participant.finish(finish(1, true));
  t.deepEqual(second.database.get(KEY), OLD);
  // Transaction 1 is over everywhere: its mark goes, and what takes its place outlives the server, too.
  second.participant.prepare({ ...prepare(7, { writes: [] }), settledBelow: 5 });
  second.participant.finish(finish(7, false, 5));
  second.close();
  const third = start(setting);
  t.is(third.participant.prepare(prepare(1)), 'conflict');
  await pass(setting.schedule, 600);
  t.deepEqual(third.database.get(KEY), OLD);
});

test('a read waits for the decision, and says so when that takes too long', async (t) => {
  const setting = makeSetting();
  const { participant } = start(setting);
  participant.prepare(prepare(1));
  const patient = participant.read({ keys: [KEY], ranges: [] });
  setting.schedule.after(100, () => {
    participant.finish(finish(1, true));
  });
  await pass(setting.schedule, 200);
  t.deepEqual(await patient, { values: [NEW], pairs: [] });

  participant.prepare(prepare(2, { reads: [] }));
  const asked = participant.read({ keys: [KEY], ranges: [] });
  await pass(setting.schedule, 3000);
  t.is(await asked, undefined);
});

test('a reservation keeps others from writing, not from reading, and ends by itself', async (t) => {
  const setting = makeSetting();
  const { database, participant } = start(setting);
  const request = { transaction: { coordinator: 0, number: 1 }, reads: [], ranges: [] };
  t.true(await participant.reserve({ ...request, writes: [KEY] }));
  t.deepEqual(database.get(KEY), OLD);
  t.throws(
    () => {
      database.transact((kv) => wait(kv.put(KEY, NEW)));
    },
    { instanceOf: LockedError },
  );
  t.is(participant.prepare(prepare(2)), 'conflict');
  const next = participant.reserve({
    ...request,
    transaction: { coordinator: 0, number: 3 },
    writes: [KEY],
  });
  t.is(participant.prepare(prepare(1)), 'prepared');
  participant.finish(finish(1, false));
  t.true(await next);
  await pass(setting.schedule, 2100);
  database.transact((kv) => wait(kv.put(KEY, NEW)));
  t.deepEqual(database.get(KEY), NEW);
});

test('a transaction that wants to write what this server does not keep is refused', (t) => {
  const { participant } = start(makeSetting());
  const foreign = { key: numberKey(Table.ORPHANS, makeInodeId(0, 5)), value: NEW };
  t.throws(() => participant.prepare(prepare(1, { writes: [foreign] })), {
    instanceOf: ProtocolError,
  });
  const own = { key: numberKey(Table.SESSIONS, 5), value: NEW };
  t.throws(() => participant.prepare(prepare(2, { writes: [own] })), { instanceOf: ProtocolError });
});

test('numbers that are set aside for others are given out by nobody else, nor in a later life', (t) => {
  const setting = makeSetting();
  const { participant } = start(setting);
  const first = participant.reserveNumbers(10);
  const second = participant.reserveNumbers(2000);
  t.is(Number(second.first), first.first + 10);
  t.true(start(setting).participant.reserveNumbers(1).first >= second.first + 2000);
});
