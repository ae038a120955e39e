/** Link counts, inode numbers and devices over the life of a file system whose metadata stays. */
import { linkSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../../src/clock.ts';
import { ROOT_INODE } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { LocalMetaStore } from '../../src/meta/local.ts';
import { FileType } from '../../src/stat.ts';
import { commandTest } from '../support/command.ts';
import { sh } from '../support/run.ts';

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

commandTest('a file has up to 65,000 names; one more is EMLINK', async (t, shell) => {
  const file = join(shell.folder, 'metadata');
  // Made in the store itself, where a name takes microseconds.
  const store = await LocalMetaStore.open({
    path: file,
    clock: new SystemClock(),
    reaper: { free: () => undefined },
    defaults: { policy: 'RR', blockSizeBytes: 1024 * 1024, replication: 1 },
    owner: { ...owner, mode: 0o755 },
    logger: silentLogger,
  });
  const named = (name: string) => ({ parent: ROOT_INODE, name: Buffer.from(name) });
  const { inode } = store.create(named('1'), { mode: FileType.REGULAR | 0o644, ...owner });
  for (let i = 2; i < 65_000; i++) store.link(inode, named(String(i)));
  await store.close();
  await shell.mount('-M', file);
  const at = (name: number): string => join(shell.mnt, String(name));
  linkSync(at(1), at(65_000));
  t.is(statSync(at(64_999)).nlink, 65_000);
  t.throws(
    () => {
      linkSync(at(1), at(65_001));
    },
    { code: 'EMLINK' },
  );
  unlinkSync(at(1));
  linkSync(at(2), at(65_001));
  t.is(statSync(at(65_001)).nlink, 65_000);
  t.is((await shell.umount([shell.mnt])).status, 0);
});

commandTest(
  'inode numbers outlast a mount with -M, and mounts at the same time are different devices',
  async (t, shell) => {
    const file = join(shell.folder, 'metadata');
    const second = join(shell.folder, 'second');
    mkdirSync(second);
    const numbers = () => sh('find . -printf "%p %i\\n" | LC_ALL=C sort', { cwd: shell.mnt });
    await shell.mount('-M', file);
    await sh('mkdir -p a/b; touch a/f a/b/g; ln a/f a/h; ln -s f a/l; mkfifo a/p', {
      cwd: shell.mnt,
    });
    const before = await numbers();
    t.is(statSync(join(shell.mnt, 'a', 'h')).ino, statSync(join(shell.mnt, 'a', 'f')).ino);
    const other = await shell.imssfs([second]);
    t.is(other.status, 0, other.stderr);
    t.not(statSync(second).dev, statSync(shell.mnt).dev);
    t.is(statSync(join(shell.mnt, 'a', 'b')).dev, statSync(shell.mnt).dev);
    t.is((await shell.umount([second])).status, 0);
    t.is((await shell.umount([shell.mnt])).status, 0);
    await shell.mount('-M', file);
    t.is(await numbers(), before);
    await sh('touch a/new', { cwd: shell.mnt });
    const made = String(statSync(join(shell.mnt, 'a', 'new')).ino);
    t.false(before.split(/\s/).includes(made));
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);
