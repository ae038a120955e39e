import test from 'ava';
import { PendingPoll } from '../../../../src/fs/fuse/pending-poll.ts';
import { SharedCpu } from '../../../../src/fs/fuse/shared-cpu.ts';

/** Turns of the event loop until `asked` stops growing. */
async function turnsOf(asked: () => number): Promise<void> {
  for (let before = -1; before !== asked();) {
    before = asked();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('the event loop stays awake until nothing is pending', async (t) => {
  let asked = 0;
  const poll = new PendingPoll(1000, () => ++asked < 5, new SharedCpu(() => 0));
  poll.begin();
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 5);
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 6);
});

test('it falls asleep when the answer takes too long', async (t) => {
  let asked = 0;
  let nowMs = 0;
  const poll = new PendingPoll(
    0.1,
    () => ++asked > 0,
    new SharedCpu(
      () => nowMs,
      () => (nowMs += 0.1),
    ),
  );
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 4, 'it looks for four times as long as for a request of the kernel');
});

test('without a limit it never polls', async (t) => {
  let asked = 0;
  const poll = new PendingPoll(0, () => ++asked > 0);
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 0);
});

test('a program that computes on the same CPU ends it, and keeps it from beginning for a while', async (t) => {
  let asked = 0;
  let nowMs = 0;
  const poll = new PendingPoll(
    1000,
    () => ++asked > 0,
    new SharedCpu(
      () => nowMs,
      () => (nowMs += 3),
    ),
  );
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 1);
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 1);
  nowMs += 10;
  poll.begin();
  await turnsOf(() => asked);
  t.is(asked, 2);
});
