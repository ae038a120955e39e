/**
 * `npm run test:model`: the model-based test of the mount alone, longer than in the suite, or a failure again.
 * The run itself is the ava test beside this file, which sees to mounts and daemons.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `npm run test:model -- [options]
  --operations N   how many operations for each block size (default 20,000)
  --seed N         begin with this seed (default: random, printed)
  --path P         run only the script at this place, as a failure has named it
  --script FILE    run the script in this file, as a failure has kept it
  --block-size N   only with blocks of this size: 4096 or 1048576`;

const TEST = 'dist/test/model/mount-model.test.js';
/** The root of the checkout, from dist/test/model. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Options by the environment variables that the test reads. */
const VARIABLES = {
  operations: 'IMSSFS_MODEL_OPERATIONS',
  seed: 'IMSSFS_TEST_SEED',
  path: 'IMSSFS_MODEL_PATH',
  script: 'IMSSFS_MODEL_SCRIPT',
  'block-size': 'IMSSFS_MODEL_BLOCK_SIZE',
} as const;

function readArguments(): Record<string, string> | undefined {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      operations: text,
      seed: text,
      path: text,
      script: text,
      'block-size': text,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  const environment: Record<string, string> = {};
  for (const [option, variable] of Object.entries(VARIABLES)) {
    const value = values[option as keyof typeof VARIABLES];
    if (value !== undefined) environment[variable] = value;
  }
  for (const option of ['operations', 'seed', 'block-size'] as const) {
    if (values[option] !== undefined && !/^-?\d+$/.test(values[option])) {
      throw new TypeError(`--${option} wants a number, not "${values[option]}"`);
    }
  }
  return environment;
}

function main(): void {
  const environment = readArguments();
  if (environment === undefined) {
    console.log(HELP);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-model-run-'));
  const findings = join(folder, 'findings');
  const ava = spawn('npx', ['ava', '--timeout=30m', TEST], {
    cwd: ROOT,
    env: {
      ...process.env,
      IMSSFS_TEST_ON: 'kernel',
      IMSSFS_MODEL_PROGRESS: '1',
      IMSSFS_MODEL_FINDINGS: findings,
      ...environment,
    },
    stdio: 'inherit',
  });
  ava.on('exit', (status, signal) => {
    const found = readFindings(findings);
    rmSync(folder, { recursive: true, force: true });
    if (status !== 0) {
      console.log(`The model test failed (${signal ?? `status ${String(status)}`}); see above.`);
    } else {
      console.log(found === '' ? 'Nothing was compared: the test was left out.' : found);
    }
    process.exitCode = found === '' ? (status ?? 1) || 1 : (status ?? 1);
  });
}

/** What the test has to say of its comparisons, a line each; empty if it made none. */
function readFindings(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch {
    return '';
  }
}

try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error(HELP);
  process.exitCode = 2;
}
