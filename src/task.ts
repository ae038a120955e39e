/**
 * A task is a computation that may have to wait: a generator that yields promises and returns its result.
 * What is local runs to its end in one turn, without a promise; only what is remote ever suspends. The same
 * generator therefore serves a store in this process, one behind a socket, and a database transaction.
 */

/** A value that is here, or one that is on its way. */
export type MaybePromise<T> = T | PromiseLike<T>;

/** See the file's header. Written `function* name(…): Task<T>`, called by `yield* name(…)`. */
export type Task<T> = Generator<PromiseLike<unknown>, T, unknown>;

/** True for anything with a `then`. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Waits for `value` inside a task: `const x = yield* wait(store.get(key))`. Rejections are thrown here. */
export function* wait<T>(value: MaybePromise<T>): Task<T> {
  return isPromiseLike(value) ? ((yield value) as T) : value;
}

/**
 * Runs a task as far as it goes without waiting.
 * Returns the result itself if it never waited, else a promise of it; what the task throws in the first
 * turn is thrown here, later it rejects the promise.
 */
export function runTask<T>(task: Task<T>): MaybePromise<T> {
  const step = task.next();
  return step.done === true ? step.value : resume(task, step.value);
}

async function resume<T>(task: Task<T>, first: PromiseLike<unknown>): Promise<T> {
  let pending = first;
  for (;;) {
    let step: IteratorResult<PromiseLike<unknown>, T>;
    try {
      const value = await pending;
      step = task.next(value);
    } catch (error) {
      step = task.throw(error);
    }
    if (step.done === true) return step.value;
    pending = step.value;
  }
}

/** Runs a task that must not wait, as inside a synchronous transaction; throws a TypeError if it does. */
export function runSync<T>(task: Task<T>): T {
  const step = task.next();
  if (step.done === true) return step.value;
  task.return(undefined as T);
  throw new TypeError('A task waited where it must run in one turn');
}
