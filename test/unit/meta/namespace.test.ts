import test from 'ava';
import { ManualClock } from '../../../src/clock.ts';
import { type EntrySequence, type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { decodeUri } from '../../../src/uri.ts';
import { FileType, S_ISGID } from '../../../src/stat.ts';
import { reportOf } from '../../support/datasets.ts';
import {
  at,
  DIRECTORY,
  FILE,
  LAYOUT,
  mkdir,
  namesIn,
  openStore,
  outcome,
  touch,
} from './helpers.ts';

const MISSING = 999 as InodeId;
const SYMLINK = { mode: FileType.SYMLINK | 0o777, uid: 0, gid: 0 };

test('a new store has nothing but a root that is its own parent', async (t) => {
  const store = await openStore(t);
  const root = store.inode(ROOT_INODE);
  t.like(root, {
    parent: 1,
    nlink: 2,
    uid: 7,
    gid: 8,
    uri: 'imss://',
    sizeBytes: 40,
    unborn: true,
  });
  t.is(root.mode, FileType.DIRECTORY | 0o755);
  t.deepEqual(root.layout, LAYOUT);
  t.is(store.inodeCount(), 1);
  t.deepEqual(namesIn(store), []);
});

test('a created file is found by name and number, with its URI and its parent’s layout', async (t) => {
  const store = await openStore(t);
  const parent = mkdir(store, 'dir ectory');
  const made = store.create(at('f', parent), { ...FILE, rdev: 3 });
  t.like(made, { nlink: 1, uid: 1, gid: 2, rdev: 3, unborn: true, parent: 0, sizeBytes: 0 });
  t.is(made.uri, 'imss://dir%20ectory/f');
  t.deepEqual(made.layout, LAYOUT);
  t.deepEqual(store.lookup(parent, Buffer.from('f')), made);
  t.deepEqual(store.inode(made.inode), made);
  t.is(store.inodeCount(), 3);
});

test('a file without a name is an orphan that one link makes a file; one that had a name gets no other', async (t) => {
  const freed: InodeId[] = [];
  const store = await openStore(t, { reaper: { free: (inode) => void freed.push(inode) } });
  const parent = mkdir(store, 'd');
  const before = store.inode(parent);
  const made = store.createNameless(parent, { ...FILE, mode: FILE.mode | 0o4000 });
  t.like(made, { nlink: 0, uid: 1, gid: 2, unborn: true, layout: LAYOUT });
  t.is(made.uri, `imss://%00/${made.inode}`);
  t.deepEqual(store.inode(parent), before);
  t.is(store.inodeCount(), 3);
  t.is(store.link(made.inode, at('named')).nlink, 1);
  t.is(store.lookup(ROOT_INODE, Buffer.from('named')).inode, made.inode);
  await store.reap(made.inode);
  t.deepEqual(freed, []);
  store.unlink(at('named'));
  t.is(
    outcome(() => store.link(made.inode, at('again'))),
    'ENOENT',
  );
  await store.reap(made.inode);
  const never = store.createNameless(parent, FILE);
  await store.reap(never.inode);
  t.deepEqual(freed, [made.inode, never.inode]);
  t.is(
    outcome(() => store.createNameless(ROOT_INODE, DIRECTORY)),
    'EINVAL',
  );
  t.is(
    outcome(() => store.createNameless(never.inode, FILE)),
    'ESTALE',
  );
  store.rmdir(at('d'));
  t.is(
    outcome(() => store.createNameless(parent, FILE)),
    'ENOENT',
  );
});

test('names are bytes: two that are not UTF-8 do not collide', async (t) => {
  const store = await openStore(t);
  const one = store.create({ parent: ROOT_INODE, name: Buffer.from([0xff]) }, FILE);
  const two = store.create({ parent: ROOT_INODE, name: Buffer.from([0xfe]) }, FILE);
  t.is(store.lookup(ROOT_INODE, Buffer.from([0xff])).inode, one.inode);
  t.is(store.lookup(ROOT_INODE, Buffer.from([0xfe])).inode, two.inode);
});

test('names that no file can have are refused', async (t) => {
  const store = await openStore(t);
  t.is(
    outcome(() => store.create(at('x'.repeat(256)), FILE)),
    'ENAMETOOLONG',
  );
  t.is(
    outcome(() => store.create(at('x'.repeat(255)), FILE)),
    'OK',
  );
  for (const bad of ['', '.', '..', 'a/b', 'a\0'])
    t.is(
      outcome(() => store.create(at(bad), FILE)),
      'EINVAL',
      bad,
    );
  t.is(
    outcome(() => store.lookup(ROOT_INODE, Buffer.alloc(256, 65))),
    'ENAMETOOLONG',
  );
});

test('lookup tells what is missing: the name, the directory, or that it is none', async (t) => {
  const store = await openStore(t);
  const file = touch(store, 'f');
  t.is(
    outcome(() => store.lookup(ROOT_INODE, Buffer.from('x'))),
    'ENOENT',
  );
  t.is(
    outcome(() => store.lookup(MISSING, Buffer.from('x'))),
    'ESTALE',
  );
  t.is(
    outcome(() => store.lookup(file, Buffer.from('x'))),
    'ENOTDIR',
  );
  t.is(
    outcome(() => store.inode(MISSING)),
    'ESTALE',
  );
});

test('create refuses a taken name, a file as parent, and unknown types', async (t) => {
  const store = await openStore(t);
  const file = touch(store, 'f');
  t.is(
    outcome(() => store.create(at('f'), FILE)),
    'EEXIST',
  );
  t.is(
    outcome(() => store.create(at('f', file), FILE)),
    'ENOTDIR',
  );
  t.is(
    outcome(() => store.create(at('f', MISSING), FILE)),
    'ESTALE',
  );
  t.is(
    outcome(() => store.create(at('g'), { ...FILE, mode: 0o644 })),
    'EINVAL',
  );
  t.is(
    outcome(() => store.create(at('g'), { ...SYMLINK, target: Buffer.alloc(4096, 65) })),
    'ENAMETOOLONG',
  );
  t.is(
    outcome(() => store.create(at('g'), SYMLINK)),
    'ENOENT',
  );
  t.deepEqual(namesIn(store), ['f']);
});

test('a set-gid directory hands on its group, and the bit to directories', async (t) => {
  const store = await openStore(t);
  const shared = store.create(at('d'), { ...DIRECTORY, mode: DIRECTORY.mode | S_ISGID, gid: 55 });
  const file = store.create(at('f', shared.inode), FILE);
  const directory = store.create(at('d', shared.inode), DIRECTORY);
  t.like(file, { gid: 55, mode: FILE.mode });
  t.like(directory, { gid: 55, mode: DIRECTORY.mode | S_ISGID });
});

test('a directory’s times, size and links follow its entries', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const before = store.inode(ROOT_INODE);
  clock.advance(1000);
  mkdir(store, 'd');
  touch(store, 'f');
  const after = store.inode(ROOT_INODE);
  t.like(after, { nlink: 3, sizeBytes: 80, mtime: clock.now(), ctime: clock.now() });
  t.deepEqual(after.atime, before.atime);
  clock.advance(1000);
  store.rmdir(at('d'));
  t.like(store.inode(ROOT_INODE), { nlink: 2, sizeBytes: 60, mtime: clock.now() });
});

test('a symlink shows its target until it is born', async (t) => {
  const store = await openStore(t);
  const made = store.create(at('s'), { ...SYMLINK, target: Buffer.from('a/b') });
  t.deepEqual(made.target, Buffer.from('a/b'));
  t.is(made.sizeBytes, 3);
  store.confirmBorn(made.inode);
  t.like(store.inode(made.inode), { target: undefined, unborn: false, sizeBytes: 3 });
});

test('a hard link is a second name of one inode', async (t) => {
  const store = await openStore(t);
  const file = touch(store, 'f');
  const directory = mkdir(store, 'd');
  t.is(store.link(file, at('g', directory)).nlink, 2);
  t.is(store.lookup(directory, Buffer.from('g')).inode, file);
  t.is(
    outcome(() => store.link(file, at('f'))),
    'EEXIST',
  );
  t.is(
    outcome(() => store.link(directory, at('h'))),
    'EPERM',
  );
  t.is(
    outcome(() => store.link(MISSING, at('h'))),
    'ESTALE',
  );
  t.is(store.unlink(at('f')).record.nlink, 1);
  t.is(store.unlink(at('g', directory)).record.nlink, 0);
  t.is(
    outcome(() => store.link(file, at('h'))),
    'ENOENT',
  );
});

test('links and subdirectories have limits', async (t) => {
  const store = await openStore(t, { limits: { links: 2, directoryLinks: 3 } });
  const file = touch(store, 'f');
  store.link(file, at('g'));
  t.is(
    outcome(() => store.link(file, at('h'))),
    'EMLINK',
  );
  const one = mkdir(store, 'one');
  t.is(
    outcome(() => mkdir(store, 'two')),
    'EMLINK',
  );
  mkdir(store, 'inner', one);
  t.is(
    outcome(() => store.rename(at('inner', one), at('inner'))),
    'EMLINK',
  );
  t.is(
    outcome(() => store.rename(at('inner', one), at('f', one))),
    'OK',
  );
});

test('unlink and rmdir refuse what they are not for', async (t) => {
  const store = await openStore(t);
  touch(store, 'f');
  const directory = mkdir(store, 'd');
  touch(store, 'g', directory);
  t.is(
    outcome(() => store.unlink(at('d'))),
    'EISDIR',
  );
  t.is(
    outcome(() => store.unlink(at('x'))),
    'ENOENT',
  );
  t.is(
    outcome(() => store.rmdir(at('f'))),
    'ENOTDIR',
  );
  t.is(
    outcome(() => store.rmdir(at('d'))),
    'ENOTEMPTY',
  );
  t.is(
    outcome(() => store.rmdir(at('x'))),
    'ENOENT',
  );
});

test('an orphan stays until it is reaped', async (t) => {
  const freed: number[] = [];
  const store = await openStore(t, { reaper: { free: (inode) => void freed.push(inode) } });
  const file = touch(store, 'f');
  t.is(store.unlink(at('f')).record.nlink, 0);
  t.is(store.setAttributes(file, { permissions: 0o600 }).mode & 0o777, 0o600);
  t.is(store.inodeCount(), 2);
  void store.reap(file);
  t.deepEqual(freed, [file]);
  t.is(
    outcome(() => store.inode(file)),
    'ESTALE',
  );
  t.is(store.inodeCount(), 1);
  void store.reap(file);
  t.deepEqual(freed, [file]);
});

test('reaping what still has a name does nothing', async (t) => {
  const store = await openStore(t);
  const file = touch(store, 'f');
  void store.reap(file);
  t.is(store.inode(file).nlink, 1);
});

test('a removed directory takes no more entries, but still answers', async (t) => {
  const store = await openStore(t);
  const directory = mkdir(store, 'd');
  t.is(store.rmdir(at('d')).record.nlink, 0);
  t.is(
    outcome(() => touch(store, 'f', directory)),
    'ENOENT',
  );
  t.is(
    outcome(() => store.link(touch(store, 'f'), at('g', directory))),
    'ENOENT',
  );
  t.is(
    outcome(() => store.rename(at('f'), at('g', directory))),
    'ENOENT',
  );
  t.is(
    outcome(() => store.lookup(directory, Buffer.from('f'))),
    'ENOENT',
  );
  t.deepEqual(namesIn(store, directory), []);
});

test('setAttributes changes what it is given, and ctime', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const made = store.create(at('f'), { ...FILE, mode: FileType.REGULAR | 0o6755 });
  clock.advance(5);
  const atime = { seconds: -5, nanoseconds: 1 };
  const changed = store.setAttributes(made.inode, { uid: 9, gid: 10, atime });
  t.like(changed, {
    uid: 9,
    gid: 10,
    atime,
    mtime: made.mtime,
    ctime: clock.now(),
    mode: made.mode,
  });
  t.deepEqual(store.inode(made.inode), changed);
  t.is(store.setAttributes(made.inode, { permissions: 0o170 }).mode, FileType.REGULAR | 0o170);
  t.is(
    outcome(() => store.setAttributes(MISSING, {})),
    'ESTALE',
  );
});

for (const [before, after] of [
  [0o6755, 0o755],
  [0o6745, 0o2745],
  [0o4711, 0o711],
] as const)
  test(`dropping privileges turns ${before.toString(8)} into ${after.toString(8)}`, async (t) => {
    const store = await openStore(t);
    const { inode } = store.create(at('f'), { ...FILE, mode: FileType.REGULAR | before });
    const { mode } = store.setAttributes(inode, { dropPrivilegeBits: true });
    t.is(mode, FileType.REGULAR | after);
  });

test('dropping privileges leaves a directory’s set-gid bit', async (t) => {
  const store = await openStore(t);
  const { inode } = store.create(at('d'), { ...DIRECTORY, mode: DIRECTORY.mode | S_ISGID });
  const { mode } = store.setAttributes(inode, { dropPrivilegeBits: true });
  t.is(mode & S_ISGID, S_ISGID);
});

test('a data report is stored and gives birth, an older one is ignored', async (t) => {
  const store = await openStore(t);
  const file = touch(store, 'f');
  const report = reportOf({ sizeBytes: 10, dataVersion: 4 });
  store.reportData(file, report);
  const { ctime } = store.lookup(ROOT_INODE, Buffer.from('f'));
  t.like(store.inode(file), { ...report, ctime, unborn: false });
  store.reportData(file, { ...report, sizeBytes: 1, dataVersion: 3 });
  t.is(store.inode(file).sizeBytes, 10);
  const later = { seconds: ctime.seconds + 1, nanoseconds: 0 };
  store.reportData(file, { ...report, ctime: later, dataVersion: 5 });
  t.deepEqual(store.inode(file).ctime, later, 'a later change that block 0 knows of');
  t.is(
    outcome(() => {
      store.reportData(MISSING, report);
    }),
    'ESTALE',
  );
});

test('a data report does not touch what a directory’s record is authoritative for', async (t) => {
  const store = await openStore(t);
  const directory = mkdir(store, 'd');
  const before = store.inode(directory);
  store.reportData(directory, reportOf({ sizeBytes: 9, dataVersion: 4 }));
  t.deepEqual(store.inode(directory), { ...before, unborn: false, dataVersion: 4 });
});

test('an access time moves forward only, and changes nothing else', async (t) => {
  const clock = new ManualClock();
  const store = await openStore(t, { clock });
  const directory = mkdir(store, 'd');
  const before = store.inode(directory);
  clock.advance(100);
  store.touchAtime(directory, clock.now());
  t.deepEqual(store.inode(directory), { ...before, atime: clock.now() });
  store.touchAtime(directory, before.atime);
  t.deepEqual(store.inode(directory).atime, clock.now());
});

test('a listing pages by sequence, and later names do not disturb it', async (t) => {
  const store = await openStore(t);
  for (const name of ['a', 'b', 'c', 'd']) touch(store, name);
  const page = { after: 0 as EntrySequence, upTo: undefined, limit: 2, withRecords: false };
  const { upTo, entries: first } = store.list(ROOT_INODE, page);
  t.deepEqual(
    first.map(({ name }) => name.toString()),
    ['a', 'b'],
  );
  store.unlink(at('c'));
  touch(store, 'c');
  const after = first[1]?.sequence ?? (0 as EntrySequence);
  const { entries: second } = store.list(ROOT_INODE, { ...page, after, upTo, limit: 10 });
  t.deepEqual(
    second.map(({ name }) => name.toString()),
    ['d'],
  );
  t.like(second[0], {
    type: FileType.REGULAR,
    inode: store.lookup(ROOT_INODE, Buffer.from('d')).inode,
  });
  t.deepEqual(store.list(ROOT_INODE, { ...page, after: upTo, upTo }).entries, []);
  t.deepEqual(namesIn(store), ['a', 'b', 'd', 'c']);
  t.is(
    outcome(() => store.list(touch(store, 'e'), page)),
    'ENOTDIR',
  );
});

test('directoryAt makes what is missing and finds what is there', async (t) => {
  const store = await openStore(t);
  const path = decodeUri('imss://a/b/c');
  const made = store.directoryAt(path, DIRECTORY);
  t.is(made.uri, 'imss://a/b/c');
  t.is(store.directoryAt(path, DIRECTORY).inode, made.inode);
  t.is(store.directoryAt([], DIRECTORY).inode, ROOT_INODE);
  touch(store, 'f', made.inode);
  t.is(
    outcome(() => store.directoryAt([...path, Buffer.from('f')], DIRECTORY)),
    'ENOTDIR',
  );
});

test('a URI is the path at creation, also below a renamed directory', async (t) => {
  const store = await openStore(t);
  const outer = mkdir(store, 'outer');
  const inner = mkdir(store, 'inner', outer);
  const old = touch(store, 'old', inner);
  store.rename(at('outer'), at('moved'));
  t.is(store.inode(old).uri, 'imss://outer/inner/old');
  t.is(store.inode(touch(store, 'new', inner)).uri, 'imss://moved/inner/new');
});

test('a path too long for a record gives a URI made of the inode number', async (t) => {
  const store = await openStore(t);
  let directory: InodeId = ROOT_INODE;
  for (let depth = 0; depth < 12; depth++) directory = mkdir(store, 'x'.repeat(250), directory);
  t.is(store.inode(directory).uri, `imss://%00/${directory}`);
  const file = touch(store, 'f', directory);
  t.is(store.inode(file).uri, `imss://%00/${file}`);
});
