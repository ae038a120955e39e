import test from 'ava';
import type { ExecutionContext } from 'ava';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measure, type Plan, type Progress } from '../../../bench/harness/rounds.ts';
import type { Target } from '../../../bench/harness/targets.ts';
import type { Scope, Workload } from '../../../bench/harness/workloads.ts';

/** Plain folders as targets; `b` refuses O_DIRECT. */
function planFor(t: ExecutionContext, workloads: readonly Workload[]): Plan {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-bench-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const targets = ['a', 'b'].map((name): Target => {
    const path = join(folder, name);
    mkdirSync(path);
    const kind = { name, title: name, byDefault: true, mount: () => Promise.resolve(path) };
    return { kind, folder: path, takesDirect: name === 'a' };
  });
  const { signal } = new AbortController();
  return { workloads, targets, rounds: 2, warmUps: 1, spare: folder, signal };
}

function workload(name: string, run: (scope: Scope) => number, direct = false): Workload {
  return {
    ...{ name, unit: 'ops/s', direct, dropsCaches: false, headline: false },
    run: (scope) => Promise.resolve().then(() => run(scope)),
  };
}

const ignore = (): void => undefined;

test('each workload runs on all targets before the next, in another order each round', async (t) => {
  const seen: string[] = [];
  const plan = planFor(t, [workload('one', () => 1), workload('two', () => 2)]);
  await measure(plan, ({ round, workload: name, target }) =>
    seen.push(`${round} ${name} ${target}`),
  );
  t.deepEqual(seen, [
    ...['0 one a', '0 one b', '0 two a', '0 two b'],
    ...['1 one b', '1 one a', '1 two b', '1 two a'],
    ...['2 one a', '2 one b', '2 two a', '2 two b'],
  ]);
});

test('figures of the round that warms up do not count', async (t) => {
  let calls = 0;
  const { rows, failures } = await measure(planFor(t, [workload('one', () => ++calls)]), ignore);
  t.deepEqual(failures, []);
  t.deepEqual(rows, [
    { name: 'one', unit: 'ops/s', headline: false, samples: { a: [4, 5], b: [3, 6] } },
  ]);
});

test('progress goes from nothing to almost all', async (t) => {
  const seen: Progress[] = [];
  await measure(planFor(t, [workload('one', () => 1)]), (progress) => seen.push(progress));
  t.is(seen[0]?.done, 0);
  t.is(seen.at(-1)?.done, 5 / 6);
});

test('what a workload leaves is there for the next, and gone when the round ends', async (t) => {
  const found: string[][] = [];
  const plan = planFor(t, [
    workload('make', ({ folder }) => {
      writeFileSync(join(folder, 'file'), '');
      return 1;
    }),
    workload('use', ({ folder }) => found.push(readdirSync(folder))),
  ]);
  await measure({ ...plan, warmUps: 0, rounds: 1 }, ignore);
  t.deepEqual(found, [['file'], ['file']]);
  t.deepEqual(
    plan.targets.map(({ folder }) => readdirSync(folder)),
    [[], []],
  );
});

test('a target that refuses O_DIRECT has no figure where that is needed', async (t) => {
  const plan = planFor(t, [workload('direct', () => 7, true)]);
  const { rows, failures } = await measure(plan, ignore);
  t.deepEqual(rows[0]?.samples, { a: [7, 7], b: [null, null] });
  t.deepEqual(failures, []);
});

test('a workload that fails on a target is told once, and the others go on', async (t) => {
  const plan = planFor(t, [
    workload('one', ({ folder }) => {
      if (folder.includes('/b/')) throw new Error('EIO');
      return 5;
    }),
  ]);
  const { rows, failures } = await measure(plan, ignore);
  t.deepEqual(failures, ['one on b: EIO']);
  t.deepEqual(rows[0]?.samples, { a: [5, 5], b: [null, null] });
});

for (const figure of [0, -1, NaN, Infinity]) {
  test(`a rate of ${figure} is a failure, not a figure`, async (t) => {
    const { failures } = await measure(planFor(t, [workload('one', () => figure)]), ignore);
    t.deepEqual(failures, [`one on a: measured ${figure}`, `one on b: measured ${figure}`]);
  });
}

test('an abort ends the run with its reason', async (t) => {
  const controller = new AbortController();
  const plan = planFor(t, [
    workload('one', () => {
      controller.abort(new Error('ended by SIGINT'));
      throw new Error('killed');
    }),
  ]);
  await t.throwsAsync(measure({ ...plan, signal: controller.signal }, ignore), {
    message: 'ended by SIGINT',
  });
});
