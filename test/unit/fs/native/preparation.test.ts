import test from 'ava';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareMountPoint } from '../../../../src/fs/native/preparation.ts';

test('an ordinary user mounts on an empty folder only, root on any', async (t) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'imssfs-unit-')));
  const mountPoint = Buffer.from(folder);
  try {
    t.deepEqual(await prepareMountPoint({ mountPoint }, { mayMount: false }), {
      mountPoint,
      text: folder,
    });
    writeFileSync(join(folder, 'f'), '');
    await t.throwsAsync(prepareMountPoint({ mountPoint }, { mayMount: false }), {
      name: 'MountError',
      message: /choose an empty directory, or use --engine kernel$/,
    });
    t.is((await prepareMountPoint({ mountPoint }, { mayMount: true })).text, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
