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
 * turn is thrown here, later it rejects the promise. `signalFor` is asked for a signal once the task waits: when
 * that aborts, its reason is thrown at the place where the task waits, once; what the task then still does to
 * tidy up may wait again.
 */
export function runTask<T>(task: Task<T>, signalFor?: () => AbortSignal): MaybePromise<T> {
  const step = task.next();
  return step.done === true ? step.value : resume(task, step.value, signalFor?.());
}

async function resume<T>(
  task: Task<T>,
  first: PromiseLike<unknown>,
  signal: AbortSignal | undefined,
): Promise<T> {
  let pending = first;
  let aborted = signal === undefined ? undefined : rejectionOnAbort(signal);
  for (;;) {
    let value: unknown;
    let failure: { error: unknown } | undefined;
    try {
      value = await (aborted === undefined ? pending : Promise.race([pending, aborted]));
    } catch (error) {
      failure = { error };
    }
    if (signal?.aborted === true) aborted = undefined;
    const step = failure === undefined ? task.next(value) : task.throw(failure.error);
    if (step.done === true) return step.value;
    pending = step.value;
  }
}

function rejectionOnAbort(signal: AbortSignal): Promise<never> {
  const rejection = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
  rejection.catch(() => undefined); // Nobody may be waiting when it rejects.
  return rejection;
}

/** What `next` makes of `value`, at once if it is here. */
export function then<T, R>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return isPromiseLike(value) ? value.then(next) : next(value);
}

/** Runs a task that must not wait, as inside a synchronous transaction; throws a TypeError if it does. */
export function runSync<T>(task: Task<T>): T {
  const step = task.next();
  if (step.done === true) return step.value;
  task.return(undefined as T);
  throw new TypeError('A task waited where it must run in one turn');
}
