import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { ALONE_AFTER_MS, GRANT_MS, LoneGrants } from '../../../src/meta/lone-grants.ts';

const there = (): boolean => true;

interface Fixture {
  grants: LoneGrants;
  clock: ManualClock;
  /** Milliseconds for which somebody has been told to wait, in order. */
  pauses: number[];
  /** Lets so much time pass, for those who wait, too. */
  pass: (ms: number) => Promise<void>;
}

function start(): Fixture {
  const clock = new ManualClock();
  const pauses: number[] = [];
  const sleepers = new Set<{ untilMs: number; wake: () => void }>();
  const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      pauses.push(ms);
      const sleeper = { untilMs: clock.monotonicMs() + ms, wake: resolve };
      sleepers.add(sleeper);
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (const sleeper of sleepers) {
      if (sleeper.untilMs > clock.monotonicMs()) continue;
      sleepers.delete(sleeper);
      sleeper.wake();
    }
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  return { grants: new LoneGrants({ clock, pause }), clock, pauses, pass };
}

/** Whether a promise has settled, and how. */
function watched<T>(promise: Promise<T>): { readonly value: T | undefined } {
  const state: { value: T | undefined } = { value: undefined };
  void promise.then((value) => {
    state.value = value;
  });
  return state;
}

test('the only client is granted the lease once it has been alone for long enough', async (t) => {
  const { grants, pass } = start();
  await grants.enter('a', there);
  t.is(grants.ask('a'), 0);
  await pass(ALONE_AFTER_MS - 1);
  t.is(grants.ask('a'), 0);
  await pass(1);
  t.is(grants.ask('a'), GRANT_MS);
  t.is(grants.ask('b'), 0, 'whoever has not been let in gets nothing');
});

test('clients that come before anything was granted do not wait, and get nothing', async (t) => {
  const { grants, pauses, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  t.true(await grants.enter('b', there));
  t.deepEqual(pauses, []);
  await pass(ALONE_AFTER_MS);
  t.is(grants.ask('a'), 0);
  t.is(grants.ask('b'), 0);
});

test('a second client waits until the grant of the first has ended, which gets no other meanwhile', async (t) => {
  const { grants, pauses, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  t.is(grants.ask('a'), GRANT_MS);
  await pass(500);
  const entering = watched(grants.enter('b', there));
  t.deepEqual(pauses, [GRANT_MS - 500]);
  t.is(grants.ask('a'), 0);
  await pass(GRANT_MS - 501);
  t.is(entering.value, undefined);
  t.is(grants.ask('a'), 0);
  await pass(1);
  t.true(entering.value);
  await pass(10 * ALONE_AFTER_MS);
  t.is(grants.ask('a'), 0);
  grants.left('b', true);
  t.is(grants.ask('a'), 0);
  await pass(ALONE_AFTER_MS);
  t.is(grants.ask('a'), GRANT_MS);
});

test('a timer that fires early lets nobody in early', async (t) => {
  const clock = new ManualClock();
  let fires = 0;
  const pause = (ms: number): Promise<void> => {
    fires++;
    clock.advance(fires === 1 ? ms - 1 : ms);
    return Promise.resolve();
  };
  const grants = new LoneGrants({ clock, pause });
  await grants.enter('a', there);
  clock.advance(ALONE_AFTER_MS);
  const endsMs = clock.monotonicMs() + grants.ask('a');
  await grants.enter('b', there);
  t.true(clock.monotonicMs() >= endsMs);
  t.is(fires, 2);
});

test('one that goes away while it waits leaves nothing behind', async (t) => {
  const { grants, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  grants.ask('a');
  let isThere = true;
  const entering = watched(grants.enter('b', () => isThere));
  isThere = false;
  await pass(GRANT_MS);
  t.false(entering.value);
  t.is(grants.ask('a'), GRANT_MS);
});

test('two that wait are let in together', async (t) => {
  const { grants, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  grants.ask('a');
  const entering = ['b', 'c'].map((client) => watched(grants.enter(client, there)));
  await pass(GRANT_MS);
  t.deepEqual(
    entering.map(({ value }) => value),
    [true, true],
  );
});

test('the client that has the grant comes back at once over another connection', async (t) => {
  const { grants, pauses, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  grants.ask('a');
  t.true(await grants.enter('a', there));
  grants.left('a', false);
  t.true(await grants.enter('a', there), 'its session had lapsed');
  t.deepEqual(pauses, []);
});

test('an orderly end ends the grant at once, a death does not', async (t) => {
  const { grants, pauses, pass } = start();
  await grants.enter('a', there);
  await pass(ALONE_AFTER_MS);
  grants.ask('a');
  const entering = watched(grants.enter('b', there));
  grants.left('a', true);
  await pass(0);
  t.true(entering.value);
  await pass(ALONE_AFTER_MS);
  t.is(grants.ask('b'), GRANT_MS);
  grants.left('b', false);
  void grants.enter('c', there);
  t.is(pauses.at(-1), GRANT_MS);
});

test('a restarted server waits for what its former life may have granted', async (t) => {
  const { grants, pauses, pass } = start();
  grants.resume(['a']);
  t.true(await grants.enter('a', there));
  t.deepEqual(pauses, []);
  const entering = watched(grants.enter('b', there));
  await pass(GRANT_MS - 1);
  t.is(entering.value, undefined);
  await pass(1);
  t.true(entering.value);
});

test('a restarted server that knows no client, or several, lets others in at once', async (t) => {
  for (const known of [[], ['a', 'b']]) {
    const { grants, pauses } = start();
    grants.resume(known);
    t.true(await grants.enter('c', there));
    t.deepEqual(pauses, []);
  }
});

test('a restarted server grants nothing before the client has been alone here for long enough', async (t) => {
  const { grants, pass } = start();
  grants.resume(['a']);
  await grants.enter('a', there);
  t.is(grants.ask('a'), 0);
  await pass(ALONE_AFTER_MS);
  t.is(grants.ask('a'), GRANT_MS);
});
