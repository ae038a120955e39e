/**
 * The metadata store, in processes that are killed, beside a model of it. Every operation that was acknowledged is
 * there afterwards; one that was on its way is there wholly or not at all.
 */
import test from 'ava';
import { Lives } from './meta-life.ts';
import {
  type CrashPoint,
  type Operation,
  printScript,
  type Script,
  type Step,
  type Tagging,
} from './meta-operations.ts';
import { runScript, type Tally } from './meta-run.ts';
import { scripts } from './meta-scripts.ts';
import type { Fault } from './meta-worker.ts';
import { check } from './replay.ts';

const MAX_STEPS = 150;

function newTally(): Tally {
  return { requests: 0, deaths: 0, done: 0, undone: 0 };
}

test('whatever kills the process, the metadata store keeps what it acknowledged and tears nothing', async (t) => {
  const lives = new Lives();
  const tally = newTally();
  try {
    await check(t, {
      arbitrary: scripts(MAX_STEPS),
      property: (script) => runScript(script, { lives, tally }),
      print: printScript,
      runs: 15,
      progress: () => JSON.stringify(tally),
    });
  } finally {
    await lives.close();
  }
  t.log(JSON.stringify(tally));
  t.true(tally.requests > 0);
});

const request = (
  operation: Operation,
  more: { tagging?: Tagging; crash?: CrashPoint } = {},
): Step => ({
  do: 'request',
  operation,
  ...more,
});
const newFile: Operation = { op: 'create', at: [0, 0], kind: 'file', mode: 0o644, owner: 1 };
const remove: Operation = { op: 'unlink', at: [0, 0] };

test('what was on its way when the process died is there wholly or not at all, and asking again runs it once', async (t) => {
  const lives = new Lives();
  const tagging: Tagging = { as: 'new', session: 0, acknowledges: false };
  try {
    for (const [at, done] of [
      ['write', 0],
      ['reply', 1],
    ] as const) {
      const tally = newTally();
      const crash: CrashPoint = { at, count: 1 };
      const steps = [request({ op: 'openSession' }), request(newFile, { tagging, crash })];
      await runScript({ steps, blocksOutliveUs: false }, { lives, tally });
      t.deepEqual(tally, { requests: 3, deaths: 1, done, undone: 1 - done });
    }
  } finally {
    await lives.close();
  }
});

/** Scripts that a sound store passes, and how a broken one is found out by each. */
const BROKEN: Record<Fault, { steps: Step[]; found: RegExp }> = {
  torn: {
    steps: [request(newFile, { crash: { at: 'write', count: 3 } })],
    found: /the database is in none of 2 states/,
  },
  lost: {
    steps: [request(newFile), request({ op: 'confirmBorn', inode: 1 })],
    found: /the database is not as the model has it:\ninodes 2: found .* unborn .* born/,
  },
  misled: {
    steps: [request({ op: 'create', at: [0, 0], kind: 'symlink', mode: 0o777, owner: 1 })],
    found: /the database is not as the model has it:\ninodes 2: found .* -> 7878/,
  },
  twice: {
    steps: [
      request({ op: 'openSession' }),
      request(newFile),
      request(remove, { tagging: { as: 'new', session: 0, acknowledges: false } }),
      request(remove, { tagging: { as: 'retry', earlier: 0 } }),
    ],
    found: /ended with ENOENT, the model with OK/,
  },
};

test('the model notices a store that tears, loses, changes or repeats what it does', async (t) => {
  const lives = new Lives();
  try {
    for (const fault of Object.keys(BROKEN) as Fault[]) {
      const { steps, found } = BROKEN[fault];
      const script: Script = { steps, blocksOutliveUs: false };
      await runScript(script, { lives, tally: newTally() });
      await t.throwsAsync(
        runScript(script, { lives, tally: newTally(), fault }),
        { message: found },
        fault,
      );
    }
  } finally {
    await lives.close();
  }
});
