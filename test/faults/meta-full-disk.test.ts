/** A metadata database whose disk is full: names can no longer be made, but always be removed. */
import test, { type ExecutionContext } from 'ava';
import { ROOT_INODE } from '../../src/ids.ts';
import type { LocalMetaStore } from '../../src/meta/local.ts';
import { isRoot, skipsMounts } from '../support/mount.ts';
import { runOk } from '../support/run.ts';
import { at, namesIn, openStore, outcome, temporaryFolder, touch } from '../unit/meta/helpers.ts';

const needsMounts = skipsMounts || !isRoot ? test.skip : test;

/** A folder on a file system of `size`; gone after the test. */
async function smallDisk(t: ExecutionContext, size: string): Promise<string> {
  const folder = temporaryFolder(t);
  await runOk('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
  t.teardown(() => runOk('umount', [folder]));
  return folder;
}

/** Makes files until that fails; returns how many, and how it failed. */
function fill(store: LocalMetaStore): { made: number; code: string } {
  for (let made = 0; ; made++) {
    const code = outcome(() => touch(store, `file-${made}`));
    if (code !== 'OK') return { made, code };
  }
}

needsMounts(
  'on a full disk creating fails with ENOSPC, removing works, and then creating works again',
  async (t) => {
    const store = await openStore(t, { temporaryIn: await smallDisk(t, '3M') });
    const first = fill(store);
    t.is(first.code, 'ENOSPC');
    t.true(first.made > 1000);
    for (let round = 0; round < 3; round++) {
      const names = namesIn(store);
      t.is(names.length, first.made);
      t.is(
        outcome(() => store.rename(at('file-0'), at('other'))),
        'ENOSPC',
      );
      for (const name of names) {
        const { record } = store.unlink(at(name));
        void store.reap(record.inode);
      }
      t.is(store.inodeCount(), 1);
      t.deepEqual(fill(store), first);
    }
  },
);

needsMounts('what is there can be changed on a full disk, any number of times', async (t) => {
  const store = await openStore(t, { temporaryIn: await smallDisk(t, '3M') });
  const { made } = fill(store);
  const inodes = namesIn(store).map((name) => store.lookup(ROOT_INODE, Buffer.from(name)).inode);
  t.is(inodes.length, made);
  for (let round = 0; round < 3; round++) {
    for (const inode of inodes) store.setAttributes(inode, { permissions: 0o600 + round });
  }
  for (const inode of inodes) t.is(store.inode(inode).mode & 0o7777, 0o602);
});
