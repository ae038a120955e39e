import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../support/libc.ts';
import { entries, exists, inode, links } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { sh, shFails } from '../support/run.ts';
import { BOB } from '../support/users.ts';

type Kind = 'file' | 'symlink' | 'fifo' | 'empty folder' | 'full folder';

async function make(path: string, kind: Kind): Promise<void> {
  switch (kind) {
    case 'file':
      writeFileSync(path, `data of ${path}`);
      return;
    case 'symlink':
      symlinkSync(`target of ${path}`, path);
      return;
    case 'fifo':
      await sh(`mkfifo "$P"`, { env: { P: path } });
      return;
    case 'empty folder':
      mkdirSync(path);
      return;
    case 'full folder':
      mkdirSync(path);
      writeFileSync(`${path}/inside`, path);
  }
}

const NOT_FOLDERS: readonly Kind[] = ['file', 'symlink', 'fifo'];
const FOLDERS: readonly Kind[] = ['empty folder', 'full folder'];
const KINDS = [...NOT_FOLDERS, ...FOLDERS];

/** The error of a rename of `source` over `target`, by rename(2). */
function renameError(source: Kind, target: Kind): string | undefined {
  if (FOLDERS.includes(source)) {
    if (!FOLDERS.includes(target)) return 'ENOTDIR';
    return target === 'full folder' ? 'ENOTEMPTY' : undefined;
  }
  return FOLDERS.includes(target) ? 'EISDIR' : undefined;
}

mountTest(
  'rename moves every kind of entry to a free name, in one folder and across',
  async (t, mount) => {
    mkdirSync(mount.at('other'));
    for (const kind of KINDS) {
      const from = mount.at('from');
      await make(from, kind);
      const ino = inode(from);
      renameSync(from, mount.at('near'));
      renameSync(mount.at('near'), mount.at('other', kind));
      t.is(inode(mount.at('other', kind)), ino, kind);
      t.false(exists(from));
      t.false(exists(mount.at('near')));
    }
    t.deepEqual(entries(mount.path), ['other']);
    t.is(readFileSync(mount.at('other', 'file'), 'utf8'), `data of ${mount.at('from')}`);
    t.deepEqual(entries(mount.at('other', 'full folder')), ['inside']);
  },
);

mountTest(
  'rename onto an existing entry replaces it or fails as rename(2) says',
  async (t, mount) => {
    for (const source of KINDS) {
      for (const target of KINDS) {
        const what = `${source} onto ${target}`;
        const from = mount.at('from');
        const to = mount.at('to');
        await make(from, source);
        await make(to, target);
        const [fromInode, toInode] = [inode(from), inode(to)];
        const code = renameError(source, target);
        if (code === undefined) {
          renameSync(from, to);
          t.is(inode(to), fromInode, what);
          t.false(exists(from), what);
        } else {
          const error = t.throws<NodeJS.ErrnoException>(() => {
            renameSync(from, to);
          });
          t.is(error.code, code, what);
          t.is(inode(from), fromInode, what);
          t.is(inode(to), toInode, what);
        }
        await sh('rm -rf from to', { cwd: mount.path });
      }
    }
  },
);

mountTest(
  'rename of an entry over itself or over a link to the same file changes nothing',
  (t, mount) => {
    writeFileSync(mount.at('a'), 'data');
    mkdirSync(mount.at('dir'));
    renameSync(mount.at('a'), mount.at('a'));
    renameSync(mount.at('dir'), mount.at('dir'));
    linkSync(mount.at('a'), mount.at('b'));
    linkSync(mount.at('a'), mount.at('dir', 'c'));
    renameSync(mount.at('a'), mount.at('b'));
    renameSync(mount.at('dir', 'c'), mount.at('a'));
    t.deepEqual(entries(mount.path), ['a', 'b', 'dir']);
    t.deepEqual(entries(mount.at('dir')), ['c']);
    t.is(links(mount.at('a')), 3);
  },
);

mountTest(
  'rename into its own subtree, onto an ancestor, from nothing or of a dot is refused',
  (t, mount) => {
    mkdirSync(mount.at('a', 'b', 'c'), { recursive: true });
    const refused = (from: string, to: string, code: string): void => {
      t.throws(
        () => {
          renameSync(mount.at(from), mount.at(to));
        },
        { code },
        `${from} to ${to}`,
      );
    };
    refused('a', 'a/x', 'EINVAL');
    refused('a', 'a/b/c', 'EINVAL');
    refused('a', 'a/b/c/x', 'EINVAL');
    refused('a/b/c', 'a', 'ENOTEMPTY');
    refused('missing', 'x', 'ENOENT');
    refused('a', 'missing/x', 'ENOENT');
    t.throws(
      () => {
        renameSync(`${mount.path}/a/.`, mount.at('x'));
      },
      { code: 'EBUSY' },
    );
    t.deepEqual(entries(mount.at('a', 'b')), ['c']);
  },
);

mountTest('rename between the mount and another file system fails with EXDEV', (t, mount) => {
  writeFileSync(mount.at('file'), 'x');
  t.throws(
    () => {
      renameSync(mount.at('file'), `${mount.scratch}/file`);
    },
    { code: 'EXDEV' },
  );
  t.is(readFileSync(mount.at('file'), 'utf8'), 'x');
});

mountTest(
  'a folder renamed to another parent takes its ".." and both link counts along',
  (t, mount) => {
    mkdirSync(mount.at('p', 'moved', 'sub'), { recursive: true });
    mkdirSync(mount.at('q'));
    renameSync(mount.at('p', 'moved'), mount.at('q', 'moved'));
    t.is(links(mount.at('p')), 2);
    t.is(links(mount.at('q')), 3);
    t.is(links(mount.at('q', 'moved')), 3);
    t.is(statSync(`${mount.path}/q/moved/..`).ino, inode(mount.at('q')));
    mkdirSync(mount.at('q', 'empty'));
    t.is(links(mount.at('q')), 4);
    renameSync(mount.at('q', 'moved'), mount.at('q', 'empty'));
    t.is(links(mount.at('q')), 3);
  },
);

mountTest('rename moves the times of both folders and the ctime of the entry', async (t, mount) => {
  mkdirSync(mount.at('p'));
  mkdirSync(mount.at('q'));
  writeFileSync(mount.at('p', 'f'), 'data');
  const stat = (path: string) => lstatSync(path, { bigint: true });
  const before = [stat(mount.at('p')), stat(mount.at('q'))] as const;
  const file = stat(mount.at('p', 'f'));
  await sleep(20);
  renameSync(mount.at('p', 'f'), mount.at('q', 'f'));
  t.true(stat(mount.at('p')).mtimeNs > before[0].mtimeNs);
  t.true(stat(mount.at('q')).mtimeNs > before[1].mtimeNs);
  t.is(stat(mount.at('q', 'f')).mtimeNs, file.mtimeNs);
  t.true(stat(mount.at('q', 'f')).ctimeNs > file.ctimeNs);
});

mountTest(
  'renameat2 exchanges two entries, and with NOREPLACE refuses an existing one',
  (t, mount) => {
    writeFileSync(mount.at('file'), 'f');
    mkdirSync(mount.at('p', 'dir'), { recursive: true });
    const [file, dir] = [inode(mount.at('file')), inode(mount.at('p', 'dir'))];
    libc.renameat2(mount.at('file'), mount.at('p', 'dir'), libc.RENAME_EXCHANGE);
    t.is(inode(mount.at('file')), dir);
    t.is(inode(mount.at('p', 'dir')), file);
    t.is(links(mount.at('p')), 2);
    t.is(links(mount.path), 4);
    t.throws(
      () => {
        libc.renameat2(mount.at('file'), mount.at('p'), libc.RENAME_NOREPLACE);
      },
      { code: 'EEXIST' },
    );
    libc.renameat2(mount.at('file'), mount.at('free'), libc.RENAME_NOREPLACE);
    t.is(inode(mount.at('free')), dir);
    t.throws(
      () => {
        libc.renameat2(mount.at('free'), mount.at('missing'), libc.RENAME_EXCHANGE);
      },
      { code: 'ENOENT' },
    );
  },
  { lacks: 'renameFlags' },
);

mountTest(
  'in a sticky folder only the owner removes or renames an entry',
  async (t, mount) => {
    writeFileSync(mount.at('roots'), 'x');
    const denied = /Operation not permitted/;
    t.regex(await shFails('rm -f roots', { cwd: mount.path, ...BOB }), denied);
    t.regex(await shFails('mv roots mine', { cwd: mount.path, ...BOB }), denied);
    await sh('echo x > mine; mv mine yours; rm yours', { cwd: mount.path, ...BOB });
    t.deepEqual(entries(mount.path), ['roots']);
  },
  { needsRoot: true, lacks: 'caller' },
);
