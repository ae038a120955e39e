import test from 'ava';
import { settleAll, waitToTheEnd } from '../../../src/fs/settle.ts';
import { Interruption, runSync, runTask } from '../../../src/task.ts';

const later = <T>(value: T): Promise<T> =>
  new Promise((resolve) => {
    setImmediate(() => {
      resolve(value);
    });
  });

test('answers that come at once are not waited for, and not kept', (t) => {
  const keep = (): number => t.fail();
  const outcomes = runSync(settleAll([() => 1, () => 2], keep));
  t.deepEqual(
    outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value),
    [1, 2],
  );
});

test('beside an answer that takes time, those at hand are made to last', async (t) => {
  const outcomes = await runTask(settleAll<number>([() => 1, () => later(2)], (n) => n * 10));
  t.deepEqual(outcomes, [
    { status: 'fulfilled', value: 10 },
    { status: 'fulfilled', value: 2 },
  ]);
});

test('no call is started after one that failed at once; the others are waited for', async (t) => {
  let started = 0;
  const outcomes = await runTask(
    settleAll<number>([
      () => later(++started),
      () => {
        started++;
        throw new Error('full');
      },
      () => ++started,
    ]),
  );
  t.is(started, 2);
  t.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
});

test('an abort does not end a call that changes something: its answer counts, or its failure', async (t) => {
  for (const isFailing of [false, true]) {
    const abort = new Interruption();
    let end = (): void => undefined;
    const call = new Promise<string>((resolve, reject) => {
      end = () => {
        if (isFailing) reject(new Error('full'));
        else resolve('answer');
      };
    });
    let isDone = false;
    const waiting = Promise.resolve(runTask(waitToTheEnd(call), () => abort)).finally(
      () => (isDone = true),
    );
    const outcome = Promise.allSettled([waiting]);
    abort.raise(new Error('interrupted'));
    await later(undefined);
    t.false(isDone);
    end();
    const [settled] = await outcome;
    if (isFailing) t.like(settled, { status: 'rejected', reason: { message: 'full' } });
    else t.deepEqual(settled, { status: 'fulfilled', value: 'answer' });
  }
});
