import test from 'ava';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { skipsMounts, withFolder } from '../support/mount.ts';
import { mountsBelow } from '../support/processes.ts';
import { runOk } from '../support/run.ts';

const SCRATCH_JOB = fileURLToPath(new URL('../../../examples/scratch-job.sh', import.meta.url));
const TIMEOUT_MS = 60_000;

(skipsMounts ? test.skip : test)(
  'the scratch job computes in a mount of its own and leaves only its result',
  async (t) => {
    t.timeout(2 * TIMEOUT_MS);
    await withFolder(TIMEOUT_MS, async (folder) => {
      mkdirSync(`${folder}/input/sub`, { recursive: true });
      writeFileSync(`${folder}/input/a`, 'hello\n');
      writeFileSync(`${folder}/input/sub/b c`, '');
      const result = `${folder}/result`;
      await runOk(SCRATCH_JOB, [`${folder}/input`, result, '64M'], {
        timeoutMs: TIMEOUT_MS,
        env: { TMPDIR: folder },
      });
      t.is(
        readFileSync(result, 'utf8'),
        '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  a\n' +
          'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  sub/b c\n',
      );
      t.deepEqual(mountsBelow(folder), []);
    });
  },
);
