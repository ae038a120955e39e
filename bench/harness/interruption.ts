/**
 * How a benchmark is ended by a signal: its work is aborted, its mounts go, and it exits with one status. Import it
 * first; whoever works synchronously for long looks at the signal between pieces of work.
 */
import { OptionError } from './options.ts';
import { USAGE_STATUS } from './shared-options.ts';

/** Exit status of a run that a signal has ended. */
export const INTERRUPTED_STATUS = 130;

const controller = new AbortController();

/** Aborted when SIGINT, SIGTERM or SIGHUP comes. */
export const interruption: AbortSignal = controller.signal;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    controller.abort(new Error(`ended by ${signal}`));
  });
}

/** Runs a benchmark to its end, which is the exit status of this process; a failure is one line on stderr. */
export async function runBenchmark(body: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await body();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = error instanceof OptionError ? USAGE_STATUS : 1;
  }
  if (interruption.aborted) process.exitCode = INTERRUPTED_STATUS;
}
