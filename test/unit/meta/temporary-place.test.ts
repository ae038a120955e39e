import { chownSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { SystemClock } from '../../../src/clock.ts';
import { MetaOpenError } from '../../../src/meta/database-file.ts';
import { makeTemporaryFolder, removeTemporaryFolder } from '../../../src/meta/temporary-place.ts';

const clock = new SystemClock();

function temporary(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imssfs-place-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

test.serial('a private folder is made in the runtime directory of its user', (t) => {
  const before = process.env['XDG_RUNTIME_DIR'];
  const runtime = temporary(t);
  process.env['XDG_RUNTIME_DIR'] = runtime;
  t.teardown(() => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = before;
  });
  const { folder } = makeTemporaryFolder(clock);
  t.is(dirname(folder), runtime);
  t.is(statSync(folder).mode & 0o777, 0o700);
  removeTemporaryFolder(folder);
  if (process.getuid?.() !== 0) return;
  // As with `su` or `sudo -E`.
  chownSync(runtime, 65534, 65534);
  const { folder: elsewhere } = makeTemporaryFolder(clock);
  removeTemporaryFolder(elsewhere);
  t.is(dirname(elsewhere), tmpdir());
  t.deepEqual(readdirSync(runtime), []);
});

test('where no folder can be made, it is said in one line what to do', (t) => {
  t.throws(() => makeTemporaryFolder(clock, '/proc'), {
    instanceOf: MetaOpenError,
    message:
      /^cannot make a folder for the metadata in \/proc \(E[A-Z]+\): name a file with -M, or a folder with TMPDIR$/,
  });
});
