import test from 'ava';
import {
  closeSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LibfuseMessages, prepareMountPoint } from '../../../../src/fs/native/preparation.ts';

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

test('libfuse is heard when it cannot read on, after any number of other lines', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-unit-'));
  const fd = openSync(join(folder, 'log'), 'a');
  try {
    writeSync(fd, 'fuse: reading device: Of an earlier mount\n');
    const messages = new LibfuseMessages(fd);
    t.is(messages.readFailure(), undefined);
    writeSync(fd, 'fuse: writing device: No such device\n');
    writeSync(fd, 'another line\n'.repeat(1000));
    t.is(messages.readFailure(), undefined);
    writeSync(fd, 'fuse: reading device: Invalid argument\nlast\n');
    t.is(messages.readFailure(), 'reading device: Invalid argument');
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
