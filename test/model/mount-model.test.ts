/**
 * Random operations by several processes and users, on the mount and on a file system that is known to be right: results,
 * errnos, contents, listings and attributes must be the same after each. `npm run test:model -- --help` tells how to
 * run more of them, and how to run a failure again.
 */
import type { ExecutionContext } from 'ava';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mountTest } from '../support/mount.ts';
import {
  compare,
  type Failure,
  minimize,
  search,
  SearchError,
  showFailure,
  type Sides,
} from './comparison.ts';
import { scripts } from './generator.ts';
import type { Operation } from './operation.ts';
import { openPlaces, type Places } from './places.ts';
import { Progress } from './progress.ts';

const DEFAULT_OPERATIONS = 10_000;
const MAX_SCRIPT_OPERATIONS = 100;
/** Scripts for one seed; the next so many have the next seed, so that a failure is found again soon. */
const SCRIPTS_PER_SEED = 200;
const HOUR_MS = 3_600_000;

const operations = Number(process.env['IMSSFS_MODEL_OPERATIONS'] ?? DEFAULT_OPERATIONS);
const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const path = process.env['IMSSFS_MODEL_PATH'];
const scriptFile = process.env['IMSSFS_MODEL_SCRIPT'];
const onlyBlockSize = process.env['IMSSFS_MODEL_BLOCK_SIZE'];

for (const blockSizeBytes of [4096, 2 ** 20]) {
  if (onlyBlockSize !== undefined && Number(onlyBlockSize) !== blockSizeBytes) continue;
  mountTest(
    `random operations with blocks of ${blockSizeBytes} bytes do what they do on another file system`,
    async (t, mount) => {
      const places = await openPlaces(mount);
      try {
        if (scriptFile === undefined) await explore(t, places, blockSizeBytes);
        else await replay(t, places.sides, scriptFile);
      } finally {
        await places.close();
      }
    },
    {
      // Nothing would be compared but two of the same kind; self-check.test.ts does that.
      notOn: ['tmpfs'],
      // Scripts go on using what they have removed.
      lacks: 'hiddenFiles',
      args: ['-b', String(blockSizeBytes)],
      capacity: '2G',
      timeoutMs: operations > DEFAULT_OPERATIONS ? 24 * HOUR_MS : HOUR_MS / 6,
    },
  );
}

async function explore(t: ExecutionContext, places: Places, blockSizeBytes: number): Promise<void> {
  const { sides, features } = places;
  const arbitrary = scripts({ features, blockSizeBytes, maxOperations: MAX_SCRIPT_OPERATIONS });
  const progress = new Progress(operations);
  for (let next = seed; progress.done < operations; next++) {
    // Not by the test's log, which is shown at its end: a run that is killed has its seed, too.
    console.log(`IMSSFS_TEST_SEED=${next}, blocks of ${blockSizeBytes} bytes`);
    const failure = await search(sides, arbitrary, {
      seed: next,
      path,
      scripts: SCRIPTS_PER_SEED,
      onScript: (count) => {
        progress.add(count);
      },
    }).catch((error: unknown) => {
      if (!(error instanceof SearchError)) throw error;
      const text = [error.message, ...commands(error, blockSizeBytes)].join('\n');
      console.log(text);
      throw new Error(text, { cause: error });
    });
    if (failure !== undefined) {
      t.fail(report(failure, sides, blockSizeBytes));
      return;
    }
    if (path !== undefined) break;
  }
  t.log(progress.summary());
  t.true(progress.done > 0);
  const found =
    path === undefined
      ? `no difference in ${progress.done} operations`
      : 'the script at this path does not differ, or not any more';
  tell(`Blocks of ${blockSizeBytes} bytes: ${found}.`);
}

/** To `npm run test:model`, which repeats it at its end. */
function tell(line: string): void {
  const file = process.env['IMSSFS_MODEL_FINDINGS'];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

function report(failure: Failure, sides: Sides, blockSizeBytes: number): string {
  return [showFailure(failure, sides), ...commands(failure, blockSizeBytes)].join('\n');
}

function commands(
  found: { seed: number; path: string; script: readonly Operation[] },
  blockSizeBytes: number,
): string[] {
  return [
    'Run it again, as it was found and as it is shown here:',
    `  npm run test:model -- --block-size ${blockSizeBytes} --seed ${found.seed} --path ${found.path}`,
    `  ${replayCommand(found.script, found.seed, blockSizeBytes)}`,
  ];
}

/** Keeps the script in a file, and returns the command that runs it. */
function replayCommand(
  script: readonly Operation[],
  itsSeed: number,
  blockSizeBytes: number,
): string {
  const file = join(tmpdir(), `imssfs-model-${itsSeed}-${Date.now()}.json`);
  writeFileSync(file, `${JSON.stringify(script)}\n`);
  return `npm run test:model -- --block-size ${blockSizeBytes} --script ${file}`;
}

async function replay(t: ExecutionContext, sides: Sides, file: string): Promise<void> {
  const script = JSON.parse(readFileSync(file, 'utf8')) as Operation[];
  if ((await compare(sides, script)) === undefined) {
    t.pass('The script goes the same way on both sides');
    tell('The script does not differ, or not any more.');
    return;
  }
  const shortest = await minimize(sides, script);
  const failure = { seed, path: '', originalLength: script.length, ...shortest };
  t.fail(showFailure(failure, sides));
}
