import test from 'ava';
import { FsError } from '../../src/errno.ts';
import { isPromiseLike, runSync, runTask, type Task, wait } from '../../src/task.ts';

function* add(a: number | Promise<number>, b: number | Promise<number>): Task<number> {
  return (yield* wait(a)) + (yield* wait(b));
}

test('a task of values that are here returns its result in the same turn', (t) => {
  t.is(runTask(add(1, 2)), 3);
});

test('a task that waits returns a promise of its result', async (t) => {
  const outcome = runTask(add(Promise.resolve(1), Promise.resolve(2)));
  t.true(isPromiseLike(outcome));
  t.is(await outcome, 3);
});

test('what a task throws before it waits is thrown to its caller', (t) => {
  function* failing(): Task<void> {
    yield* wait(1);
    throw new FsError('ENOENT');
  }
  t.throws(() => runTask(failing()), { instanceOf: FsError });
});

test('a rejection is thrown where the task waits, and the task may recover', async (t) => {
  function* recovering(): Task<string> {
    try {
      yield* wait(Promise.reject(new Error('lost')));
      return 'no error';
    } catch (error) {
      return (error as Error).message;
    }
  }
  t.is(await runTask(recovering()), 'lost');
});

test('an uncaught rejection rejects the promise of the task', async (t) => {
  await t.throwsAsync(async () => runTask(add(Promise.reject(new Error('lost')), 1)), {
    message: 'lost',
  });
});

test('an abort is thrown once where the task waits, and clean-up may wait again', async (t) => {
  const controller = new AbortController();
  const steps: string[] = [];
  function* interrupted(): Task<void> {
    try {
      yield* wait(new Promise(() => undefined));
    } finally {
      steps.push(yield* wait(Promise.resolve('cleaned up')));
    }
  }
  const outcome = runTask(interrupted(), () => controller.signal);
  controller.abort(new FsError('EINTR'));
  await t.throwsAsync(async () => outcome, { instanceOf: FsError, message: 'EINTR' });
  t.deepEqual(steps, ['cleaned up']);
});

test('no signal is asked for by a task that does not wait', (t) => {
  t.is(
    runTask(add(1, 2), () => {
      throw new Error('asked');
    }),
    3,
  );
});

test('runSync refuses a task that waits', (t) => {
  t.is(runSync(add(1, 2)), 3);
  t.throws(() => runSync(add(Promise.resolve(1), 2)), { instanceOf: TypeError });
});
