/** What users may not do fails with the errno of its man page, EACCES or EPERM. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  opendirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import koffi from 'koffi';
import { asUser } from '../support/as-user.ts';
import { entries } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { expected, outcome, outcomes } from '../support/outcome.ts';
import { PATH_CALLS } from '../support/path-calls.ts';
import { sh } from '../support/run.ts';
import { ALICE } from '../support/users.ts';

const USERS = { needsRoot: true, lacks: 'caller' } as const;

const mknodFn = koffi.load(null).func('int mknod(const char *, unsigned int, uint64_t)');

function mknod(path: string, mode: number): void {
  libc.checked('mknod', mknodFn(path, mode, 0x103));
}

mountTest(
  'who may not search a folder gets EACCES for all paths through it, whatever the call',
  async (t, mount) => {
    await sh('mkdir -p closed/within; : > closed/within/file; chmod 700 closed', {
      cwd: mount.path,
    });
    const other = mount.at('other');
    const tried = asUser(ALICE, () => {
      writeFileSync(other, '');
      return ['closed/within', 'closed/none', 'closed/within/file', 'closed/none/x'].map((name) =>
        outcomes(PATH_CALLS, { path: mount.at(name), other }),
      );
    });
    for (const each of tried) t.deepEqual(each, expected(PATH_CALLS, 'EACCES'));
    t.deepEqual(entries(mount.at('closed', 'within')), ['file']);
  },
  USERS,
);

mountTest(
  'who may not write a folder makes, removes, renames and links nothing in it: EACCES',
  async (t, mount) => {
    await sh('mkdir -p shut/folder; : > shut/file; chmod 755 shut', { cwd: mount.path });
    const other = mount.at('other');
    const removing = PATH_CALLS.filter(({ changesFolder, wants }) => changesFolder && wants === 'entry'); // prettier-ignore
    const making = PATH_CALLS.filter(({ wants }) => wants !== 'entry');
    const nameless = PATH_CALLS.filter(({ name }) => name === 'open with O_TMPFILE');
    const [removed, made, opened] = asUser(ALICE, () => {
      writeFileSync(other, '');
      return [
        outcomes(removing, { path: mount.at('shut', 'file'), other }),
        outcomes(making, { path: mount.at('shut', 'new'), other }),
        outcomes(nameless, { path: mount.at('shut'), other }),
      ];
    });
    t.deepEqual(removed, expected(removing, 'EACCES'));
    t.deepEqual(made, expected(making, 'EACCES'));
    t.deepEqual(opened, expected(nameless, 'EACCES'));
    t.deepEqual(entries(mount.at('shut')), ['file', 'folder']);
  },
  USERS,
);

mountTest(
  'a file of somebody else refuses its data with EACCES, and changes of its attributes with EPERM',
  async (t, mount) => {
    await sh('echo secret > file; chmod 600 file; setfattr -n user.a -v v file', {
      cwd: mount.path,
    });
    const path = mount.at('file');
    const other = mount.at('other');
    const calls = PATH_CALLS.filter(({ changesFolder, name }) => !changesFolder && name !== 'link from'); // prettier-ignore
    const tried = asUser(ALICE, () => outcomes(calls, { path, other }));
    t.deepEqual(
      tried,
      expected(calls, 'EACCES', {
        'open with O_TMPFILE': 'ENOTDIR',
        ...{ readlink: 'EINVAL', stat: 'ok', lstat: 'ok', statfs: 'ok', listxattr: 'ok' },
        ...{ chmod: 'EPERM', chown: 'EPERM', lchown: 'EPERM' },
      }),
    );
    chmodSync(path, 0o666);
    const noAtime = constants.O_RDONLY | constants.O_NOATIME;
    const open = asUser(ALICE, () => [
      outcome(() => { closeSync(openSync(path, noAtime)); }), // prettier-ignore
      outcome(() => { closeSync(openSync(path, 'r+')); }), // prettier-ignore
      outcome(() => { lutimesSync(path, 1, 2); }), // prettier-ignore
      outcome(() => { libc.setxattr(path, 'trusted.a', Buffer.of(1)); }), // prettier-ignore
      outcome(() => { libc.getxattr(path, 'trusted.a'); }), // prettier-ignore
      outcome(() => { chownSync(path, ALICE.uid, ALICE.gid); }), // prettier-ignore
    ]);
    t.deepEqual(open, ['EPERM', 'ok', 'EPERM', 'EPERM', 'ENODATA', 'EPERM']);
    t.is(readFileSync(path, 'utf8'), 'secret\n');
  },
  USERS,
);

mountTest(
  'folders that may not be read, and moves of folders that may not be written, are EACCES',
  (t, mount) => {
    const at = (...names: string[]): string => mount.at(...names);
    for (const name of ['from', 'to', 'unread']) mkdirSync(at(name));
    chmodSync(at('unread'), 0o711);
    for (const name of ['from', 'to']) chmodSync(at(name), 0o777);
    asUser(ALICE, () => {
      mkdirSync(at('from', 'mine'));
      writeFileSync(at('from', 'plain'), '');
    });
    mkdirSync(at('from', 'roots'));
    mkdirSync(at('to', 'open'));
    chmodSync(at('to', 'open'), 0o777);
    const tried = asUser(ALICE, () => [
      outcome(() => { opendirSync(at('unread')).closeSync(); }), // prettier-ignore
      // Another parent means another "..", which is a change of the folder itself.
      outcome(() => { renameSync(at('from', 'roots'), at('to', 'roots')); }), // prettier-ignore
      outcome(() => { libc.renameat2(at('from', 'roots'), at('to', 'open'), libc.RENAME_EXCHANGE); }), // prettier-ignore
      outcome(() => { renameSync(at('from', 'roots'), at('from', 'renamed')); }), // prettier-ignore
      outcome(() => { renameSync(at('from', 'mine'), at('to', 'mine')); }), // prettier-ignore
    ]);
    t.deepEqual(tried, ['EACCES', 'EACCES', 'EACCES', 'ok', 'ok']);
    t.deepEqual(entries(at('from')), ['plain', 'renamed']);
    t.deepEqual(entries(at('to')), ['mine', 'open']);
  },
  USERS,
);

mountTest(
  'in a sticky folder what belongs to others is neither removed nor renamed nor replaced: EPERM',
  (t, mount) => {
    const at = (name: string): string => mount.at('sticky', name);
    mkdirSync(mount.at('sticky'));
    chmodSync(mount.at('sticky'), 0o1777);
    writeFileSync(at('file'), '');
    mkdirSync(at('folder'));
    chmodSync(at('folder'), 0o777);
    const tried = asUser(ALICE, () => {
      writeFileSync(at('mine'), '');
      return [
        outcome(() => { unlinkSync(at('file')); }), // prettier-ignore
        outcome(() => { rmdirSync(at('folder')); }), // prettier-ignore
        outcome(() => { renameSync(at('file'), at('new')); }), // prettier-ignore
        outcome(() => { renameSync(at('folder'), at('new')); }), // prettier-ignore
        outcome(() => { renameSync(at('mine'), at('file')); }), // prettier-ignore
        outcome(() => { libc.renameat2(at('mine'), at('file'), libc.RENAME_EXCHANGE); }), // prettier-ignore
        outcome(() => { renameSync(at('mine'), at('new')); }), // prettier-ignore
      ];
    });
    t.deepEqual(tried, ['EPERM', 'EPERM', 'EPERM', 'EPERM', 'EPERM', 'EPERM', 'ok']);
    t.deepEqual(entries(mount.at('sticky')), ['file', 'folder', 'new']);
  },
  USERS,
);

mountTest(
  'devices are for root to make, no call makes folders by mknod, and unknown kinds are EINVAL',
  (t, mount) => {
    const { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } = constants;
    const make = (kind: number) => outcome(() => { mknod(mount.at(String(kind)), kind | 0o644); }); // prettier-ignore
    const refused = asUser(ALICE, () => [S_IFBLK, S_IFCHR, S_IFDIR].map(make));
    t.deepEqual(refused, ['EPERM', 'EPERM', 'EPERM']);
    const may = asUser(ALICE, () => [S_IFIFO, S_IFREG, S_IFSOCK].map(make));
    t.deepEqual(may, ['ok', 'ok', 'ok']);
    t.deepEqual([S_IFBLK, S_IFCHR, S_IFDIR].map(make), ['ok', 'ok', 'EPERM']);
    t.deepEqual([S_IFLNK, 0o150_000].map(make), ['EINVAL', 'EINVAL']);
    // A device of a mount without the option dev; a pipe that nobody reads; a socket.
    const nonBlocking = constants.O_WRONLY | constants.O_NONBLOCK;
    const open = (kind: number) => outcome(() => { closeSync(openSync(mount.at(String(kind)), nonBlocking)); }); // prettier-ignore
    t.deepEqual([S_IFCHR, S_IFIFO, S_IFSOCK].map(open), ['EACCES', 'ENXIO', 'ENXIO']);
  },
  { ...USERS, mountOptions: 'nodev' },
);

mountTest(
  'a hard link to a file that one may not write is EPERM where the kernel protects them',
  (t, mount) => {
    const protects = readFileSync('/proc/sys/fs/protected_hardlinks', 'utf8').trim() === '1';
    writeFileSync(mount.at('file'), '');
    const link = (): string =>
      asUser(ALICE, () => outcome(() => { linkSync(mount.at('file'), mount.at('link')); })); // prettier-ignore
    t.is(link(), protects ? 'EPERM' : 'ok');
    if (protects) chmodSync(mount.at('file'), 0o666);
    else unlinkSync(mount.at('link'));
    t.is(link(), 'ok');
    chmodSync(mount.at('file'), 0o444);
    t.is(asUser(ALICE, () => outcome(() => { truncateSync(mount.at('link')); })), 'EACCES'); // prettier-ignore
  },
  USERS,
);
