/** Waiting for several calls at once. */
import { isPromiseLike, type MaybePromise, type Task } from '../task.ts';

/**
 * Starts calls in their order, until one fails at once, and waits until every one that was started has ended, well or
 * not, even if the waiting task is aborted: the buffers that were passed to a call are in use until then. An abort is
 * thrown afterwards. If all answer at once, nothing is waited for; otherwise `keep` makes of what has come at once
 * something that lasts until the others have come.
 */
export function* settleAll<T>(
  calls: readonly (() => MaybePromise<T>)[],
  keep: (answer: T) => T = (answer) => answer,
): Task<PromiseSettledResult<T>[]> {
  const started: MaybePromise<PromiseSettledResult<T>>[] = [];
  for (const call of calls) {
    try {
      const answer = call();
      started.push(isPromiseLike(answer) ? outcomeOf(answer) : fulfilled(answer));
    } catch (reason) {
      started.push({ status: 'rejected', reason });
      break;
    }
  }
  if (!started.some(isPromiseLike)) return started as PromiseSettledResult<T>[];
  const all = Promise.all(started.map(async (outcome) => await lasting(outcome, keep)));
  try {
    return (yield all) as PromiseSettledResult<T>[];
  } catch (error) {
    yield all;
    throw error;
  }
}

function lasting<T>(
  outcome: MaybePromise<PromiseSettledResult<T>>,
  keep: (answer: T) => T,
): MaybePromise<PromiseSettledResult<T>> {
  if (isPromiseLike(outcome) || outcome.status === 'rejected') return outcome;
  return fulfilled(keep(outcome.value));
}

function fulfilled<T>(value: T): PromiseSettledResult<T> {
  return { status: 'fulfilled', value };
}

async function outcomeOf<T>(answer: PromiseLike<T>): Promise<PromiseSettledResult<T>> {
  try {
    return fulfilled(await answer);
  } catch (reason) {
    return { status: 'rejected', reason };
  }
}

/** As `wait`, but an abort is thrown only when the call has ended. */
export function* waitToTheEnd<T>(call: MaybePromise<T>): Task<T> {
  if (!isPromiseLike(call)) return call;
  const [outcome] = yield* settleAll([() => call]);
  if (outcome?.status === 'fulfilled') return outcome.value;
  throw outcome?.reason;
}
