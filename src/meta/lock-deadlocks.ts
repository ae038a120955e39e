/**
 * Deadlocks of owners that wait for each other, at one metadata server or several. An owner that begins to wait closes
 * the circle if there is one, so that is when it is looked for; what others begin later, they look for themselves.
 */
import type { MaybePromise } from '../task.ts';
import type { WaitEdges } from './lock-protocol.ts';

/** Those who are in the way of each of these owners, as far as they wait. */
export type WaitsOf = (owners: readonly string[]) => MaybePromise<readonly WaitEdges[]>;

/** Steps from owner to owner after which a search ends: longer circles are not found. */
const MOST_STEPS = 64;

/** Whether those who are in `owner`'s way wait for it, through however many others, at the one server that is asked. */
export function closesCircle(
  owner: string,
  blockers: readonly string[],
  waitsFor: (owner: string) => readonly string[],
): boolean {
  const seen = new Set<string>(blockers);
  for (const next of seen) {
    if (next === owner) return true;
    for (const blocker of waitsFor(next)) seen.add(blocker);
  }
  return false;
}

/** As {@link closesCircle}, where all of `servers` are asked; one that does not answer knows of no waits. */
export async function closesCircleAmong(
  owner: string,
  blockers: readonly string[],
  servers: readonly WaitsOf[],
): Promise<boolean> {
  const seen = new Set<string>();
  let frontier = [...blockers];
  for (let step = 0; step < MOST_STEPS && frontier.length > 0; step++) {
    if (frontier.includes(owner)) return true;
    for (const each of frontier) seen.add(each);
    const asked = frontier;
    const answers = await Promise.allSettled(servers.map(async (waitsOf) => waitsOf(asked)));
    const found = new Set<string>();
    for (const answer of answers) {
      if (answer.status === 'rejected') continue;
      for (const [, next] of answer.value) for (const each of next) found.add(each);
    }
    frontier = [...found].filter((each) => !seen.has(each));
  }
  return false;
}
