/** What differs on the fuse-native engine, and how; each test names the limit that it shows. */
import test from 'ava';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { NativeLimitName } from '../../src/fs/native/limits.ts';
import { withCluster } from '../support/cluster.ts';
import { assertRefused, commandTest, daemonOf } from '../support/command.ts';
import { whyNoFuseNative } from '../support/fuse-native.ts';
import { Locker } from '../support/locker.ts';
import { engines, mountTest } from '../support/mount.ts';
import type { MountBody } from '../support/mount.ts';
import { mountOptionsOf } from '../support/processes.ts';
import { sh, shFails } from '../support/run.ts';
import { ALICE } from '../support/users.ts';

// Never where the package can be had and nobody chose engines: then a package that does not load fails the suite
// (whyNoFuseNative). Elsewhere one skipped line says that nothing below has run, and why.
if (!engines.includes('fuse-native')) {
  test.skip(`fuse-native is not tested: ${whyNoFuseNative ?? 'IMSSFS_TEST_ON leaves it out'}`, (t) => {
    t.fail();
  });
}

function nativeTest(
  title: string,
  body: MountBody,
  options: { limit: NativeLimitName; needsRoot?: boolean; alone?: true },
): void {
  mountTest(title, body, { ...options, notOn: ['kernel', 'tmpfs'] });
}

nativeTest(
  'nobody else gets in, and what is made belongs to who has mounted',
  async (t, mount) => {
    t.regex(
      await shFails('ls . 2>&1', { cwd: mount.path, ...ALICE }).catch(String),
      /EACCES|ermission/,
    );
    writeFileSync(mount.at('f'), 'x');
    t.is(statSync(mount.at('f')).uid, process.getuid?.() ?? -1);
  },
  { limit: 'caller', needsRoot: true },
);

nativeTest(
  'times are cut to milliseconds and to 1970, and both are kept',
  async (t, mount) => {
    await sh('echo x > f; touch -d @1000.123456789 f', { cwd: mount.path });
    t.is(await sh('stat -c %.9X,%.9Y f', { cwd: mount.path }), '1000.123000000,1000.123000000');
    utimesSync(mount.at('f'), 1000.5, 2000.25);
    t.is(await sh('stat -c %.3X,%.3Y f', { cwd: mount.path }), '1000.500,2000.250');
    await sh('touch -d @-100 f', { cwd: mount.path });
    t.is(statSync(mount.at('f')).mtimeMs, 0);
  },
  { limit: 'milliseconds' },
);

nativeTest(
  'one time alone cannot be set',
  async (t, mount) => {
    await sh('echo x > f; touch -d @1000 f; touch -m -d @2000 f', { cwd: mount.path });
    t.is(statSync(mount.at('f')).mtimeMs, 1_000_000);
  },
  { limit: 'partialChange' },
);

nativeTest(
  'names, targets and attribute names that are not UTF-8 are refused with EILSEQ',
  (t, mount) => {
    const bad = Buffer.concat([Buffer.from(`${mount.path}/`), Buffer.of(0xff)]);
    for (const path of [bad, mount.at('\uFFFD')]) {
      t.throws(
        () => {
          writeFileSync(path, 'x');
        },
        { code: 'EILSEQ' },
      );
      t.throws(
        () => {
          mkdirSync(path);
        },
        { code: 'EILSEQ' },
      );
      t.throws(() => statSync(path), { code: 'EILSEQ' });
      t.throws(
        () => {
          symlinkSync(path, mount.at('l'));
        },
        { code: 'EILSEQ' },
      );
    }
    writeFileSync(mount.at('\u{1F600} é'), 'x');
    t.throws(
      () => {
        renameSync(mount.at('\u{1F600} é'), bad);
      },
      { code: 'EILSEQ' },
    );
    t.deepEqual(readdirSync(mount.path), ['\u{1F600} é']);
  },
  { limit: 'utf8' },
);

nativeTest(
  'an open file without a name is hidden, readable and writable, and gone when it is closed',
  (t, mount) => {
    const fd = openSync(mount.at('f'), 'w+');
    writeSync(fd, 'before');
    unlinkSync(mount.at('f'));
    t.false(existsSync(mount.at('f')));
    const names = readdirSync(mount.path);
    t.is(names.length, 1, names.join());
    t.regex(names[0] ?? '', /^\.fuse_hidden/);
    writeSync(fd, ' after', 6);
    const back = Buffer.alloc(20);
    t.is(back.toString('utf8', 0, readSync(fd, back, 0, 20, 0)), 'before after');
    closeSync(fd);
  },
  { limit: 'hiddenFiles' },
);

nativeTest(
  'what is written through one name of a file is seen when another is opened',
  (t, mount) => {
    writeFileSync(mount.at('a'), 'one');
    linkSync(mount.at('a'), mount.at('b'));
    t.is(readFileSync(mount.at('b'), 'utf8'), 'one');
    writeFileSync(mount.at('a'), 'other');
    t.is(readFileSync(mount.at('b'), 'utf8'), 'other');
    t.is(statSync(mount.at('b')).size, 5);
    t.is(statSync(mount.at('a')).ino, statSync(mount.at('b')).ino);
    t.is(statSync(mount.at('a')).nlink, 2);
  },
  { limit: 'hardLinks' },
);

nativeTest(
  'reading ahead and writing back end no thread, which would leak',
  async (t, mount) => {
    const pid = daemonOf(mount.path);
    const threads = (): string[] => readdirSync(`/proc/${pid}/task`);
    const seen = new Set<string>();
    await sh('head -c 24M /dev/zero > big', { cwd: mount.path });
    for (let round = 0; round < 6; round++) {
      await sh('cat big > /dev/null & cp big copy; wait', { cwd: mount.path });
      for (const id of threads()) seen.add(id);
    }
    const alive = new Set(threads());
    t.deepEqual(
      [...seen].filter((id) => !alive.has(id)),
      [],
    );
  },
  { limit: 'threads', alone: true },
);

nativeTest(
  'appends through two names that are open at once overwrite each other, and through one name they do not',
  async (t, mount) => {
    const out = await sh(
      `touch a; ln a b; exec 3>>a 4>>b; echo one >&3; echo two >&4; cat a
       touch c; exec 5>>c 6>>c; echo one >&5; echo two >&6; cat c`,
      { cwd: mount.path },
    );
    t.is(out, 'two\none\ntwo');
  },
  { limit: 'hardLinks' },
);

commandTest(
  'mount options and mount points that fuse-native cannot have are refused',
  async (t, shell) => {
    const refused = async (args: string[], says: RegExp): Promise<void> => {
      const all = ['--engine', 'fuse-native', '--log-file', shell.logFile, ...args];
      assertRefused(t, await shell.imssfs(all), { status: 1, says });
    };
    if (!engines.includes('fuse-native')) {
      t.log('fuse-native is not there');
    } else {
      await refused(['-o', 'allow_other', shell.mnt], /leave out allow_other/);
      await refused(['-o', 'nodiratime', shell.mnt], /option nodiratime/); // limit: 'mountOptions'
      const long = join(shell.folder, ...Array.from({ length: 5 }, () => 'd'.repeat(220)));
      mkdirSync(long, { recursive: true });
      await refused([long], /at most 1023 bytes/); // limit: 'mountPoint'
      await refused(['-o', `fsname=${'s'.repeat(1000)}`, shell.mnt], /options take/);
      await shell.mount('--engine', 'fuse-native');
      t.regex(mountOptionsOf(shell.mnt)?.join() ?? '', /nosuid.*nodev/);
      t.is((await shell.umount([shell.mnt])).status, 0);
    }
    t.pass();
  },
  { once: true },
);

nativeTest(
  'locks of one mount are not those of another of the same file system',
  async (t) => {
    const mountArgs = ['--engine', 'fuse-native'];
    await withCluster(t, { meta: 1, blocks: 1, mounts: 2, mountArgs }, async (cluster) => {
      await Locker.with(3, async (here: Locker, beside: Locker, there: Locker) => {
        for (const [index, locker] of [here, beside, there].entries()) {
          await locker.do(`open ${cluster.at(index < 2 ? 0 : 1, 'f')}`);
        }
        t.is(await here.do('flock 3 EX'), 'ok');
        t.is(await beside.do('flock 3 EX NB'), 'EAGAIN');
        t.is(await there.do('flock 3 EX NB'), 'ok');
      });
    });
  },
  { limit: 'locks' },
);
