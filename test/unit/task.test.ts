import test from 'ava';
import { FsError } from '../../src/errno.ts';
import { Interruption, isPromiseLike, runSync, runTask, type Task, wait } from '../../src/task.ts';

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
  const controller = new Interruption();
  const steps: string[] = [];
  function* interrupted(): Task<void> {
    try {
      yield* wait(new Promise(() => undefined));
    } finally {
      steps.push(yield* wait(Promise.resolve('cleaned up')));
    }
  }
  const outcome = runTask(interrupted(), () => controller);
  controller.raise(new FsError('EINTR'));
  await t.throwsAsync(async () => outcome, { instanceOf: FsError, message: 'EINTR' });
  t.deepEqual(steps, ['cleaned up']);
});

test('an interruption that is raised before the task waits reaches it, and the first reason counts', async (t) => {
  const interruption = new Interruption();
  interruption.raise(new FsError('EINTR'));
  interruption.raise(new FsError('EIO'));
  const outcome = runTask(add(new Promise(() => undefined), 1), () => interruption);
  await t.throwsAsync(async () => outcome, { message: 'EINTR' });
});

test('what comes after an interruption is not the answer to what the task waits for next', async (t) => {
  const interruption = new Interruption();
  const resolvers: ((word: string) => void)[] = [];
  const answer = () => new Promise<string>((resolve) => resolvers.push(resolve));
  const [late, next] = [answer(), answer()];
  function* interrupted(): Task<string> {
    try {
      return yield* wait(late);
    } catch {
      return yield* wait(next);
    }
  }
  const outcome = runTask(interrupted(), () => interruption);
  interruption.raise(new FsError('EINTR'));
  await Promise.resolve();
  resolvers[0]?.('late');
  await Promise.resolve();
  resolvers[1]?.('next');
  t.is(await outcome, 'next');
});

test('no interruption is asked for by a task that does not wait', (t) => {
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
