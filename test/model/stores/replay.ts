/**
 * How the models of the stores are run: IMSSFS_TEST_SEED (and, after a failure, IMSSFS_TEST_PATH) repeats a run,
 * IMSSFS_TEST_MODEL_RUNS multiplies its length. The seed is printed before, a minimal script after a failure.
 */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';

/** How long smaller scripts are tried after the first failure. */
const SHRINK_TIME_MS = 60_000;
const PROGRESS_MS = 10_000;

/** How many times as long as usual models run. */
const lengthFactor = Math.max(1, Number(process.env['IMSSFS_TEST_MODEL_RUNS'] ?? 1));

export interface Check<T> {
  arbitrary: fc.Arbitrary<T>;
  property: (value: T) => Promise<void> | void;
  print: (value: T) => string;
  runs: number;
  progress?: () => string;
}

function seedOfThisRun(): number {
  const given = process.env['IMSSFS_TEST_SEED'];
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
}

/** Fails `t` with the seed, the command that repeats the failure, and the smallest script that fails. */
export async function check<T>(t: ExecutionContext, options: Check<T>): Promise<void> {
  const seed = seedOfThisRun();
  const path = process.env['IMSSFS_TEST_PATH'];
  const runs = Math.ceil(options.runs * lengthFactor);
  // At once: what a test logs is shown when it ends, and one that hangs never does.
  console.error(`IMSSFS_TEST_SEED=${seed}: ${t.title}, ${runs} scripts`);
  let toldMs = Date.now();
  let failedMs = Infinity;
  let done = 0;
  const property = fc.asyncProperty(options.arbitrary, async (value) => {
    if (Date.now() > failedMs + SHRINK_TIME_MS) return;
    try {
      await options.property(value);
    } catch (error) {
      if (failedMs === Infinity) {
        failedMs = Date.now();
        console.error(`IMSSFS_TEST_SEED=${seed}: ${String(error)}\n${options.print(value)}`);
      }
      throw error;
    }
    done++;
    if (lengthFactor === 1 || Date.now() - toldMs < PROGRESS_MS) return;
    toldMs = Date.now();
    console.error(`${t.title}: ${done} of ${runs} scripts, ${options.progress?.() ?? ''}`);
  });
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path !== undefined && { path }),
  });
  if (!details.failed) {
    // A path may skip scripts, and may be one that leads nowhere.
    if (path === undefined) t.is(details.numRuns, runs);
    else t.true(details.numRuns > 0, `IMSSFS_TEST_PATH=${path} leads to no script`);
    return;
  }
  const [value] = details.counterexample ?? [];
  const script = value === undefined ? 'no script' : options.print(value);
  t.fail(
    `IMSSFS_TEST_SEED=${seed} IMSSFS_TEST_PATH=${details.counterexamplePath ?? ''} ` +
      `npx ava --match '${t.title}'\n${script}\n${String(details.errorInstance)}`,
  );
}
