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
import { entries, exists, inode, links } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';

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

mountTest(
  'symlinks keep targets of 1 to 4,095 bytes, valid UTF-8 or not',
  (t, mount) => {
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
  },
  { lacks: 'utf8' },
);

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
    t.true(entries(mount.path).includes(name));
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
  t.throws(
    () => {
      mkdirSync(long);
    },
    { code },
  );
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
    t.deepEqual(entries(mount.path), []);
    for (const name of ODD_NAMES) mkdirSync(beside(mount.path, name));
    sameNames(t, readdirSync(mount.path, { encoding: 'buffer' }));
    for (const name of ODD_NAMES) rmdirSync(beside(mount.path, name));
    for (const name of ODD_NAMES) symlinkSync('x', beside(mount.path, name));
    sameNames(t, readdirSync(mount.path, { encoding: 'buffer' }));
  },
  { lacks: 'utf8' },
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
