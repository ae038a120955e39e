/** What fails as the man pages say it does. */
import type { ExecutionContext } from 'ava';
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import * as libc from '../support/libc.ts';
import { withFile } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Asserts that each call fails with the errno beside it. */
function fail(t: ExecutionContext, calls: readonly (readonly [string, () => unknown])[]): void {
  for (const [code, call] of calls) t.throws(call, { code }, call.toString());
}

mountTest(
  'open and descriptors refuse what they are not for, and those that are closed all',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, 'data');
    mkdirSync(mount.at('d'));
    const byte = Buffer.alloc(1);
    withFile(path, 'r', (fd) => {
      fail(t, [
        ['EBADF', () => writeSync(fd, byte)],
        ['EINVAL', () => { ftruncateSync(fd, 1); }], // prettier-ignore
      ]);
    });
    withFile(path, 'a', (fd) => {
      fail(t, [['EBADF', () => readSync(fd, byte)]]);
    });
    withFile(mount.at('d'), 'r', (fd) => {
      fail(t, [
        ['EISDIR', () => readSync(fd, byte)],
        ['EBADF', () => writeSync(fd, byte)],
        ['EINVAL', () => { ftruncateSync(fd, 1); }], // prettier-ignore
      ]);
      fsyncSync(fd);
    });
    const closed = openSync(path, 'r+');
    closeSync(closed);
    fail(t, [
      ['EBADF', () => readSync(closed, byte)],
      ['EBADF', () => writeSync(closed, byte)],
      ['EBADF', () => { fsyncSync(closed); }], // prettier-ignore
      ['EBADF', () => { closeSync(closed); }], // prettier-ignore
    ]);
    withFile(path, 'r', (fd) => {
      fail(t, [
        ['EINVAL', () => libc.lseek(fd, -1, 0)],
        ['EINVAL', () => libc.lseek(fd, 0, 9)],
      ]);
    });
    symlinkSync('f', mount.at('l'));
    symlinkSync('d', mount.at('ld'));
    const open = (name: string, flags: number) => () => openSync(mount.at(name), flags);
    fail(t, [
      ['ELOOP', open('l', O_RDONLY | O_NOFOLLOW)],
      ['ENOTDIR', open('f', O_RDONLY | O_DIRECTORY)],
      ['ENOTDIR', open('ld', O_RDONLY | O_DIRECTORY | O_NOFOLLOW)],
      ['EISDIR', open('d', O_RDWR)],
      ['EISDIR', open('d', O_WRONLY)],
      ['EISDIR', open('d', O_RDONLY | O_CREAT)],
      ['EISDIR', open('new/', O_RDWR | O_CREAT)],
      ['ENOTDIR', open('f/', O_RDONLY)],
      ['ENOENT', open('d/x/y', O_RDWR | O_CREAT)],
    ]);
  },
);

mountTest(
  'names that are taken, missing, dots or folders fail as the calls say',
  (t, mount) => {
    writeFileSync(mount.at('f'), '');
    mkdirSync(mount.at('d', 'e'), { recursive: true });
    const [f, d, e] = [mount.at('f'), mount.at('d'), mount.at('d', 'e')];
    fail(t, [
      ['ENOTEMPTY', () => { rmdirSync(d); }], // prettier-ignore
      ['EINVAL', () => { rmdirSync(`${d}/.`); }], // prettier-ignore
      ['ENOTEMPTY', () => { rmdirSync(`${d}/..`); }], // prettier-ignore
      ['ENOTDIR', () => { rmdirSync(f); }], // prettier-ignore
      ['EBUSY', () => { rmdirSync(mount.path); }], // prettier-ignore
      ['EISDIR', () => { unlinkSync(d); }], // prettier-ignore
      ['ENOTDIR', () => { unlinkSync(`${f}/`); }], // prettier-ignore
      ['EINVAL', () => { renameSync(d, `${e}/below`); }], // prettier-ignore
      ['ENOTEMPTY', () => { renameSync(e, d); }], // prettier-ignore
      ['EISDIR', () => { renameSync(f, d); }], // prettier-ignore
      ['ENOTDIR', () => { renameSync(d, f); }], // prettier-ignore
      ['EBUSY', () => { renameSync(`${d}/.`, mount.at('x')); }], // prettier-ignore
      ['EBUSY', () => { renameSync(mount.path, `${mount.path}-2`); }], // prettier-ignore
      ['EPERM', () => { linkSync(d, mount.at('x')); }], // prettier-ignore
      ['EEXIST', () => { linkSync(f, d); }], // prettier-ignore
      ['EEXIST', () => { mkdirSync(`${d}/.`); }], // prettier-ignore
      ['EEXIST', () => { symlinkSync('x', f); }], // prettier-ignore
      ['ENOENT', () => { symlinkSync('x', `${mount.path}/new/`); }], // prettier-ignore
      ['EISDIR', () => { truncateSync(d, 0); }], // prettier-ignore
      ['ENOTDIR', () => readdirSync(f)],
      ['ENOTDIR', () => statSync(`${f}/x`)],
    ]);
  },
  { alone: true },
);

mountTest(
  'flags that nobody knows, or that contradict each other, are EINVAL',
  (t, mount) => {
    writeFileSync(mount.at('f'), '');
    writeFileSync(mount.at('g'), '');
    const rename = (flags: number) => () => {
      libc.renameat2(mount.at('f'), mount.at('g'), flags);
    };
    const set = (flags: number) => () => {
      libc.setxattr(mount.at('f'), 'user.a', Buffer.from('v'), flags);
    };
    fail(t, [
      ['EINVAL', rename(1 << 10)],
      ['EINVAL', rename(libc.RENAME_NOREPLACE | libc.RENAME_EXCHANGE)],
      ['EINVAL', set(4)],
    ]);
    t.deepEqual(readdirSync(mount.path).sort(), ['f', 'g']);
  },
  { lacks: 'renameFlags' },
);

mountTest('sizes beyond the largest file are EFBIG, negative ones EINVAL', async (t, mount) => {
  writeFileSync(mount.at('f'), '');
  const out = await sh(
    `perl -e 'sub said { print "$_[0]: ", ($! == 0 ? "ok" : ($!{EFBIG} ? "EFBIG" : $!{EINVAL} ? "EINVAL" : $!)), "\\n" }
       use Errno; open my $f, "+<", "f" or die;
       $! = 0; truncate $f, -1; said("negative");
       $! = 0; truncate $f, 9223372036854775807; said("largest");
       $! = 0; truncate $f, 9007199254740991; said("2^53-1");
       $! = 0; sysseek $f, 9007199254740991, 0; syswrite $f, "x"; said("write at the end")'
     stat -c %s f`,
    { cwd: mount.path },
  );
  t.is(out, 'negative: EINVAL\nlargest: EFBIG\n2^53-1: ok\nwrite at the end: EFBIG\n9007199254740991');
}, { notOn: ['tmpfs'] }); // prettier-ignore

mountTest(
  'attributes refuse names and values that are too long, and lists above 64 KiB',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, '');
    const set = (name: string, length: number) => () => {
      libc.setxattr(path, name, Buffer.alloc(length, 1));
    };
    fail(t, [
      ['ERANGE', set('', 1)],
      ['ERANGE', set(`user.${'n'.repeat(251)}`, 1)],
      ['E2BIG', set('user.a', 65_537)],
      ['ERANGE', () => libc.getxattr(path, `user.${'n'.repeat(251)}`)],
      ['ENODATA', () => libc.getxattr(path, `user.${'n'.repeat(250)}`)],
      ['ENOENT', () => libc.getxattr(mount.at('missing'), 'user.a')],
    ]);
    t.deepEqual(libc.listxattr(path), []);
    const name = (i: number): string => `user.${String(i).padStart(249, '0')}`;
    const names = Array.from({ length: 256 }, (_, i) => name(i));
    for (const each of names) libc.setxattr(path, each, Buffer.from(each));
    // 256 names of 254 bytes, each with its NUL.
    t.is(libc.xattrSize(path), 65_280);
    t.is(libc.listxattr(path).join(), names.join());
    libc.setxattr(path, name(256), Buffer.from('one'));
    t.is(libc.listxattr(path).join(), [...names, name(256)].join());
    libc.setxattr(path, name(257), Buffer.from('too many'));
    t.throws(() => libc.listxattr(path), { code: 'E2BIG' });
    t.is(libc.getxattr(path, name(257)).toString(), 'too many');
    libc.removexattr(path, name(0));
    t.is(libc.listxattr(path).length, 257);
  },
  { notOn: ['tmpfs'] },
);

mountTest(
  'user attributes are for files and folders alone, security and trusted ones for root to set',
  async (t, mount) => {
    await sh('ln -s nowhere l; mkfifo p; mknod c c 1 3', { cwd: mount.path });
    for (const name of ['l', 'p', 'c']) {
      const path = mount.at(name);
      fail(t, [
        ['EPERM', () => { libc.setxattr(path, 'user.a', Buffer.from('v')); }], // prettier-ignore
        ['EPERM', () => { libc.removexattr(path, 'user.a'); }], // prettier-ignore
        ['ENODATA', () => libc.getxattr(path, 'user.a')],
      ]);
      libc.setxattr(path, 'trusted.a', Buffer.from(name));
      libc.setxattr(path, 'security.a', Buffer.from(name));
      t.deepEqual(libc.listxattr(path), ['security.a', 'trusted.a']);
    }
    await sh('touch f; chmod 666 f; setfattr -n security.a -v secret f', { cwd: mount.path });
    const bob = { cwd: mount.path, uid: 12345, gid: 23456 };
    t.is(await sh('getfattr --only-values -n security.a f', bob), 'secret');
    for (const script of [
      'setfattr -n security.a -v x f',
      'setfattr -x security.a f',
      'setfattr -n trusted.a -v x f',
    ]) {
      await t.throwsAsync(sh(script, bob), { message: /not permitted/ }, script);
    }
    await t.throwsAsync(sh('getfattr -n trusted.a f', bob), { message: /No such attribute/ });
  },
  { needsRoot: true, lacks: 'caller' },
);
