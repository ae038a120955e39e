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

/** Stops a task from waiting, from outside and once. Lighter than an AbortSignal, since each request may need one. */
export class Interruption {
  #reason: Error | undefined;
  #listener: ((reason: Error) => void) | undefined;

  /** Later reasons count for nothing. */
  raise(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#listener?.(reason);
  }

  /** For the one who waits: called once, at the latest when it is raised. */
  listen(listener: (reason: Error) => void): void {
    if (this.#reason === undefined) this.#listener = listener;
    else listener(this.#reason);
  }
}

/**
 * Runs a task as far as it goes without waiting.
 * Returns the result itself if it never waited, else a promise of it; what the task throws in the first
 * turn is thrown here, later it rejects the promise. `interruptionFor` is asked for an interruption once the task waits:
 * when that is raised, its reason is thrown at the place where the task waits, once; what the task then still does to
 * tidy up may wait again.
 */
export function runTask<T>(task: Task<T>, interruptionFor?: () => Interruption): MaybePromise<T> {
  const step = task.next();
  if (step.done === true) return step.value;
  const interruption = interruptionFor?.();
  return new Promise((resolve, reject) => {
    const run = new WaitingRun(task, resolve, reject);
    run.waitFor(step.value);
    interruption?.listen((reason) => {
      run.interrupt(reason);
    });
  });
}

/** A task that has waited at least once, on its way to its end. */
class WaitingRun<T> {
  readonly #task: Task<T>;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  /** What is waited for; an answer to anything before it comes too late. */
  #pending: PromiseLike<unknown> | undefined;

  constructor(task: Task<T>, resolve: (value: T) => void, reject: (error: unknown) => void) {
    this.#task = task;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  waitFor(pending: PromiseLike<unknown>): void {
    this.#pending = pending;
    pending.then(
      (value) => {
        if (this.#pending === pending) this.#goOn(() => this.#task.next(value));
      },
      (error: unknown) => {
        if (this.#pending === pending) this.#goOn(() => this.#task.throw(error));
      },
    );
  }

  /** In a later turn of the microtasks: whoever raises an interruption is not to find the task running in the midst of it. */
  interrupt(reason: Error): void {
    queueMicrotask(() => {
      if (this.#pending !== undefined) this.#goOn(() => this.#task.throw(reason));
    });
  }

  #goOn(step: () => IteratorResult<PromiseLike<unknown>, T>): void {
    this.#pending = undefined;
    try {
      const result = step();
      if (result.done === true) this.#resolve(result.value);
      else this.waitFor(result.value);
    } catch (error) {
      this.#reject(error);
    }
  }
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
