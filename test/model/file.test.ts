/**
 * Random reads, writes, mappings and truncations of one file by several handles, beside a buffer that says what must come
 * of them. IMSSFS_TEST_SEED repeats a run, IMSSFS_MODEL_OPERATIONS makes a longer one.
 */
import type { ExecutionContext } from 'ava';
import { mountTest } from '../support/mount.ts';
import { FileUnderTest } from './file.ts';

const DEFAULT_OPERATIONS = 800;
const operations = Number(process.env['IMSSFS_MODEL_OPERATIONS'] ?? DEFAULT_OPERATIONS);
const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

for (const blockSizeBytes of [4096, 1_000_000, 2 ** 20]) {
  mountTest(
    `a file of blocks of ${blockSizeBytes} bytes is read as it was written, mapped and cut`,
    (t, mount) => {
      const file = new FileUnderTest(mount.at('file'), seed);
      try {
        runOn(t, file);
      } finally {
        file.close();
      }
    },
    { args: ['-b', String(blockSizeBytes)], notOn: ['fuse-native'] },
  );
}

function runOn(t: ExecutionContext, file: FileUnderTest): void {
  for (let step = 0; step < operations; step++) {
    const difference = file.step();
    if (difference === undefined) continue;
    const log = file.latestSteps().join('\n');
    t.fail(`IMSSFS_TEST_SEED=${seed}, step ${step}: ${difference}\nThe latest steps:\n${log}`);
    return;
  }
  t.is(file.check(), undefined, `IMSSFS_TEST_SEED=${seed}, at the end`);
}
