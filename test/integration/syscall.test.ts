import test from 'ava';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Errno } from '../../src/errno.ts';
import { statInChild } from '../../src/fs/fuse/syscall.ts';

const TIMEOUT_MS = 30_000;

test('a call in a child gives 0 or its errno', async (t) => {
  t.is(await statInChild(Buffer.from('/'), TIMEOUT_MS), 0);
  t.is(await statInChild(Buffer.from('/no/such/path'), TIMEOUT_MS), Errno.ENOENT);
  t.is(await statInChild(Buffer.from('/proc/version/x'), TIMEOUT_MS), Errno.ENOTDIR);
});

test('a child whose program is gone, as after an update, has no errno', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  cpSync(fileURLToPath(new URL('../../src', import.meta.url)), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = pathToFileURL(join(folder, 'fs/fuse/syscall.js')).href;
  const installed = (await import(program)) as { statInChild: typeof statInChild };
  t.is(await installed.statInChild(Buffer.from('/'), TIMEOUT_MS), 0);
  rmSync(join(folder, 'fs/fuse/syscall-child.js'));
  t.is(await installed.statInChild(Buffer.from('/'), TIMEOUT_MS), undefined);
});
