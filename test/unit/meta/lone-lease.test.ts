import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { silentLogger } from '../../../src/log.ts';
import { LoneLease } from '../../../src/meta/lone-lease.ts';

const GRANT_MS = 2000;

interface Question {
  answer: (grantedMs: number) => Promise<void>;
  fail: () => Promise<void>;
}

interface Fixture {
  lease: LoneLease;
  clock: ManualClock;
  /** Of each server: the questions that it has not answered. */
  asked: Question[][];
  /** Asks as whoever answers the kernel does, about what begins now. */
  leftMs: () => number;
}

function start(servers: number): Fixture {
  const clock = new ManualClock();
  const asked: Question[][] = Array.from({ length: servers }, () => []);
  const questions = asked.map(
    (waiting) => () =>
      new Promise<number>((resolve, reject) => {
        const settled = async (settle: () => void): Promise<void> => {
          settle();
          for (let turn = 0; turn < 5; turn++) await Promise.resolve();
        };
        waiting.push({
          answer: (grantedMs) =>
            settled(() => {
              resolve(grantedMs);
            }),
          fail: () =>
            settled(() => {
              reject(new Error('away'));
            }),
        });
      }),
  );
  const lease = new LoneLease(questions, { clock, logger: silentLogger });
  return { lease, clock, asked, leftMs: () => lease.leftMs(lease.nowMs()) };
}

test('a lease counts from when it was asked for, not from when it was answered', async (t) => {
  const { clock, asked, leftMs } = start(1);
  t.is(leftMs(), 0);
  clock.advance(300);
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(leftMs(), GRANT_MS - 300);
  clock.advance(GRANT_MS - 301);
  t.is(leftMs(), 1);
  clock.advance(1);
  t.is(leftMs(), 0);
});

test('an answer that took longer than the lease is none', async (t) => {
  const { lease, clock, asked, leftMs } = start(1);
  leftMs();
  clock.advance(GRANT_MS);
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(leftMs(), 0);
  t.false(lease.isAlone);
});

test('what began before the lease was asked for is not covered by it', async (t) => {
  const { lease, clock, asked, leftMs } = start(1);
  const early = lease.nowMs();
  clock.advance(10);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(lease.leftMs(early), 0);
  t.is(lease.leftMs(early + 10), GRANT_MS);
});

test('a lease that is renewed in time covers what began under the former one', async (t) => {
  const { lease, clock, asked, leftMs } = start(1);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  const begun = lease.nowMs();
  clock.advance(500);
  t.is(leftMs(), GRANT_MS - 500);
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(lease.leftMs(begun), GRANT_MS);
});

test('after a gap, what began under the former lease is not covered', async (t) => {
  const { lease, clock, asked, leftMs } = start(1);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  const begun = lease.nowMs();
  clock.advance(GRANT_MS);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(lease.leftMs(begun), 0);
  t.is(leftMs(), GRANT_MS);
});

test('of several servers the earliest end counts, and one that grants nothing ends it', async (t) => {
  const { lease, clock, asked, leftMs } = start(2);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(leftMs(), 0);
  clock.advance(100);
  await asked[1]?.shift()?.answer(GRANT_MS);
  t.is(leftMs(), GRANT_MS - 100);
  clock.advance(400);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  t.is(leftMs(), GRANT_MS - 500, 'the other has not answered again');
  await asked[1]?.shift()?.answer(0);
  t.is(leftMs(), 0);
  t.false(lease.isAlone);
});

test('a server that cannot be reached lets the lease end', async (t) => {
  const { clock, asked, leftMs } = start(1);
  leftMs();
  await asked[0]?.shift()?.answer(GRANT_MS);
  clock.advance(500);
  leftMs();
  await asked[0]?.shift()?.fail();
  t.is(leftMs(), 0);
});

test('servers are asked while the mount is used, one question at a time, and not for every answer', async (t) => {
  const { clock, asked, leftMs } = start(1);
  leftMs();
  leftMs();
  t.is(asked[0]?.length, 1);
  await asked[0]?.shift()?.answer(GRANT_MS);
  clock.advance(499);
  leftMs();
  t.is(asked[0]?.length, 0);
  clock.advance(1);
  leftMs();
  clock.advance(5000);
  leftMs();
  t.is(asked[0]?.length, 1);
  await asked[0]?.shift()?.answer(0);
  leftMs();
  t.is(asked[0]?.length, 1, 'the last question is long ago');
  await asked[0]?.shift()?.answer(0);
  clock.advance(999);
  leftMs();
  t.is(asked[0]?.length, 0);
  clock.advance(1);
  leftMs();
  t.is(asked[0]?.length, 1);
});
