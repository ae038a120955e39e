/** A reservation over several memories: all of it is made, or nothing stays. */
import { isPromiseLike, type MaybePromise, type Task, wait } from '../task.ts';
import type { BlockExtent, Reserved } from './store.ts';

/** One memory, and what it is asked to reserve; `reserve` fails having changed nothing. */
export interface ReservationPart {
  readonly extents: readonly BlockExtent[];
  readonly reserve: (extents: readonly BlockExtent[]) => MaybePromise<Reserved>;
  readonly unreserve: (extents: readonly BlockExtent[]) => MaybePromise<unknown>;
}

type Outcome = { readonly reserved: Reserved } | { readonly error: unknown };

/** Asks all at once. If one fails, what the others have added is given back, and its failure is thrown. */
export function* reserveAll(parts: readonly ReservationPart[]): Task<Reserved> {
  const started = parts.map((part) => attempt(() => part.reserve(part.extents)));
  const outcomes: Outcome[] = [];
  for (const outcome of started) outcomes.push(yield* wait(outcome));
  const failure = outcomes.find((outcome) => 'error' in outcome);
  if (failure === undefined) return sum(outcomes);
  for (const [index, outcome] of outcomes.entries()) {
    const part = parts[index];
    if (part === undefined || !('reserved' in outcome)) continue;
    // A server that cannot be reached keeps what it has reserved; what the caller is told stays the first failure.
    yield* wait(attempt(() => part.unreserve(outcome.reserved.added)));
  }
  throw failure.error;
}

/** Never rejects. */
function attempt(ask: () => MaybePromise<unknown>): MaybePromise<Outcome> {
  const succeeded = (reserved: unknown): Outcome => ({ reserved: reserved as Reserved });
  const failed = (error: unknown): Outcome => ({ error });
  try {
    const answer = ask();
    return isPromiseLike(answer) ? answer.then(succeeded, failed) : succeeded(answer);
  } catch (error) {
    return failed(error);
  }
}

function sum(outcomes: readonly Outcome[]): Reserved {
  let storedDelta = 0;
  const added: BlockExtent[] = [];
  for (const outcome of outcomes) {
    if (!('reserved' in outcome)) continue;
    storedDelta += outcome.reserved.storedDelta;
    added.push(...outcome.reserved.added);
  }
  return { storedDelta, added };
}
