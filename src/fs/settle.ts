/** Waiting for several calls at once. */
import { isPromiseLike, type MaybePromise, type Task } from '../task.ts';

/**
 * Starts calls in their order, until one fails at once, and waits until every one that was started has ended, well or
 * not, even if the waiting task is aborted: the buffers that were passed to a call are in use until then, and what the
 * calls have done is done, so that the abort counts for nothing. If all answer at once, nothing is waited for; otherwise
 * `keep` makes of what has come at once something that lasts until the others have come.
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
  } catch {
    return (yield all) as PromiseSettledResult<T>[];
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

/**
 * As `wait`, but an abort counts for nothing: what the call answers does. For calls that change something elsewhere, whose
 * caller would otherwise not know what it has to account for.
 */
export function* waitToTheEnd<T>(call: MaybePromise<T>): Task<T> {
  if (!isPromiseLike(call)) return call;
  try {
    return (yield call) as T;
  } catch {
    // An abort, which comes once, or the call's own failure, which is thrown again.
    return (yield call) as T;
  }
}
