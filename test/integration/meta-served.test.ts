/** The metadata of one server, seen by clients over loopback TCP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FsError } from '../../src/errno.ts';
import { type BlockIndex, type EntrySequence, type InodeId, ROOT_INODE } from '../../src/ids.ts';
import type { DataReport, EntryName, ListingPage, NewInode } from '../../src/meta/store.ts';
import { FileType } from '../../src/stat.ts';
import { clientOf, connectMeta, serveMeta, startMeta } from '../support/meta-server.ts';
import { until } from '../support/rpc.ts';

const FILE: NewInode = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
const DIRECTORY: NewInode = { mode: FileType.DIRECTORY | 0o755, uid: 1, gid: 2 };
const at = (name: string, parent: InodeId = ROOT_INODE): EntryName => ({
  parent,
  name: Buffer.from(name),
});
const page = (change: Partial<ListingPage> = {}): ListingPage => ({
  after: 0 as EntrySequence,
  upTo: undefined,
  limit: 100,
  withRecords: true,
  ...change,
});
const NOW = { seconds: 2_000_000_000, nanoseconds: 5 };
const reportOf = (sizeBytes: number, dataVersion: number): DataReport => ({
  sizeBytes,
  storedBytes: sizeBytes,
  atime: NOW,
  mtime: NOW,
  ctime: NOW,
  dataVersion,
  generation: 0,
  truncatedBytes: 0,
});

test('each operation is one request and one reply', async (t) => {
  const served = await startMeta(t);
  const { meta } = clientOf(t, served.address);
  await meta.ready();
  const frames = async (operation: () => Promise<unknown>): Promise<string> => {
    served.requests.length = 0;
    await operation();
    return served.requests.join();
  };
  t.is(await frames(() => meta.create(at('f'), FILE, 'write')), 'create');
  const { inode } = await meta.lookup(ROOT_INODE, Buffer.from('f'));
  t.is(await frames(() => meta.lookup(ROOT_INODE, Buffer.from('f'))), 'lookup');
  t.is(await frames(() => meta.inode(inode)), 'inode');
  t.is(await frames(() => meta.openInode(inode, 'read')), 'open');
  t.is(await frames(() => meta.closeInode(inode, 'none', reportOf(5, 1))), 'close');
  for (let index = 0; index < 200; index++) await meta.create(at(`g${index}`), FILE);
  t.is(await frames(() => meta.list(ROOT_INODE, page({ limit: 200 }))), 'list');
  t.is(await frames(() => meta.link(inode, at('l'))), 'link');
  t.is(await frames(() => meta.rename(at('f'), at('h'))), 'rename');
  t.is(await frames(() => meta.unlink(at('l'))), 'unlink');
  t.is(await frames(() => meta.unlink(at('h'))), 'unlink');
  t.is(await frames(() => meta.setAttributes(ROOT_INODE, { uid: 5 })), 'setAttributes');
  t.is(
    await frames(() => meta.directoryAt([Buffer.from('a'), Buffer.from('b')], DIRECTORY)),
    'directoryAt',
  );
  const gone = await Promise.all([0, 1, 2].map((index) => meta.unlink(at(`g${index}`))));
  const reaped = (): Promise<unknown> =>
    Promise.all(gone.map(({ record }) => meta.reap(record.inode)));
  t.is(await frames(reaped), 'reap');
});

test('what travels comes back as it was', async (t) => {
  const served = await startMeta(t);
  const { meta } = clientOf(t, served.address);
  const name = Buffer.from([0xff, 0x2e, 0x80]);
  const made = await meta.create({ parent: ROOT_INODE, name }, { ...FILE, home: 3 });
  t.like(made, { mode: FILE.mode, uid: 1, gid: 2, unborn: true, unsettled: false, nlink: 1 });
  t.deepEqual(await meta.lookup(ROOT_INODE, name), made);
  t.deepEqual(await meta.inode(made.inode), made);
  t.deepEqual(await meta.inodes([made.inode, 999 as InodeId]), [made, undefined]);
  const target = Buffer.from([0x61, 0xfe]);
  const link = await meta.create(at('s'), {
    mode: FileType.SYMLINK | 0o777,
    uid: 0,
    gid: 0,
    target,
  });
  t.deepEqual(link.target, target);
  const changed = await meta.setAttributes(made.inode, { permissions: 0o600, mtime: NOW });
  t.like(changed, { mode: FileType.REGULAR | 0o600, mtime: NOW });
  const listing = await meta.list(ROOT_INODE, page());
  t.deepEqual(
    listing.entries.map(({ name: listed, record }) => ({ listed, record })),
    [
      { listed: name, record: changed },
      { listed: Buffer.from('s'), record: link },
    ],
  );
  t.is(listing.directory.inode, ROOT_INODE);
  const plain = await meta.list(ROOT_INODE, page({ withRecords: false }));
  t.false(plain.entries.some((entry) => 'record' in entry));
  t.is(await meta.inodeCount(), 3);
  t.is(await meta.rename(at('s'), at('r')), undefined);
  await meta.create(at('q'), FILE);
  t.is((await meta.rename(at('r'), at('q')))?.record.nlink, 0);
  t.is((await meta.setLayout(ROOT_INODE, { policy: 'LOCAL' })).layout.policy, 'LOCAL');
  await t.throwsAsync(meta.lookup(ROOT_INODE, Buffer.from('none')), { code: 'ENOENT' });
  await t.throwsAsync(meta.create(at('q'), FILE), { code: 'EEXIST' });
});

test('a file is unsettled for all while anybody has it open for writing', async (t) => {
  const served = await startMeta(t);
  const one = clientOf(t, served.address).meta;
  const two = clientOf(t, served.address).meta;
  const { inode, unsettled } = await one.create(at('f'), FILE, 'write');
  t.true(unsettled);
  t.true((await two.openInode(inode, 'write')).unsettled);
  await one.closeInode(inode, 'none', reportOf(10, 1));
  t.like(await two.inode(inode), { unsettled: true, sizeBytes: 10 });
  await two.closeInode(inode, 'read');
  const settled = await one.list(ROOT_INODE, page());
  t.like(settled.entries[0]?.record, { unsettled: false, sizeBytes: 10, unborn: false });
});

test('an orphan lives until the last client has let it go', async (t) => {
  const freed: InodeId[] = [];
  const reaper = { free: (inode: InodeId) => void freed.push(inode) };
  const served = await startMeta(t, { store: { reaper } });
  const one = clientOf(t, served.address).meta;
  const two = clientOf(t, served.address).meta;
  const three = clientOf(t, served.address).meta;
  const { inode } = await one.create(at('f'), FILE);
  await two.openInode(inode, 'read');
  t.is((await one.unlink(at('f'))).record.nlink, 0);
  await t.throwsAsync(three.openInode(inode, 'read'), { code: 'ESTALE' });
  t.is((await one.openInode(inode, 'read')).nlink, 0);
  await one.reap(inode);
  t.is((await two.inode(inode)).nlink, 0);
  t.deepEqual(freed, []);
  await two.closeInode(inode, 'none');
  t.deepEqual(freed, [inode]);
  await t.throwsAsync(two.inode(inode), { code: 'ESTALE' });
});

test('of two clients that claim a block, one wins, and both learn which', async (t) => {
  const served = await startMeta(t);
  const one = clientOf(t, served.address).meta;
  const two = clientOf(t, served.address).meta;
  const { inode } = await one.create(at('f'), FILE);
  const blocks = [1, 2, 255, 256, 257, 100_000] as BlockIndex[];
  const [first, second] = await Promise.all([
    one.claimBlocks(inode, blocks.slice(0, 4), 4),
    two.claimBlocks(inode, blocks.slice(2), 7),
  ]);
  t.deepEqual(first.slice(2), second.slice(0, 2));
  t.deepEqual(await two.blockServers(inode, blocks), [...first, ...second.slice(2)]);
  t.deepEqual(await two.blockServers(inode, [3] as BlockIndex[]), [undefined]);
  await one.unlink(at('f'));
  await one.reap(inode);
  t.deepEqual(await two.blockServers(inode, [1] as BlockIndex[]), [undefined]);
});

test('a long listing comes in parts, and no entry twice or not at all', async (t) => {
  const served = await startMeta(t);
  const { meta } = clientOf(t, served.address);
  const names = Array.from({ length: 3000 }, (_, index) => `f${index}`);
  await Promise.all(names.map((name) => meta.create(at(name), FILE)));
  for (const withRecords of [true, false]) {
    served.requests.length = 0;
    const { entries } = await meta.list(ROOT_INODE, page({ limit: 5000, withRecords }));
    t.deepEqual(new Set(entries.map(({ name }) => name.toString())), new Set(names));
    t.is(entries.length, names.length);
    t.true(served.requests.length > 2);
  }
});

test('sessions, opens and replies outlive the server', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  const path = join(folder, 'meta');
  const first = await serveMeta({ path });
  const client = connectMeta(first.address);
  t.teardown(async () => {
    await client.close();
    await second.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { inode } = await client.meta.create(at('f'), FILE, 'write');
  await client.meta.unlink(at('f'));
  await first.close();
  const again = client.meta.create(at('g'), FILE);
  const second = await serveMeta({ path, port: first.address.port });
  t.is((await again).nlink, 1);
  t.like(await client.meta.inode(inode), { nlink: 0, unsettled: true });
  t.is(second.sessions.count, 1);
});

test('a client that the server gave up begins anew with what it had open; what is gone fails with EIO', async (t) => {
  const served = await startMeta(t);
  const client = clientOf(t, served.address, '11'.repeat(16));
  const { meta } = client;
  const kept = await meta.create(at('kept'), FILE, 'write');
  const orphan = await meta.create(at('orphan'), FILE, 'write');
  await meta.unlink(at('orphan'));
  await served.sessions.end('11'.repeat(16));

  const made = await meta.create(at('new'), FILE);
  t.is((await meta.lookup(ROOT_INODE, Buffer.from('new'))).inode, made.inode);
  await t.throwsAsync(meta.inode(orphan.inode), { instanceOf: FsError, code: 'EIO' });
  await meta.closeInode(orphan.inode, 'none');
  await t.throwsAsync(meta.inode(orphan.inode), { instanceOf: FsError, code: 'ESTALE' });
  const other = clientOf(t, served.address).meta;
  await other.unlink(at('kept'));
  await other.reap(kept.inode);
  t.is((await meta.inode(kept.inode)).nlink, 0);
  t.is(await meta.inodeCount(), 3);
});

test('a client that ends lets go of all that it has open', async (t) => {
  const served = await startMeta(t);
  const { meta } = clientOf(t, served.address);
  const { inode } = await meta.create(at('f'), FILE, 'write');
  await meta.unlink(at('f'));
  await meta.end();
  t.is(served.store.inodeCount(), 1);
  t.is(served.sessions.count, 0);
  t.throws(() => served.store.inode(inode), { code: 'ESTALE' });
});

test('a client that dies loses its session after the lease', async (t) => {
  const served = await startMeta(t, { leaseMs: 1 });
  const client = clientOf(t, served.address);
  await client.meta.create(at('f'), FILE, 'write');
  await client.meta.unlink(at('f'));
  await client.close();
  await until(() => served.rpc.statistics.connections === 0);
  await until(() => {
    void served.sessions.check();
    return served.store.inodeCount() === 1;
  });
  t.is(served.sessions.count, 0);
});
