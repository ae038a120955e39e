import type { ExecutionContext } from 'ava';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
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

function inode(path: string): number {
  return lstatSync(path).ino;
}

function links(path: string): number {
  return lstatSync(path).nlink;
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function entries(mount: Mount, ...names: string[]): string[] {
  return readdirSync(mount.at(...names)).sort();
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
    t.deepEqual(entries(mount), ['other']);
    t.is(readFileSync(mount.at('other', 'file'), 'utf8'), `data of ${mount.at('from')}`);
    t.deepEqual(entries(mount, 'other', 'full folder'), ['inside']);
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
    t.deepEqual(entries(mount), ['a', 'b', 'dir']);
    t.deepEqual(entries(mount, 'dir'), ['c']);
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
    t.deepEqual(entries(mount, 'a', 'b'), ['c']);
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
);

mountTest('hard links share one file and count up and down', async (t, mount) => {
  mkdirSync(mount.at('dir'));
  writeFileSync(mount.at('a'), 'data');
  const before = statSync(mount.at('a'), { bigint: true });
  await sleep(20);
  linkSync(mount.at('a'), mount.at('dir', 'b'));
  t.is(links(mount.at('a')), 2);
  t.is(inode(mount.at('dir', 'b')), inode(mount.at('a')));
  t.true(statSync(mount.at('a'), { bigint: true }).ctimeNs > before.ctimeNs);
  writeFileSync(mount.at('dir', 'b'), 'changed');
  t.is(readFileSync(mount.at('a'), 'utf8'), 'changed');
  unlinkSync(mount.at('a'));
  t.is(links(mount.at('dir', 'b')), 1);
  writeFileSync(mount.at('c'), 'c');
  renameSync(mount.at('c'), mount.at('dir', 'b'));
  t.is(readFileSync(mount.at('dir', 'b'), 'utf8'), 'c');
});

mountTest('link refuses folders, existing names and other file systems', (t, mount) => {
  mkdirSync(mount.at('dir'));
  writeFileSync(mount.at('file'), 'x');
  symlinkSync('file', mount.at('symlink'));
  const refused = (from: string, to: string, code: string): void => {
    t.throws(
      () => {
        linkSync(from, to);
      },
      { code },
    );
  };
  refused(mount.at('dir'), mount.at('x'), 'EPERM');
  refused(mount.at('file'), mount.at('dir'), 'EEXIST');
  refused(mount.at('missing'), mount.at('x'), 'ENOENT');
  refused(mount.at('file'), `${mount.scratch}/x`, 'EXDEV');
  linkSync(mount.at('symlink'), mount.at('second'));
  t.is(readlinkSync(mount.at('second')), 'file');
  t.is(links(mount.at('symlink')), 2);
});

mountTest('a thousand links to one file are counted and all lead to it', (t, mount) => {
  writeFileSync(mount.at('0'), 'shared');
  for (let i = 1; i < 1000; i++) linkSync(mount.at('0'), mount.at(String(i)));
  t.is(links(mount.at('0')), 1000);
  for (let i = 0; i < 999; i++) unlinkSync(mount.at(String(i)));
  t.is(links(mount.at('999')), 1);
  t.is(readFileSync(mount.at('999'), 'utf8'), 'shared');
});

mountTest('symlinks keep targets of 1 to 4,095 bytes, valid UTF-8 or not', (t, mount) => {
  for (const length of [1, 59, 60, 255, 256, 1023, 4094, 4095]) {
    const target = 'x/'.repeat(2048).slice(0, length);
    const path = mount.at(`s${length}`);
    symlinkSync(target, path);
    t.is(readlinkSync(path), target);
    const stat = lstatSync(path);
    t.is(stat.size, length);
    t.is(stat.mode, 0o120777);
  }
  const bytes = Buffer.from([0x2f, 0xff, 0xfe, 0x80, 0x0a, 0x25, 0x01]);
  libc.symlinkBytes(bytes, mount.at('bytes'));
  t.deepEqual(readlinkSync(mount.at('bytes'), { encoding: 'buffer' }), bytes);
});

mountTest('symlinks that are too long, empty, or stand in the way are refused', (t, mount) => {
  const refused = (target: string, name: string, code: string): void => {
    t.throws(
      () => {
        symlinkSync(target, mount.at(name));
      },
      { code },
    );
  };
  refused('x'.repeat(4096), 'long', 'ENAMETOOLONG');
  refused('', 'empty', 'ENOENT');
  writeFileSync(mount.at('file'), 'x');
  refused('target', 'file', 'EEXIST');
  t.throws(() => readlinkSync(mount.at('file')), { code: 'EINVAL' });
});

mountTest('symlinks are followed, dangle with ENOENT and loop with ELOOP', (t, mount) => {
  mkdirSync(mount.at('dir'));
  writeFileSync(mount.at('dir', 'file'), 'found');
  symlinkSync('dir', mount.at('d'));
  symlinkSync('d/file', mount.at('f'));
  symlinkSync(mount.at('f'), mount.at('absolute'));
  symlinkSync('nowhere', mount.at('dangling'));
  symlinkSync('loop2', mount.at('loop1'));
  symlinkSync('loop1', mount.at('loop2'));
  t.is(readFileSync(mount.at('absolute'), 'utf8'), 'found');
  t.throws(() => statSync(mount.at('dangling')), { code: 'ENOENT' });
  t.throws(() => statSync(mount.at('loop1')), { code: 'ELOOP' });
  writeFileSync(mount.at('dangling'), 'made through the link');
  t.is(readFileSync(mount.at('nowhere'), 'utf8'), 'made through the link');
  unlinkSync(mount.at('d'));
  t.true(exists(mount.at('dir', 'file')));
});

mountTest('mknod makes fifos, and a fifo carries data between processes', async (t, mount) => {
  const out = await sh(
    'mkfifo -m 640 pipe; stat -c "%F %a" pipe; (echo through > pipe &); cat pipe',
    {
      cwd: mount.path,
    },
  );
  t.is(out, 'fifo 640\nthrough');
});

mountTest(
  'mknod makes device nodes that keep their numbers',
  async (t, mount) => {
    const out = await sh(
      'mknod null c 1 3; mknod loop b 7 200; mknod big c 511 1048575; stat -c "%F %t %T" null loop big',
      { cwd: mount.path },
    );
    t.is(
      out,
      'character special file 1 3\nblock special file 7 c8\ncharacter special file 1ff fffff',
    );
    await t.throwsAsync(sh('mknod null c 1 3', { cwd: mount.path }), { message: /File exists/ });
  },
  { needsRoot: true },
);

mountTest('a Unix socket bound in the mount is a socket and can be reached', async (t, mount) => {
  const script = `
    const net = require('node:net');
    const server = net.createServer((s) => s.end('hello')).listen('sock', () => {
      net.connect('sock').on('data', (d) => {
        console.log(String(d), require('node:fs').statSync('sock').isSocket());
        server.close();
      });
    });`;
  const out = await sh('"$NODE" -e "$SCRIPT"', {
    cwd: mount.path,
    env: { NODE: process.execPath, SCRIPT: script },
  });
  t.is(out, 'hello true');
});

mountTest('names of 255 bytes work and of 256 fail with ENAMETOOLONG', (t, mount) => {
  const utf8 = `${'é'.repeat(127)}x`;
  for (const name of ['n'.repeat(254), 'n'.repeat(255), utf8]) {
    writeFileSync(mount.at(name), name);
    mkdirSync(mount.at(`${name.slice(0, 100)}dir`), { recursive: true });
    renameSync(mount.at(name), mount.at('short'));
    renameSync(mount.at('short'), mount.at(name));
    t.is(readFileSync(mount.at(name), 'utf8'), name);
    t.true(entries(mount).includes(name));
  }
  const long = mount.at('n'.repeat(256));
  const code = 'ENAMETOOLONG';
  t.throws(() => lstatSync(long), { code });
  t.throws(
    () => {
      writeFileSync(long, 'x');
    },
    { code },
  );
  t.throws(
    () => {
      symlinkSync('x', long);
    },
    { code },
  );
  t.throws(() => mkdirSync(long), { code });
  t.throws(
    () => {
      renameSync(mount.at('n'.repeat(255)), long);
    },
    { code },
  );
  t.throws(
    () => {
      linkSync(mount.at('n'.repeat(255)), long);
    },
    { code },
  );
  t.throws(
    () => {
      unlinkSync(long);
    },
    { code },
  );
});

/** Names that a decoder of UTF-8, of URIs or of paths may take for one another. */
const ODD_NAMES = [
  Buffer.from([0xff]),
  Buffer.from([0xfe]),
  Buffer.from([0xff, 0xff]),
  Buffer.from('\ufffd'),
  Buffer.from('ÿ'),
  Buffer.from([0xc3]),
  Buffer.from([0xed, 0xa0, 0x80]),
  ...['a', 'A', '%41', '%2F', '%', '%%', '%00', 'a b', ' ', '\n', '\t', '\\', '\\n', '?', '#'],
  ...[':', 'imss:', '+', '&', '*', '~', '...', '.a', '-', '--', '"', "'", '\u0001', '\u007f'],
  ...['é', 'e\u0301', '日本', '💾', '0', '1', 'metadata', '__proto__', 'constructor'],
].map((name) => Buffer.from(name));

function beside(folder: string, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/`), name]);
}

function sameNames(t: ExecutionContext, actual: readonly Buffer[]): void {
  const hex = (names: readonly Buffer[]) => names.map((name) => name.toString('hex')).sort();
  t.deepEqual(hex(actual), hex(ODD_NAMES));
}

mountTest(
  'names are bytes: no two of many odd ones collide, as files, folders and links',
  (t, mount) => {
    for (const name of ODD_NAMES) writeFileSync(beside(mount.path, name), name);
    sameNames(t, readdirSync(mount.path, { encoding: 'buffer' }));
    for (const name of ODD_NAMES) t.deepEqual(readFileSync(beside(mount.path, name)), name);
    for (const name of ODD_NAMES) unlinkSync(beside(mount.path, name));
    t.deepEqual(entries(mount), []);
    for (const name of ODD_NAMES) mkdirSync(beside(mount.path, name));
    sameNames(t, readdirSync(mount.path, { encoding: 'buffer' }));
    for (const name of ODD_NAMES) rmdirSync(beside(mount.path, name));
    for (const name of ODD_NAMES) symlinkSync('x', beside(mount.path, name));
    sameNames(t, readdirSync(mount.path, { encoding: 'buffer' }));
  },
);

mountTest('paths of a hundred levels and of nearly PATH_MAX bytes work', (t, mount) => {
  const deep = mount.at(...Array.from({ length: 100 }, (_, level) => `l${level}`));
  mkdirSync(deep, { recursive: true });
  writeFileSync(`${deep}/file`, 'deep');
  t.is(readFileSync(`${deep}/file`, 'utf8'), 'deep');
  let long = mount.path;
  while (long.length + 201 < 4090) long += `/${'d'.repeat(200)}`;
  mkdirSync(long, { recursive: true });
  t.true(statSync(long).isDirectory());
});

mountTest(
  'in a sticky folder only the owner removes or renames an entry',
  async (t, mount) => {
    writeFileSync(mount.at('roots'), 'x');
    const denied = /Operation not permitted/;
    t.regex(await shFails('rm -f roots', { cwd: mount.path, ...BOB }), denied);
    t.regex(await shFails('mv roots mine', { cwd: mount.path, ...BOB }), denied);
    await sh('echo x > mine; mv mine yours; rm yours', { cwd: mount.path, ...BOB });
    t.deepEqual(entries(mount), ['roots']);
  },
  { needsRoot: true },
);
