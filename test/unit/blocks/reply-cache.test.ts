import test from 'ava';
import { ReplyCache } from '../../../src/blocks/reply-cache.ts';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import { failsWith } from './fixtures.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);

function make(): { cache: ReplyCache; clock: ManualClock } {
  const clock = new ManualClock();
  return { cache: new ReplyCache(clock), clock };
}

function tag(
  sequence: number,
  acknowledgedBelow = 1,
): { sequence: number; acknowledgedBelow: number } {
  return { sequence, acknowledgedBelow };
}

test('a change that arrives again gets the first reply and does not run', (t) => {
  const { cache } = make();
  let runs = 0;
  const run = (): number => ++runs;
  t.is(cache.run(A, tag(1), run), 1);
  t.is(cache.run(A, tag(1), run), 1);
  t.is(cache.run(A, tag(2), run), 2);
  t.is(cache.run(B, tag(1), run), 3, 'another client counts for itself');
  t.is(cache.run(A, tag(1), run), 1);
});

test('a failure is a reply, too', (t) => {
  const { cache } = make();
  let runs = 0;
  const run = (): never => {
    runs++;
    throw new FsError('ENOSPC');
  };
  failsWith(t, 'ENOSPC', () => cache.run(A, tag(1), run));
  failsWith(t, 'ENOSPC', () => cache.run(A, tag(1), run));
  t.is(runs, 1);
});

test('a retry while the first still runs waits for it', async (t) => {
  const { cache } = make();
  let finish: (value: string) => void = () => undefined;
  const first = cache.run(A, tag(1), () => new Promise<string>((resolve) => (finish = resolve)));
  const second = cache.run(A, tag(1), () => 'ran again');
  finish('once');
  t.deepEqual(await Promise.all([first, second]), ['once', 'once']);
  t.is(await cache.run(A, tag(1), () => 'ran again'), 'once');
  const failed = cache.run(A, tag(2), () => Promise.reject(new FsError('EIO', 'once')));
  await t.throwsAsync(Promise.resolve(failed), { message: 'EIO: once' });
  failsWith(t, 'EIO', () => cache.run(A, tag(2), () => 'ran again'));
});

test('acknowledged replies are forgotten, and a late change of theirs is refused', (t) => {
  const { cache } = make();
  for (let sequence = 1; sequence <= 5; sequence++) cache.run(A, tag(sequence), () => sequence);
  t.is(cache.replyCount(A), 5);
  cache.run(A, tag(6, 4), () => 6);
  t.is(cache.replyCount(A), 3);
  let ran = false;
  failsWith(t, 'EIO', () =>
    cache.run(A, tag(3, 2), () => {
      ran = true;
    }),
  );
  t.false(ran);
  t.is(
    cache.run(A, tag(4), () => 'again'),
    4 as unknown as string,
  );
});

test('a client is remembered while it is connected and for a minute after', (t) => {
  const { cache, clock } = make();
  const [leftFirst, leftSecond] = [cache.connected(A), cache.connected(A)];
  cache.run(A, tag(1), () => 'first');
  clock.advance(3_600_000);
  leftFirst();
  leftFirst();
  clock.advance(3_600_000);
  cache.connected(B)();
  t.is(cache.replyCount(A), 1, 'its second connection is still there');
  leftSecond();
  clock.advance(60_000);
  cache.connected(B)();
  t.is(cache.replyCount(A), 1);
  clock.advance(1);
  cache.connected(B);
  t.deepEqual([cache.replyCount(A), cache.clientCount], [0, 1]);
});

test('a client that never acknowledges is stopped', (t) => {
  const { cache } = make();
  for (let sequence = 1; sequence <= 65_536; sequence++) cache.run(A, tag(sequence), () => 0);
  failsWith(t, 'EIO', () => cache.run(A, tag(65_537), () => 0));
  t.is(
    cache.run(A, tag(65_537, 2), () => 7),
    7,
  );
});
