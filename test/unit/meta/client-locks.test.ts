/** A client's locks at a server in this process: requests and answers can be held up, lost, and the server begun anew. */
import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import type { InodeId } from '../../../src/ids.ts';
import { ClientLocks } from '../../../src/meta/client-locks.ts';
import type { LockAnswer, OwnedLock } from '../../../src/meta/lock-protocol.ts';
import {
  type Lock,
  LOCK_END,
  type LockOwner,
  type LockType,
  WHOLE_FILE,
} from '../../../src/meta/lock-store.ts';
import { ServedLocks } from '../../../src/meta/served-locks.ts';
import { manyTurns } from '../../support/mounts.ts';

const INODE = 7 as InodeId;
const ONE: LockOwner = { kind: 'posix', low: 1, high: 0 };
const TWO: LockOwner = { kind: 'posix', low: 2, high: 0 };

function lockOf(type: LockType, start = 0, end = LOCK_END): Lock {
  return { start, end, type, process: { pid: 1, place: 1 } };
}

class Client {
  readonly id: string;
  server: ServedLocks;
  /** Answers to requests for locks wait for it. */
  gate: Promise<void> | undefined;
  /** Requests for locks come to the server after it. */
  delay: Promise<void> | undefined;
  fails = false;
  readonly locks: ClientLocks;

  constructor(id: string, server: ServedLocks) {
    this.id = id;
    this.server = server;
    this.locks = new ClientLocks({
      lock: async (request) => {
        if (this.fails) throw new Error('away');
        await this.delay;
        const answer = await this.server.lock(id, request);
        await this.gate;
        return answer;
      },
      unlock: (request) => {
        this.server.unlock(id, request);
      },
      test: (request) => this.server.test(id, request),
      cancel: (wait) => this.server.cancel(id, wait),
    });
  }

  async take(owner: LockOwner, lock: Lock): Promise<void> {
    await this.locks.lock(INODE, owner, { lock, waits: false }).granted;
  }

  /** As at the beginning of a connection. */
  connect(server: ServedLocks): void {
    this.server = server;
    const held = this.locks.all();
    const kept = server.sync(this.id, held);
    held.forEach((lock: OwnedLock, index) => {
      if (kept[index] !== true) this.locks.lose(lock);
    });
  }
}

function pair(options: ConstructorParameters<typeof ServedLocks>[0] = {}): {
  server: ServedLocks;
  here: Client;
  there: Client;
} {
  const server = new ServedLocks(options);
  return { server, here: new Client('aa', server), there: new Client('bb', server) };
}

test('a lock is granted, refused, converted, told of and given back', async (t) => {
  const { server, here, there } = pair();
  await here.take(ONE, lockOf('read', 0, 9));
  await there.take(TWO, lockOf('read', 5, 20));
  await t.throwsAsync(here.take(ONE, lockOf('write', 0, 9)), { code: 'EAGAIN' });
  t.like(await there.locks.test(INODE, TWO, lockOf('write')), { type: 'read', start: 0, end: 9 });
  await here.take(ONE, lockOf('write', 0, 4));
  await t.throwsAsync(there.take(TWO, lockOf('read', 4, 4)), { code: 'EAGAIN' });
  await here.locks.unlock(INODE, ONE, WHOLE_FILE);
  t.false(here.locks.holds(INODE, ONE));
  t.true(there.locks.holds(INODE, TWO));
  t.is(await here.locks.test(INODE, ONE, lockOf('read')), undefined);
  server.drop('bb');
  t.deepEqual(server.counts(), { locks: 0, waits: 0 });
});

test('who waits is answered in time, asks again, and is granted', async (t) => {
  const { server, here, there } = pair({ answerMs: 1 });
  await here.take(ONE, lockOf('write'));
  let granted = false;
  const { granted: waiting } = there.locks.lock(INODE, TWO, { lock: lockOf('write'), waits: true });
  void waiting.then(() => (granted = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.deepEqual(server.counts(), { locks: 1, waits: 1 });
  t.false(granted);
  await here.locks.unlock(INODE, ONE, WHOLE_FILE);
  await waiting;
  t.deepEqual(server.counts(), { locks: 1, waits: 0 });
});

test('a wait that is cancelled leaves nothing, also where the grant is on its way', async (t) => {
  const { server, here, there } = pair();
  await here.take(ONE, lockOf('write'));
  await there.take(TWO, lockOf('read', 50, 60)).catch(() => undefined);
  const early = there.locks.lock(INODE, TWO, { lock: lockOf('write'), waits: true });
  await manyTurns();
  await early.cancel();
  await t.throwsAsync(early.granted, { code: 'EINTR' });
  t.deepEqual(server.counts(), { locks: 1, waits: 0 });

  let open = (): void => undefined;
  there.gate = new Promise((resolve) => (open = resolve));
  const late = there.locks.lock(INODE, TWO, { lock: lockOf('write'), waits: true });
  await manyTurns();
  await here.locks.unlock(INODE, ONE, WHOLE_FILE);
  t.deepEqual(server.counts(), { locks: 1, waits: 0 }, 'granted, and not told yet');
  const cancelled = late.cancel();
  open();
  await cancelled;
  await t.throwsAsync(late.granted, { code: 'EINTR' });
  t.deepEqual(server.counts(), { locks: 0, waits: 0 });
  t.false(there.locks.holds(INODE, TWO));
});

test('a request that comes to the server after what cancels it leaves nothing', async (t) => {
  for (const waits of [true, false]) {
    const { server, here, there } = pair();
    let open = (): void => undefined;
    here.delay = new Promise((resolve) => (open = resolve));
    const attempt = here.locks.lock(INODE, ONE, { lock: lockOf('write'), waits });
    await manyTurns();
    const cancelled = attempt.cancel();
    await manyTurns();
    const next = here.take(ONE, lockOf('read', 3, 4));
    open();
    await cancelled;
    await t.throwsAsync(attempt.granted, { code: 'EINTR' });
    await next;
    t.deepEqual(server.counts(), { locks: 1, waits: 0 }, `waits: ${waits}`);
    await t.notThrowsAsync(there.take(TWO, lockOf('write', 5)));
  }
});

test('an flock that waited to be converted, and was interrupted, is gone', async (t) => {
  const { server, here, there } = pair();
  const one: LockOwner = { ...ONE, kind: 'flock' };
  const two: LockOwner = { ...TWO, kind: 'flock' };
  await here.take(one, lockOf('read'));
  await there.take(two, lockOf('read'));
  const upgrade = here.locks.lock(INODE, one, { lock: lockOf('write'), waits: true });
  await manyTurns();
  await upgrade.cancel();
  t.deepEqual(here.locks.all(), []);
  t.deepEqual(server.counts(), { locks: 1, waits: 0 });
  await there.take(two, lockOf('write'));
  here.connect(server);
  await t.throwsAsync(here.take(one, lockOf('read')), { code: 'EAGAIN' });
});

test('a lock that was given back while the server was told of it anew is not lost', async (t) => {
  const { server, here } = pair();
  await here.take(ONE, lockOf('write', 0, 9));
  await here.take(ONE, lockOf('write', 20, 29));
  const [first] = here.locks.all();
  if (first === undefined) throw new Error('there is a lock');
  await here.locks.unlock(INODE, ONE, first.lock);
  here.locks.lose(first);
  await t.notThrowsAsync(here.take(ONE, lockOf('read', 0, 9)));
  t.is(server.counts().locks, 2);
});

test('a cancelled conversion leaves what was locked before, and holds the owner’s next request up', async (t) => {
  const { server, here, there } = pair();
  await here.take(ONE, lockOf('read', 0, 9));
  await there.take(TWO, lockOf('read', 0, 4));
  const upgrade = there.locks.lock(INODE, TWO, { lock: lockOf('write', 2, 20), waits: true });
  await manyTurns();
  await here.locks.unlock(INODE, ONE, WHOLE_FILE);
  await upgrade.granted;
  t.like(server.test('aa', { inode: INODE, owner: ONE, lock: lockOf('read') }), {
    start: 2,
    end: 20,
  });
  const cancelled = upgrade.cancel();
  const next = there.take(TWO, lockOf('read', 30, 30));
  await cancelled;
  await next;
  t.deepEqual(
    there.locks.all().map(({ lock: { start, end, type } }) => [start, end, type]),
    [
      [0, 4, 'read'],
      [30, 30, 'read'],
    ],
  );
  t.is(server.test('aa', { inode: INODE, owner: ONE, lock: lockOf('read') }), undefined);
  t.is(server.counts().locks, 2);
});

test('a server that has restarted grants nothing before its clients have said what they have', async (t) => {
  const { here, there } = pair();
  await here.take(ONE, lockOf('write', 0, 9));
  const server = new ServedLocks();
  server.await(['aa', 'bb']);
  let isReady = false;
  void Promise.resolve(server.ready()).then(() => (isReady = true));
  there.connect(server);
  await manyTurns();
  t.false(isReady);
  here.connect(server);
  await manyTurns();
  t.true(isReady);
  t.is(server.ready(), undefined);
  await t.throwsAsync(there.take(TWO, lockOf('write', 9, 9)), { code: 'EAGAIN' });
});

test('a client that does not come back is not waited for longer than its session', async (t) => {
  const server = new ServedLocks();
  server.await(['aa', 'bb']);
  server.drop('aa');
  server.drop('bb');
  t.is(server.ready(), undefined);
  await t.notThrowsAsync(new Client('cc', server).take(ONE, lockOf('write')));
});

test('an owner whose lock was given to others gets EIO until it has given it back', async (t) => {
  const { server, here, there } = pair();
  await here.take(ONE, lockOf('write'));
  server.drop('aa');
  await there.take(TWO, lockOf('write'));
  here.connect(server);
  await t.throwsAsync(here.take(ONE, lockOf('read', 1, 1)), { code: 'EIO' });
  t.true(here.locks.holds(INODE, ONE));
  await there.locks.unlock(INODE, TWO, WHOLE_FILE);
  await t.throwsAsync(here.take(ONE, lockOf('read', 1, 1)), { code: 'EIO' });
  await here.locks.unlock(INODE, ONE, WHOLE_FILE);
  await t.notThrowsAsync(here.take(ONE, lockOf('read', 1, 1)));
});

test('what a server has granted and nobody has heard of goes with the next connection', async (t) => {
  const { server, here, there } = pair();
  const lock = lockOf('write');
  t.is(server.lock('aa', { inode: INODE, owner: ONE, lock, wait: undefined }), 'granted');
  here.fails = true;
  await t.throwsAsync(here.take(ONE, lock), { message: 'away' });
  here.connect(server);
  await t.notThrowsAsync(there.take(TWO, lock));
});

test('of two that wait for each other over two servers, the later one is told', async (t) => {
  const waitsAt: ServedLocks[] = [];
  const servers = [0, 1].map(
    (number) =>
      new ServedLocks({ others: [(owners) => waitsAt[1 - number]?.waitsOf(owners) ?? []] }),
  );
  waitsAt.push(...servers);
  const [first, second] = servers as [ServedLocks, ServedLocks];
  const lock = lockOf('write');
  const ask = (
    server: ServedLocks,
    client: string,
    wait?: number,
  ): LockAnswer | PromiseLike<LockAnswer> =>
    server.lock(client, { inode: INODE, owner: ONE, lock, wait });
  t.is(ask(first, 'aa'), 'granted');
  t.is(ask(second, 'bb'), 'granted');
  const waiting = ask(second, 'aa', 1);
  await manyTurns();
  t.is(await ask(first, 'bb', 1), 'deadlock');
  second.drop('bb');
  t.is(await waiting, 'granted');
});

test('a request that makes no sense is refused, and one too many', (t) => {
  const server = new ServedLocks();
  const lock = { ...lockOf('read'), start: 5, end: 4 };
  t.throws(() => server.lock('aa', { inode: INODE, owner: ONE, lock, wait: undefined }), {
    instanceOf: FsError,
    code: 'EINVAL',
  });
  t.is(
    server.lock('aa', { inode: INODE, owner: ONE, lock: lockOf('write'), wait: undefined }),
    'granted',
  );
  const wait = (number: number): unknown =>
    server.lock('bb', { inode: INODE, owner: TWO, lock: lockOf('write'), wait: number });
  for (let number = 1; number <= 2048; number++) wait(number);
  t.throws(() => wait(2049), { code: 'ENOLCK' });
  server.close();
  t.is(server.counts().waits, 2048);
});
