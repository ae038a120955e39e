import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';
import { BOB } from '../support/users.ts';

mountTest('extended attributes are set, read, listed, replaced and removed', async (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, 'data');
  const before = statSync(path, { bigint: true });
  await sleep(20);
  t.deepEqual(libc.listxattr(path), []);
  libc.setxattr(path, 'user.one', Buffer.from('1'));
  libc.setxattr(path, 'user.two', Buffer.from([0, 255, 0, 10]));
  libc.setxattr(path, 'user.empty', Buffer.alloc(0));
  t.deepEqual(libc.listxattr(path), ['user.empty', 'user.one', 'user.two']);
  t.deepEqual(libc.getxattr(path, 'user.two'), Buffer.from([0, 255, 0, 10]));
  t.is(libc.getxattr(path, 'user.empty').length, 0);
  libc.setxattr(path, 'user.one', Buffer.from('a longer value than before'));
  t.is(libc.getxattr(path, 'user.one').toString(), 'a longer value than before');
  libc.removexattr(path, 'user.two');
  t.deepEqual(libc.listxattr(path), ['user.empty', 'user.one']);
  const after = statSync(path, { bigint: true });
  t.is(after.mtimeNs, before.mtimeNs);
  t.true(after.ctimeNs > before.ctimeNs);
  t.is(readFileSync(path, 'utf8'), 'data');
});

mountTest('XATTR_CREATE, XATTR_REPLACE and short buffers fail as setxattr(2) says', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, '');
  const value = Buffer.from('value');
  const set = (flags: number) => () => {
    libc.setxattr(path, 'user.a', value, flags);
  };
  t.throws(set(libc.XATTR_REPLACE), { code: 'ENODATA' });
  set(libc.XATTR_CREATE)();
  t.throws(set(libc.XATTR_CREATE), { code: 'EEXIST' });
  set(libc.XATTR_REPLACE)();
  t.is(libc.xattrSize(path, 'user.a'), 5);
  t.is(libc.xattrSize(path), 'user.a\0'.length);
  t.throws(() => libc.getxattr(path, 'user.a', 4), { code: 'ERANGE' });
  t.throws(() => libc.listxattr(path, 3), { code: 'ERANGE' });
  t.throws(() => libc.getxattr(path, 'user.none'), { code: 'ENODATA' });
  t.throws(
    () => {
      libc.removexattr(path, 'user.none');
    },
    { code: 'ENODATA' },
  );
});

mountTest('values of up to 64 KiB and many names are kept', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, 'data');
  for (const length of [1, 255, 4096, 30_000, 65_536]) {
    libc.setxattr(path, 'user.big', pattern(length, length));
    t.deepEqual(libc.getxattr(path, 'user.big'), pattern(length, length));
  }
  const names = Array.from({ length: 200 }, (_, i) => `user.name-${i}`);
  for (const name of names) libc.setxattr(path, name, Buffer.from(name));
  t.deepEqual(libc.listxattr(path), ['user.big', ...names].sort());
  for (const name of names) t.is(libc.getxattr(path, name).toString(), name);
  const long = `user.${'n'.repeat(250)}`;
  libc.setxattr(path, long, Buffer.from('long'));
  t.is(libc.getxattr(path, long).toString(), 'long');
  t.is(readFileSync(path, 'utf8'), 'data');
});

mountTest('a namespace without a name is EINVAL, an unknown namespace EOPNOTSUPP', (t, mount) => {
  const path = mount.at('f');
  writeFileSync(path, '');
  for (const [name, code] of [
    ['user.', 'EINVAL'],
    ['other.a', 'EOPNOTSUPP'],
    ['a', 'EOPNOTSUPP'],
  ] as const) {
    t.throws(
      () => {
        libc.setxattr(path, name, Buffer.from('v'));
      },
      { code },
      name,
    );
    t.throws(() => libc.getxattr(path, name), { code }, name);
    t.throws(
      () => {
        libc.removexattr(path, name);
      },
      { code },
      name,
    );
  }
});

mountTest('folders carry user attributes, symlinks refuse them', (t, mount) => {
  mkdirSync(mount.at('dir'));
  symlinkSync('dir', mount.at('link'));
  libc.setxattr(mount.at('dir'), 'user.a', Buffer.from('d'));
  t.is(libc.getxattr(mount.at('dir'), 'user.a').toString(), 'd');
  t.throws(
    () => {
      libc.setxattr(mount.at('link'), 'user.a', Buffer.from('l'));
    },
    { code: 'EPERM' },
  );
});

mountTest(
  'trusted attributes work on all kinds of entries and are for root alone',
  async (t, mount) => {
    await sh('touch f; mkdir d; ln -s f l; mkfifo p; chmod 666 f', { cwd: mount.path });
    for (const name of ['f', 'd', 'l', 'p']) {
      libc.setxattr(mount.at(name), 'trusted.a', Buffer.from(name));
      t.is(libc.getxattr(mount.at(name), 'trusted.a').toString(), name);
      t.deepEqual(libc.listxattr(mount.at(name)), ['trusted.a']);
    }
    await sh('setfattr -n user.b -v c f', { cwd: mount.path });
    const dump = await sh('getfattr -d -m - f', { cwd: mount.path, ...BOB });
    t.true(dump.includes('user.b="c"'));
    t.false(dump.includes('trusted'));
    const names = await sh('getfattr -m - f', { cwd: mount.path, ...BOB });
    t.regex(names, /user\.b/);
    t.notRegex(names, /trusted/);
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest('setfattr and getfattr of a whole tree bring attributes back', async (t, mount) => {
  const out = await sh(
    `mkdir -p d/e; touch d/f d/e/g; setfattr -n user.x -v 0x00ff10 d d/f; setfattr -n user.y -v text d/e/g
     getfattr -R -d -e hex d > "$SCRATCH/dump"; setfattr -x user.x d; setfattr -x user.y d/e/g
     setfattr --restore="$SCRATCH/dump"; getfattr -R -d -e hex d | cmp - "$SCRATCH/dump"
     getfattr --only-values -n user.y d/e/g`,
    { cwd: mount.path, env: { SCRATCH: mount.scratch } },
  );
  t.is(out, 'text');
});

mountTest(
  'a write takes away the file capabilities of a program',
  async (t, mount) => {
    const path = mount.at('program');
    const capabilities = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    writeFileSync(path, 'x');
    libc.setxattr(path, 'security.capability', capabilities);
    t.deepEqual(libc.getxattr(path, 'security.capability'), capabilities);
    await sh('chmod 777 program', { cwd: mount.path });
    await sh('echo y >> program', { cwd: mount.path, ...BOB });
    t.throws(() => libc.getxattr(path, 'security.capability'), { code: 'ENODATA' });
  },
  { needsRoot: true, lacks: 'caller' },
);
