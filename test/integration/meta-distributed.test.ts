/** A namespace that three metadata servers share, over real connections and database files. */
import test, { type ExecutionContext } from 'ava';
import { type ErrnoName, FsError } from '../../src/errno.ts';
import { type EntrySequence, type InodeId, metaServerOf, ROOT_INODE } from '../../src/ids.ts';
import type { MetaRouter } from '../../src/meta/router.ts';
import type { EntryName, NewInode } from '../../src/meta/store.ts';
import { FileType } from '../../src/stat.ts';
import type { MaybePromise } from '../../src/task.ts';
import { MetaCluster } from '../support/meta-cluster.ts';

const FILE: NewInode = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
const DIRECTORY: NewInode = { mode: FileType.DIRECTORY | 0o755, uid: 1, gid: 2 };

function at(text: string, parent: InodeId = ROOT_INODE): EntryName {
  return { parent, name: Buffer.from(text) };
}

async function names(meta: MetaRouter, directory: InodeId): Promise<string[]> {
  const page = { after: 0 as EntrySequence, upTo: undefined, limit: 1000, withRecords: true };
  const { entries } = await meta.list(directory, page);
  for (const { record, inode } of entries) {
    if (record?.inode !== inode) throw new Error(`no record of ${inode}`);
  }
  return entries.map(({ name }) => name.toString());
}

/** A directory below `parent` that lives on `server`, of whatever name does that. */
async function directoryOn(
  meta: MetaRouter,
  server: number,
  parent: InodeId = ROOT_INODE,
): Promise<{ inode: InodeId; entry: EntryName }> {
  for (let index = 0; ; index++) {
    const entry = at(`on-${server}-${index}`, parent);
    const { inode } = await meta.create(entry, DIRECTORY);
    if (metaServerOf(inode) === server) return { inode, entry };
  }
}

async function failsWith(
  t: ExecutionContext,
  code: ErrnoName,
  action: () => MaybePromise<unknown>,
): Promise<void> {
  const error = await t.throwsAsync(
    async () => {
      await action();
    },
    { instanceOf: FsError },
  );
  t.is(error.code, code);
}

test('directories spread over the servers, and files are born beside their names', async (t) => {
  const cluster = await MetaCluster.start(t, 3);
  const meta = cluster.connect();
  const servers = new Set<number>();
  for (let index = 0; index < 20; index++) {
    const directory = await meta.create(at(`directory-${index}`), DIRECTORY);
    servers.add(metaServerOf(directory.inode));
    const file = await meta.create(at('file', directory.inode), FILE);
    t.is(metaServerOf(file.inode), metaServerOf(directory.inode));
    t.is(file.uri, `imss://directory-${index}/file`);
    t.is((await meta.lookup(ROOT_INODE, Buffer.from(`directory-${index}`))).inode, directory.inode);
  }
  t.deepEqual([...servers].sort(), [0, 1, 2]);
  t.is((await names(meta, ROOT_INODE)).length, 20);
  t.is((await meta.inode(ROOT_INODE)).nlink, 22);
  t.is(await meta.inodeCount(), 41);
});

test('names move between directories of two servers, and take what they lead to along', async (t) => {
  const cluster = await MetaCluster.start(t, 3);
  const meta = cluster.connect();
  const [one, two] = [await directoryOn(meta, 1), await directoryOn(meta, 2)];
  const file = await meta.create(at('file', one.inode), FILE);
  t.is(await meta.rename(at('file', one.inode), at('moved', two.inode)), undefined);
  t.deepEqual(await names(meta, one.inode), []);
  t.deepEqual(await names(meta, two.inode), ['moved']);
  t.is((await meta.lookup(two.inode, Buffer.from('moved'))).inode, file.inode);

  t.is((await meta.link(file.inode, at('second', one.inode))).nlink, 2);
  t.is((await meta.unlink(at('moved', two.inode))).record.nlink, 1);
  t.is((await meta.unlink(at('second', one.inode))).record.nlink, 0);

  const inner = await directoryOn(meta, 0, one.inode);
  await meta.rename(inner.entry, at('inner', two.inode));
  t.is((await meta.inode(inner.inode)).parent, two.inode);
  await failsWith(t, 'EINVAL', () => meta.rename(two.entry, at('below', inner.inode)));
  await failsWith(t, 'ENOTEMPTY', () => meta.rmdir(two.entry));
  await meta.rmdir(at('inner', two.inode));
  await meta.rmdir(two.entry);
  await failsWith(t, 'ENOENT', () => meta.create(at('late', two.inode), FILE));
});

test('a file that lost its last name on another server stays for who has it open', async (t) => {
  const cluster = await MetaCluster.start(t, 2);
  const [mine, theirs] = [cluster.connect(), cluster.connect()];
  const here = await directoryOn(mine, 0);
  const there = await directoryOn(mine, 1);
  const { inode } = await mine.create(at('file', there.inode), FILE);
  await mine.rename(at('file', there.inode), at('file', here.inode));
  await theirs.openInode(inode, 'read');
  await mine.unlink(at('file', here.inode));
  await mine.reap(inode);
  t.is((await theirs.inode(inode)).nlink, 0);
  await failsWith(t, 'ESTALE', () => mine.openInode(inode, 'read'));
  await theirs.closeInode(inode, 'none');
  await failsWith(t, 'ESTALE', () => theirs.inode(inode));
});

test('two mounts that move each directory into the other leave one below the root', async (t) => {
  const cluster = await MetaCluster.start(t, 3);
  const mounts = [cluster.connect(), cluster.connect()] as const;
  for (let round = 0; round < 20; round++) {
    const parent = (await mounts[0].create(at(`round-${round}`), DIRECTORY)).inode;
    const [a, b] = [at('a', parent), at('b', parent)];
    const inA = (await mounts[0].create(a, DIRECTORY)).inode;
    const inB = (await mounts[0].create(b, DIRECTORY)).inode;
    const results = await Promise.allSettled([
      (async () => mounts[0].rename(a, at('a', inB)))(),
      (async () => mounts[1].rename(b, at('b', inA)))(),
    ]);
    t.is(results.filter(({ status }) => status === 'fulfilled').length, 1);
    const left = await names(mounts[0], parent);
    t.is(left.length, 1);
    t.is((await names(mounts[1], left[0] === 'a' ? inA : inB)).length, 1);
  }
});

test('many mounts make and remove names in directories of all servers at once', async (t) => {
  const cluster = await MetaCluster.start(t, 3);
  const mounts = [cluster.connect(), cluster.connect(), cluster.connect()];
  const [first] = mounts;
  if (first === undefined) throw new Error('no mount');
  const directories = await Promise.all([0, 1, 2].map((server) => directoryOn(first, server)));
  await Promise.all(
    mounts.flatMap((meta, mount) =>
      directories.map(async ({ inode }, index) => {
        const next = directories[(index + 1) % directories.length]?.inode ?? ROOT_INODE;
        for (let turn = 0; turn < 10; turn++) {
          const name = `${mount}-${turn}`;
          await meta.create(at(name, inode), turn % 2 === 0 ? FILE : DIRECTORY);
          await meta.rename(at(name, inode), at(`moved-${name}-${index}`, next));
        }
      }),
    ),
  );
  for (const [index, { inode }] of directories.entries()) {
    const from = (index + 2) % 3;
    const expected = mounts.flatMap((_meta, mount) =>
      Array.from({ length: 10 }, (_item, turn) => `moved-${mount}-${turn}-${from}`),
    );
    t.deepEqual((await names(first, inode)).sort(), expected.sort());
    t.is((await first.inode(inode)).nlink, 2 + 15);
  }
});

test('an operation that needs a server which is away fails with EIO, and leaves nothing half-done', async (t) => {
  const cluster = await MetaCluster.start(t, 2, { patienceMs: 700 });
  const meta = cluster.connect();
  const here = await directoryOn(meta, 0);
  const there = await directoryOn(meta, 1);
  await meta.create(at('file', here.inode), FILE);
  await cluster.stopServer(1);
  await failsWith(t, 'EIO', () => meta.rename(at('file', here.inode), at('file', there.inode)));
  t.deepEqual(await names(meta, here.inode), ['file']);
  await meta.create(at('other', here.inode), FILE);
  await cluster.startServer(1);
  t.deepEqual(await names(meta, there.inode), []);
  await meta.rename(at('file', here.inode), at('file', there.inode));
  t.deepEqual(await names(meta, there.inode), ['file']);
  t.deepEqual(cluster.core(0).statistics().holders, []);
});
