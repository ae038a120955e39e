import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import type { InodeId } from '../../../src/ids.ts';
import { ROOT_INODE } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import { SessionExpiredError } from '../../../src/meta/exactly-once.ts';
import { Table, tableRange } from '../../../src/meta/keys.ts';
import { ALONE_AFTER_MS, GRANT_MS } from '../../../src/meta/lone-grants.ts';
import type { LocalMetaStore } from '../../../src/meta/local.ts';
import { MetaSession } from '../../../src/meta/session-store.ts';
import { Sessions, type SessionsOptions, type SignsOfLife } from '../../../src/meta/sessions.ts';
import type { DataReport } from '../../../src/meta/store.ts';
import { type MaybePromise, wait } from '../../../src/task.ts';
import { at, DIRECTORY, FILE, openStore, temporaryFolder } from './helpers.ts';

const ONE = '11'.repeat(16);
const TWO = '22'.repeat(16);
const LEASE_MS = 8000;
const TIME = { seconds: 5_000_000_000, nanoseconds: 0 };
const REPORT: DataReport = {
  sizeBytes: 9,
  storedBytes: 9,
  atime: TIME,
  mtime: TIME,
  ctime: TIME,
  dataVersion: 3,
  generation: 0,
  truncatedBytes: 0,
};

interface Fixture {
  store: LocalMetaStore;
  sessions: Sessions;
  clock: ManualClock;
  freed: InodeId[];
}

async function open(
  t: ExecutionContext,
  path?: string,
  pause?: SessionsOptions['pause'],
): Promise<Fixture> {
  const clock = new ManualClock();
  const freed: InodeId[] = [];
  const store = await openStore(t, {
    path: path ?? join(temporaryFolder(t), 'meta'),
    clock,
    blocksOutliveUs: true,
    reaper: { free: (inode) => void freed.push(inode) },
  });
  const sessions = await Sessions.load({
    ...{ core: store.core, clock, logger: silentLogger },
    ...(pause !== undefined && { pause }),
  });
  return { store, sessions, clock, freed };
}

class Connection implements SignsOfLife {
  isOpen = true;
  lastHeardMs: number;
  closings = 0;

  constructor(clock: ManualClock) {
    this.lastHeardMs = clock.monotonicMs();
  }

  close(): void {
    this.closings++;
    this.isOpen = false;
  }
}

const storeOf = ({ store }: Fixture, id: string): MetaSession =>
  new MetaSession(store.core, Buffer.from(id, 'hex'));

const rowsOf = ({ store }: Fixture, table: Table): MaybePromise<number> =>
  store.core.read(function* (kv) {
    return (yield* wait(kv.range(tableRange(table)))).length;
  });

test('a client keeps its session as long as it is heard of', async (t) => {
  const fixture = await open(t);
  const { sessions, clock } = fixture;
  const connection = new Connection(clock);
  const { session, isNew } = await sessions.open(ONE, connection);
  t.true(isNew);
  t.deepEqual(await sessions.open(ONE, connection), { session, isNew: false });
  for (let second = 0; second < 30; second += 2) {
    clock.advance(2000);
    connection.lastHeardMs = clock.monotonicMs();
    await sessions.check();
  }
  t.deepEqual(await sessions.open(ONE, connection), { session, isNew: false });
  clock.advance(LEASE_MS - 1);
  await sessions.check();
  t.is(sessions.count, 1);
  clock.advance(1);
  await sessions.check();
  t.is(sessions.count, 0);
  t.not((await sessions.open(ONE, connection)).session, session);
});

test('a connection that is open but silent does not keep a client alive', async (t) => {
  const { sessions, clock } = await open(t);
  const silent = new Connection(clock);
  await sessions.open(ONE, silent);
  clock.advance(LEASE_MS);
  await sessions.check();
  t.is(sessions.count, 0);
});

test('a client that comes back within its lease goes on with its session', async (t) => {
  const { sessions, clock } = await open(t);
  const first = new Connection(clock);
  const { session } = await sessions.open(ONE, first);
  first.isOpen = false;
  clock.advance(LEASE_MS - 1);
  await sessions.check();
  t.is((await sessions.open(ONE, new Connection(clock))).session, session);
  clock.advance(LEASE_MS - 1);
  await sessions.check();
  t.is(sessions.count, 1);
});

test('two connections of a new client at once get one session', async (t) => {
  const { sessions, clock } = await open(t);
  const [one, two] = await Promise.all([
    sessions.open(ONE, new Connection(clock)),
    sessions.open(ONE, new Connection(clock)),
  ]);
  t.is(one.session, two.session);
});

test('clients outlive a standstill of the server, in which it could hear nobody', async (t) => {
  const fixture = await open(t);
  const { sessions, clock } = fixture;
  await sessions.open(ONE, new Connection(clock));
  await sessions.tick();
  clock.advance(15_000);
  await sessions.tick();
  t.is(sessions.count, 1);
  for (let elapsedMs = 0; elapsedMs < LEASE_MS; elapsedMs += 1000) {
    clock.advance(1000);
    await sessions.tick();
  }
  t.is(sessions.count, 0);
});

test('a request of a lapsed session is refused, and replies go with it', async (t) => {
  const fixture = await open(t);
  const { sessions, clock, store } = fixture;
  const { session } = await sessions.open(ONE, new Connection(clock));
  const key = Buffer.from(ONE, 'hex');
  const tagged = (sequence: number): MetaSession =>
    new MetaSession(store.core, key, { session, sequence, acknowledgedBelow: 0 });
  const made = await tagged(1).create(at('f'), FILE, 'write');
  t.deepEqual(await tagged(1).create(at('f'), FILE, 'write'), made);
  t.is(await rowsOf(fixture, Table.REPLIES), 1);
  clock.advance(LEASE_MS);
  await sessions.check();
  t.is(await rowsOf(fixture, Table.REPLIES), 0);
  t.throws(() => tagged(2).create(at('g'), FILE), { instanceOf: SessionExpiredError });
});

test('a dead writer leaves its file unsettled until the next report, by whomever', async (t) => {
  const fixture = await open(t);
  const { sessions, clock } = fixture;
  await sessions.open(ONE, new Connection(clock));
  const one = storeOf(fixture, ONE);
  const two = storeOf(fixture, TWO);
  const { inode } = await one.create(at('f'), FILE, 'write');
  clock.advance(LEASE_MS);
  await sessions.check();
  t.true((await two.inode(inode)).unsettled);
  await two.openInode(inode, 'write');
  await two.closeInode(inode, 'none');
  t.true((await two.inode(inode)).unsettled);
  await two.openInode(inode, 'write');
  await two.reportData(inode, REPORT);
  t.true((await two.inode(inode)).unsettled);
  await two.closeInode(inode, 'none', { ...REPORT, dataVersion: 4 });
  t.like(await two.inode(inode), { unsettled: false, sizeBytes: 9, dataVersion: 4 });
  t.is(await rowsOf(fixture, Table.OPENS), 0);
});

test('what only a dead client needed is reaped; what a living one needs stays', async (t) => {
  const fixture = await open(t);
  const { sessions, clock, freed } = fixture;
  const living = new Connection(clock);
  await sessions.open(ONE, new Connection(clock));
  await sessions.open(TWO, living);
  const one = storeOf(fixture, ONE);
  const two = storeOf(fixture, TWO);
  const alone = await one.create(at('alone'), FILE, 'write');
  const shared = await one.create(at('shared'), FILE, 'read');
  const removed = await one.create(at('removed'), DIRECTORY);
  await two.openInode(shared.inode, 'read');
  await one.unlink(at('alone'));
  await one.unlink(at('shared'));
  await one.rmdir(at('removed'));
  clock.advance(LEASE_MS);
  living.lastHeardMs = clock.monotonicMs();
  await sessions.check();
  t.deepEqual(freed, [alone.inode, removed.inode]);
  t.is((await two.inode(shared.inode)).nlink, 0);
  await two.closeInode(shared.inode, 'none');
  t.deepEqual(freed, [alone.inode, removed.inode, shared.inode]);
  t.is(await rowsOf(fixture, Table.OPENS), 0);
  t.is(two.inodeCount(), 1);
});

test('a file without a name goes with its dead client, one that was given a name stays', async (t) => {
  const fixture = await open(t);
  const { sessions, clock, freed } = fixture;
  await sessions.open(ONE, new Connection(clock));
  const one = storeOf(fixture, ONE);
  const nameless = await one.createNameless(ROOT_INODE, FILE, 'write');
  const named = await one.createNameless(ROOT_INODE, FILE, 'write');
  t.is((await one.link(named.inode, at('named'))).nlink, 1);
  clock.advance(LEASE_MS);
  await sessions.check();
  t.deepEqual(freed, [nameless.inode]);
  t.is((await storeOf(fixture, TWO).lookup(ROOT_INODE, Buffer.from('named'))).nlink, 1);
});

test('a client holds a file without a name until it lets go, and not once it has a name', async (t) => {
  const fixture = await open(t);
  const { sessions, clock, freed } = fixture;
  await sessions.open(ONE, new Connection(clock));
  const one = storeOf(fixture, ONE);
  const nameless = await one.createNameless(ROOT_INODE, FILE, 'write');
  await one.closeInode(nameless.inode, 'none');
  t.deepEqual(freed, [], 'it may be opened again');
  await one.openInode(nameless.inode, 'read');
  await one.closeInode(nameless.inode, 'none');
  await one.reap(nameless.inode);
  t.deepEqual(freed, [nameless.inode]);
  const named = await one.createNameless(ROOT_INODE, FILE, 'write');
  await one.link(named.inode, at('named'));
  await one.closeInode(named.inode, 'none');
  t.is(await rowsOf(fixture, Table.OPENS), 0);
  t.is(await rowsOf(fixture, Table.ORPHANS), 0);
  await storeOf(fixture, TWO).unlink(at('named'));
  await storeOf(fixture, TWO).reap(named.inode);
  t.deepEqual(freed, [nameless.inode, named.inode]);
});

test('more opens than one step takes are dropped', async (t) => {
  const fixture = await open(t);
  const { sessions } = fixture;
  const one = storeOf(fixture, ONE);
  const two = storeOf(fixture, TWO);
  for (let index = 0; index < 1500; index++) {
    const { inode } = await one.create(at(`f${index}`), FILE, 'write');
    await two.openInode(inode, 'read');
  }
  t.is(await rowsOf(fixture, Table.OPENS), 3000);
  await sessions.open(ONE, new Connection(fixture.clock));
  await sessions.end(ONE);
  // Those of the other client, and the marks of the dead writer.
  t.is(await rowsOf(fixture, Table.OPENS), 3000);
  await sessions.open(TWO, new Connection(fixture.clock));
  await sessions.end(TWO);
  t.is(await rowsOf(fixture, Table.OPENS), 1500);
});

test('a restart gives each session a fresh lease, and one to clients who only have opens', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await open(t, path);
  const { session } = await first.sessions.open(ONE, new Connection(first.clock));
  const made = await storeOf(first, ONE).create(at('f'), FILE, 'write');
  await storeOf(first, ONE).unlink(at('f'));
  await storeOf(first, TWO).openInode(ROOT_INODE, 'read');
  first.sessions.close();
  await first.store.close();

  const second = await open(t, path);
  t.deepEqual(second.freed, []);
  second.clock.advance(LEASE_MS - 1);
  await second.sessions.check();
  t.is((await second.sessions.open(ONE, new Connection(second.clock))).session, session);
  t.is(await rowsOf(second, Table.OPENS), 2);
  second.clock.advance(1);
  await second.sessions.check();
  t.is(await rowsOf(second, Table.OPENS), 1);
  second.clock.advance(LEASE_MS);
  await second.sessions.check();
  t.deepEqual(second.freed, [made.inode]);
});

test('a database whose blocks went with its process keeps no opens', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await open(t, path);
  await storeOf(first, ONE).create(at('f'), FILE, 'write');
  await storeOf(first, ONE).unlink(at('f'));
  await first.store.close();
  const freed: InodeId[] = [];
  const store = await openStore(t, { path, reaper: { free: (inode) => void freed.push(inode) } });
  t.is(freed.length, 1);
  t.is(store.inodeCount(), 1);
});

test('a mount in the same process lives as long as it', async (t) => {
  const { sessions, clock, freed } = await open(t);
  const meta = sessions.local(ONE);
  const { inode } = await meta.create(at('f'), FILE, 'write');
  await meta.unlink(at('f'));
  clock.advance(100 * LEASE_MS);
  await sessions.check();
  t.is((await meta.inode(inode)).nlink, 0);
  await sessions.end(ONE);
  t.deepEqual(freed, [inode]);
});

test('what a mount in the same process makes after the server map has changed is placed by the new one', async (t) => {
  const fixture = await open(t);
  const local = fixture.sessions.local(ONE);
  t.is((await local.create(at('before'), FILE)).mapEpoch, 1);
  fixture.store.setMapEpoch(5);
  t.is((await local.create(at('after'), FILE)).mapEpoch, 5);
});

/** Lasts until the test says so; nothing is waited for before it begins. */
function heldPause(): { pause: NonNullable<SessionsOptions['pause']>; end: () => void } {
  let end = (): void => undefined;
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      end = resolve;
    });
  return {
    pause,
    end: () => {
      end();
    },
  };
}

async function aloneWithGrant({ sessions, clock }: Fixture): Promise<number> {
  const connection = new Connection(clock);
  await sessions.open(ONE, connection);
  clock.advance(ALONE_AFTER_MS);
  connection.lastHeardMs = clock.monotonicMs();
  return sessions.askAlone(ONE);
}

test('a second client has no session before the grant of the only one has ended', async (t) => {
  const held = heldPause();
  const fixture = await open(t, undefined, held.pause);
  const { sessions, clock } = fixture;
  t.is(await aloneWithGrant(fixture), GRANT_MS);
  const opening = sessions.open(TWO, new Connection(clock));
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  t.is(sessions.count, 1);
  t.is(await rowsOf(fixture, Table.CLIENTS), 1);
  clock.advance(GRANT_MS);
  held.end();
  t.true((await opening).isNew);
  t.is(sessions.count, 2);
  clock.advance(ALONE_AFTER_MS);
  t.is(sessions.askAlone(ONE), 0);
});

test('a client whose connection ends while it waits gets no session, and the only one goes on', async (t) => {
  const held = heldPause();
  const fixture = await open(t, undefined, held.pause);
  const { sessions, clock } = fixture;
  await aloneWithGrant(fixture);
  const connection = new Connection(clock);
  const opening = sessions.open(TWO, connection);
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  connection.isOpen = false;
  clock.advance(GRANT_MS);
  held.end();
  await t.throwsAsync(opening, { code: 'EIO' });
  t.is(await rowsOf(fixture, Table.CLIENTS), 1);
  t.is(sessions.askAlone(ONE), GRANT_MS);
});

test('an only client that ends leaves the next one nothing to wait for', async (t) => {
  const fixture = await open(t);
  const { sessions, clock } = fixture;
  await aloneWithGrant(fixture);
  await sessions.end(ONE);
  t.true((await sessions.open(TWO, new Connection(clock))).isNew);
});

test('a client that lives in this process waits and is counted as any other', async (t) => {
  const held = heldPause();
  const fixture = await open(t, undefined, held.pause);
  const { sessions, clock } = fixture;
  await aloneWithGrant(fixture);
  const entering = sessions.enterLocal(TWO);
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  clock.advance(GRANT_MS);
  held.end();
  await entering;
  const local = sessions.local(TWO);
  clock.advance(ALONE_AFTER_MS);
  t.is(local.askAlone(), 0);
  await sessions.end(ONE);
  clock.advance(ALONE_AFTER_MS);
  t.is(local.askAlone(), GRANT_MS);
});

test('after a restart the client of the only session goes on at once, and another waits', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await open(t, path);
  await aloneWithGrant(first);
  await first.store.close();
  let pauses = 0;
  const clockOf: { clock?: ManualClock } = {};
  const second = await open(t, path, (ms) => {
    pauses++;
    clockOf.clock?.advance(ms);
    return Promise.resolve();
  });
  clockOf.clock = second.clock;
  const { sessions, clock } = second;
  t.false((await sessions.open(ONE, new Connection(clock))).isNew);
  t.is(pauses, 0);
  t.true((await sessions.open(TWO, new Connection(clock))).isNew);
  t.is(pauses, 1);
});
