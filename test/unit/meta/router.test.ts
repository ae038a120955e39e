import test, { type ExecutionContext } from 'ava';
import type { BlockIndex, EntrySequence, InodeId } from '../../../src/ids.ts';
import { makeInodeId, metaServerOf, ROOT_INODE } from '../../../src/ids.ts';
import { addEntry, requireDirectory } from '../../../src/meta/directories.ts';
import { inodeKey } from '../../../src/meta/keys.ts';
import type { LocalMetaStore } from '../../../src/meta/local.ts';
import type { StoredInode } from '../../../src/meta/records.ts';
import { MetaRouter } from '../../../src/meta/router.ts';
import { MetaSession } from '../../../src/meta/session-store.ts';
import { findInode, putInode } from '../../../src/meta/tables.ts';
import { wait } from '../../../src/task.ts';
import { at, DIRECTORY, FILE, mkdir, openStore } from './helpers.ts';

const CLIENT = Buffer.alloc(16, 1);
const PAGE = { after: 0 as EntrySequence, upTo: undefined, limit: 100, withRecords: true };

interface Fixture {
  router: MetaRouter;
  stores: [LocalMetaStore, LocalMetaStore];
  /** How often a server was asked for many inodes at once. */
  batches: InodeId[][];
}

async function open(t: ExecutionContext): Promise<Fixture> {
  const stores: Fixture['stores'] = [await openStore(t), await openStore(t, { server: 1 })];
  const batches: InodeId[][] = [];
  const sessions = stores.map(({ core }) => {
    const session = new MetaSession(core, CLIENT);
    const inodes = session.inodes.bind(session);
    session.inodes = (wanted) => {
      batches.push([...wanted]);
      return inodes(wanted);
    };
    return session;
  });
  return { router: new MetaRouter(sessions), stores, batches };
}

/**
 * A directory whose name is on server 0 and whose record is on server 1, as mkdir over both leaves it. A `counter` of 0 or
 * 1 is one that no server gives out, so that all others come after it.
 */
async function spread({ stores }: Fixture, name: string, counter: number): Promise<InodeId> {
  const [first, second] = stores;
  const local = mkdir(first, `model of ${name}`);
  const model = await first.core.read((kv) => findInode(kv, local));
  const inode = makeInodeId(1, counter);
  const record: StoredInode = { ...(model as StoredInode), inode, uri: `imss://${name}` };
  await second.core.transact((kv) => putInode(kv, record));
  await first.core.transact(function* (kv) {
    const root = yield* requireDirectory(kv, ROOT_INODE);
    yield* addEntry(kv, root, Buffer.from(name), record);
    yield* putInode(kv, root);
  });
  return inode;
}

test('only the first metadata server has a root', async (t) => {
  const { stores } = await open(t);
  t.deepEqual(
    stores.map((store) => store.inodeCount()),
    [1, 0],
  );
});

test('a child that another server keeps is looked up there', async (t) => {
  const fixture = await open(t);
  const inode = await spread(fixture, 'd', 1);
  t.like(await fixture.router.lookup(ROOT_INODE, Buffer.from('d')), { inode, uri: 'imss://d' });
  t.is((await fixture.router.inode(inode)).inode, inode);
});

test('what is made in a directory is made, and found, on the directory’s server', async (t) => {
  const fixture = await open(t);
  const { router, stores } = fixture;
  const parent = await spread(fixture, 'd', 1);
  const made = await router.create(at('f', parent), FILE, 'write');
  t.is(metaServerOf(made.inode), 1);
  t.deepEqual(await router.lookup(parent, Buffer.from('f')), made);
  t.is((await router.openInode(made.inode, 'read')).inode, made.inode);
  t.deepEqual(await router.claimBlocks(made.inode, [1 as BlockIndex], 3), [3]);
  t.deepEqual(await router.blockServers(made.inode, [1, 2] as BlockIndex[]), [3, undefined]);
  t.is((await router.setAttributes(made.inode, { uid: 9 })).uid, 9);
  await router.rename(at('f', parent), at('g', parent));
  t.is((await router.link(made.inode, at('h', parent))).nlink, 2);
  await router.unlink(at('g', parent));
  t.is((await router.unlink(at('h', parent))).record.nlink, 0);
  await router.closeInode(made.inode, 'none');
  await router.reap(made.inode);
  await t.throwsAsync(async () => router.inode(made.inode), { code: 'ESTALE' });
  t.is(stores[1].inodeCount(), 0);
});

test('a listing has the records of all its entries, by one request to each other server', async (t) => {
  const fixture = await open(t);
  const { router, stores, batches } = fixture;
  const far = [await spread(fixture, 'd', 1), await spread(fixture, 'e', 0)];
  const { inode: near } = stores[0].create(at('f'), FILE);
  const { entries } = await router.list(ROOT_INODE, PAGE);
  t.true(entries.every(({ inode, record }) => record?.inode === inode));
  t.true([...far, near].every((inode) => entries.some((entry) => entry.inode === inode)));
  t.deepEqual(batches, [far]);
  const plain = await router.list(ROOT_INODE, { ...PAGE, withRecords: false });
  t.true(plain.entries.every((entry) => !('record' in entry)));
  t.is(batches.length, 1);
});

test('an entry whose inode has gone from its server has no record', async (t) => {
  const fixture = await open(t);
  const inode = await spread(fixture, 'd', 1);
  await fixture.stores[1].core.transact((kv) => wait(kv.remove(inodeKey(inode))));
  const { entries } = await fixture.router.list(ROOT_INODE, PAGE);
  const entry = entries.find((listed) => listed.inode === inode);
  t.is(entry?.name.toString(), 'd');
  t.is(entry?.record, undefined);
  await t.throwsAsync(async () => fixture.router.lookup(ROOT_INODE, Buffer.from('d')), {
    code: 'ESTALE',
  });
});

test('the path of a URI is walked over all servers, and made where it is missing', async (t) => {
  const fixture = await open(t);
  const { router } = fixture;
  const parent = await spread(fixture, 'd', 1);
  const path = ['d', 'a', 'b'].map((name) => Buffer.from(name));
  const made = await router.directoryAt(path, DIRECTORY);
  t.is(metaServerOf(made.inode), 1);
  t.is((await router.directoryAt(path, DIRECTORY)).inode, made.inode);
  t.is(made.parent, (await router.lookup(parent, Buffer.from('a'))).inode);
  t.is((await router.directoryAt([], DIRECTORY)).inode, ROOT_INODE);
  await router.create(at('file', parent), FILE);
  const through = ['d', 'file', 'x'].map((name) => Buffer.from(name));
  await t.throwsAsync(async () => router.directoryAt(through, DIRECTORY), { code: 'ENOTDIR' });
});

test('inodes of all servers are counted together', async (t) => {
  const fixture = await open(t);
  const parent = await spread(fixture, 'd', 1);
  await fixture.router.create(at('f', parent), FILE);
  const [first, second] = fixture.stores.map((store) => store.inodeCount());
  t.is(await fixture.router.inodeCount(), (first ?? 0) + (second ?? 0));
});

test('an inode of a server that does not exist is stale', async (t) => {
  const { router } = await open(t);
  await t.throwsAsync(async () => router.inode(makeInodeId(7, 2)), { code: 'ESTALE' });
});
