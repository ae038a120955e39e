import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { open } from 'lmdb';
import { SystemClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import { type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { MetaOpenError, type OpenFailure } from '../../../src/meta/database-file.ts';
import { encodeIdentity } from '../../../src/meta/identity.ts';
import { SystemKey, systemKey } from '../../../src/meta/keys.ts';
import { LocalMetaStore } from '../../../src/meta/local.ts';
import { FileType } from '../../../src/stat.ts';
import { reportOf } from '../../support/datasets.ts';
import {
  at,
  mkdir,
  namesIn,
  openStore,
  optionsFor,
  outcome,
  temporaryFolder,
  touch,
} from './helpers.ts';

const REPORT = reportOf({ sizeBytes: 1 });

/** Opening `path` fails for `reason`, with one line that names the file, and leaves the folder as it was. */
async function refuses(t: ExecutionContext, path: string, reason: OpenFailure): Promise<string> {
  const folder = join(path, '..');
  const names = (): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
  const before = names();
  const error = await t.throwsAsync(LocalMetaStore.open(optionsFor({ path })), {
    instanceOf: MetaOpenError,
  });
  t.is(error.reason, reason);
  t.false(error.message.includes('\n'));
  t.deepEqual(names(), before);
  return error.message;
}

const digest = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

test('a temporary database is private and goes at close', async (t) => {
  const folder = temporaryFolder(t);
  const store = await openStore(t, { temporaryIn: folder });
  const [inner] = readdirSync(folder);
  t.is(statSync(join(folder, inner ?? '')).mode & 0o777, 0o700);
  touch(store, 'f');
  await store.close();
  await store.close();
  t.deepEqual(readdirSync(folder), []);
});

test('what a crashed process left behind goes at the next open, a living one’s does not', async (t) => {
  const folder = temporaryFolder(t);
  const alive = await openStore(t, { temporaryIn: folder });
  const withData = (name: string): string => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'data'), 'x');
    return join(folder, name);
  };
  const dead = withData('imssfs-meta-dead00');
  // Its owner has made the database, and not locked it yet.
  const starting = withData('imssfs-meta-young0');
  const other = withData('another');
  for (const old of [dead, other, dirname(alive.path)]) utimesSync(old, 0, 0);
  await openStore(t, { temporaryIn: folder, clock: new SystemClock() });
  t.false(existsSync(dead));
  t.true(existsSync(starting));
  t.true(existsSync(other));
  t.true(existsSync(alive.path));
});

test('a named database keeps what has no data, and nothing stands beside it after close', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'meta');
  const first = await openStore(t, { path: Buffer.from(path) });
  const directory = mkdir(first, 'd');
  const file = touch(first, 'f', directory);
  t.deepEqual(readdirSync(folder).sort(), ['meta', 'meta-lock', 'meta-open']);
  await first.close();
  t.deepEqual(readdirSync(folder), ['meta']);
  const second = await openStore(t, { path });
  t.is(second.droppedAtOpen, 0);
  t.is(second.lookup(directory, Buffer.from('f')).inode, file);
  t.is(second.inodeCount(), 3);
  t.true(touch(second, 'g') > file);
});

test('datasets whose data went with their process are dropped with all their names', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await openStore(t, { path });
  const directory = mkdir(first, 'd');
  first.confirmBorn(directory);
  const link = { mode: FileType.SYMLINK | 0o777, uid: 0, gid: 0, target: Buffer.from('to') };
  first.confirmBorn(first.create(at('link'), link).inode);
  first.reportData(touch(first, 'data', directory), REPORT);
  first.link(first.lookup(directory, Buffer.from('data')).inode, at('second'));
  touch(first, 'empty', directory);
  await first.close();

  const second = await openStore(t, { path });
  t.is(second.droppedAtOpen, 1);
  t.deepEqual(namesIn(second), ['d', 'link']);
  t.deepEqual(namesIn(second, directory), ['empty']);
  t.like(second.inode(directory), { sizeBytes: 60, unborn: true });
  t.like(second.lookup(ROOT_INODE, Buffer.from('link')), { target: link.target, unborn: true });
  t.is(second.inodeCount(), 4);
  t.is(
    outcome(() => second.lookup(ROOT_INODE, Buffer.from('second'))),
    'ENOENT',
  );
  second.unlink(at('empty', directory));
  t.is(
    outcome(() => second.rmdir(at('d'))),
    'OK',
  );
});

test('more datasets than fit one batch are dropped', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await openStore(t, { path });
  for (let index = 0; index < 2100; index++) first.confirmBorn(touch(first, `f${index}`));
  touch(first, 'kept');
  await first.close();
  const second = await openStore(t, { path });
  t.is(second.droppedAtOpen, 2100);
  t.deepEqual(namesIn(second), ['kept']);
});

test('nothing is dropped where the blocks outlive the process', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await openStore(t, { path });
  first.confirmBorn(touch(first, 'f'));
  await first.close();
  const second = await openStore(t, { path, blocksOutliveUs: true });
  t.is(second.droppedAtOpen, 0);
  t.deepEqual(namesIn(second), ['f']);
});

test('orphans are reaped when the database is opened', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const first = await openStore(t, { path });
  const file = touch(first, 'f');
  const directory = mkdir(first, 'd');
  first.unlink(at('f'));
  first.rmdir(at('d'));
  t.is(first.inodeCount(), 3);
  await first.close();
  const freed: InodeId[] = [];
  const second = await openStore(t, { path, reaper: { free: (inode) => void freed.push(inode) } });
  t.deepEqual(freed, [file, directory]);
  t.is(second.inodeCount(), 1);
  t.is(
    outcome(() => second.inode(file)),
    'ESTALE',
  );
});

test('while block servers have not confirmed, the inode is gone and the free is tried again', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  let confirm: () => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const calls: InodeId[] = [];
  const free = (inode: InodeId): Promise<void> => {
    calls.push(inode);
    return new Promise((resolve, reject) => {
      confirm = resolve;
      fail = reject;
    });
  };
  const first = await openStore(t, { path, reaper: { free } });
  const file = touch(first, 'f');
  first.unlink(at('f'));
  const reaped = first.reap(file);
  t.is(
    outcome(() => first.inode(file)),
    'ESTALE',
  );
  t.is(first.inodeCount(), 1);
  fail(new FsError('EIO'));
  await reaped;
  const retried = first.retryFrees();
  t.deepEqual(calls, [file, file]);
  await first.close();
  confirm();
  await retried;

  const second = await openStore(t, { path, reaper: { free } });
  t.deepEqual(calls, [file, file, file]);
  confirm();
  await new Promise(setImmediate);
  await second.retryFrees();
  t.is(calls.length, 3);
});

test('a free that fails at once is tried again', async (t) => {
  let broken = true;
  const calls: InodeId[] = [];
  const free = (inode: InodeId): void => {
    calls.push(inode);
    if (broken) throw new FsError('EIO');
  };
  const store = await openStore(t, { reaper: { free } });
  const file = touch(store, 'f');
  store.unlink(at('f'));
  await store.reap(file);
  t.is(store.inodeCount(), 1);
  broken = false;
  await store.retryFrees();
  await store.retryFrees();
  t.deepEqual(calls, [file, file]);
});

test('a database in use is refused by the name of its holder', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  const store = await openStore(t, { path });
  t.regex(
    await refuses(t, path, 'in-use'),
    new RegExp(`${path} is in use by process ${process.pid}`),
  );
  touch(store, 'f');
  await store.close();
  t.deepEqual(namesIn(await openStore(t, { path })), ['f']);
});

test('a file that is not ours is refused and not changed', async (t) => {
  const folder = temporaryFolder(t);
  const text = join(folder, 'text');
  writeFileSync(text, 'some notes\n'.repeat(2000));
  const short = join(folder, 'short');
  writeFileSync(short, 'x');
  const foreign = join(folder, 'foreign');
  const other = open({ path: foreign, noSubdir: true });
  await other.put('key', 'value');
  await other.close();
  for (const path of [text, short, foreign]) {
    const before = digest(path);
    await refuses(t, path, 'not-ours');
    t.is(digest(path), before);
  }
  await refuses(t, folder, 'not-ours');
});

test('an empty file is taken', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  writeFileSync(path, '');
  t.is((await openStore(t, { path })).inodeCount(), 1);
});

test('another version’s database is refused and not changed', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  await (await openStore(t, { path })).close();
  const raw = open({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' });
  const identity = encodeIdentity({ formatVersion: 99, clusterId: Buffer.alloc(16), server: 0 });
  await raw.put(systemKey(SystemKey.IDENTITY), identity);
  await raw.close();
  const before = digest(path);
  t.regex(await refuses(t, path, 'other-version'), /format is 99/);
  t.is(digest(path), before);
});

test('a database that was open when the machine went down is refused, mark and all', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  await (await openStore(t, { path })).close();
  writeFileSync(`${path}-open`, '00000000-0000-0000-0000-000000000000\n');
  t.regex(await refuses(t, path, 'damaged'), /when the machine went down/);
});

test('a mark that a killed process has left half written, in this life of the machine, keeps nobody out', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  await (await openStore(t, { path })).close();
  const line = readFileSync('/proc/sys/kernel/random/boot_id');
  for (const mark of [line.subarray(0, 0), Buffer.concat([line, Buffer.alloc(5000)])]) {
    writeFileSync(`${path}-open`, mark);
    await (await openStore(t, { path })).close();
    t.false(existsSync(`${path}-open`));
  }
});

test('a database that was cut off is refused', async (t) => {
  const path = join(temporaryFolder(t), 'meta');
  await (await openStore(t, { path })).close();
  truncateSync(path, 5000);
  await refuses(t, path, 'damaged');
});

test('a path that cannot be written is refused', async (t) => {
  const folder = temporaryFolder(t);
  await refuses(t, join(folder, 'missing', 'meta'), 'no-directory');
  writeFileSync(join(folder, 'file'), '');
  const below = LocalMetaStore.open(optionsFor({ path: join(folder, 'file', 'meta') }));
  const notDirectory = await t.throwsAsync(below, { instanceOf: MetaOpenError });
  t.is(notDirectory.reason, 'no-directory');
  await refuses(t, '/sys/kernel/meta', 'not-writable');
  const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]);
  const error = await t.throwsAsync(LocalMetaStore.open(optionsFor({ path })), {
    instanceOf: MetaOpenError,
  });
  t.is(error.reason, 'bad-path');
});
