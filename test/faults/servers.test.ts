import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Errno, FsError } from '../../src/errno.ts';
import { type BlockIndex, type InodeId, metaServerOf, ROOT_INODE } from '../../src/ids.ts';
import { clusterStatus } from '../../src/meta/cluster-commands.ts';
import type { MetaStatus } from '../../src/meta/cluster-protocol.ts';
import type { EntryName, InodeRecord } from '../../src/meta/store.ts';
import { silentLogger } from '../../src/log.ts';
import { FileType } from '../../src/stat.ts';
import { withCluster } from '../support/cluster.ts';
import { type ClusterStores, openStores } from '../support/cluster-stores.ts';
import { statOf } from '../unit/blocks/fixtures.ts';

const POLL_MS = 50;
const MAX_POLLS = 600;
const BLOCK = 1 as BlockIndex;
const OWNER = { uid: 0, gid: 0 };

/** Asks until the answer is the wanted one; fails with `what` after a while. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let poll = 0; poll < MAX_POLLS; poll++) {
    if (await isSo()) return;
    await sleep(POLL_MS);
  }
  throw new Error(`never came: ${what}`);
}

async function statusOfFirst({ metaAddresses, secret }: ClusterStores): Promise<MetaStatus> {
  const options = { metaServers: metaAddresses.slice(0, 1), secret, waitMs: 10_000 };
  const [answer] = await clusterStatus({ ...options, logger: silentLogger });
  if (answer?.status === undefined) throw answer?.error ?? new Error('no answer');
  return answer.status;
}

function entry(name: string, parent: InodeId = ROOT_INODE): EntryName {
  return { parent, name: Buffer.from(name) };
}

/** A file of one block that begins with its name. */
async function writeFile({ meta, blocks }: ClusterStores, name: string): Promise<InodeRecord> {
  const record = await meta.create(entry(name), { ...OWNER, mode: FileType.REGULAR | 0o644 });
  const bytes = Buffer.from(name.padEnd(4096, '.'));
  const stat = statOf(record.inode, { sizeBytes: 0 });
  const attributes = await blocks.createInner(record, { stat });
  const view = { ...record, ...attributes };
  const { storedDelta } = await blocks.writeBlock(view, BLOCK, 0, { bytes });
  await blocks.noteWrite(record, { endBytes: bytes.length, storedDelta });
  await meta.confirmBorn(record.inode);
  return record;
}

/** What a file's block begins with, or the errno of reading it. */
async function readFile({ blocks }: ClusterStores, record: InodeRecord): Promise<string> {
  try {
    const inner = await blocks.readInner(record);
    if (inner === undefined) return 'no block 0';
    const range = { offset: 0, length: 8 };
    const { slices, release } = await blocks.readBlock({ ...record, ...inner }, BLOCK, range);
    const text = Buffer.concat(slices).toString().replace(/\.+$/, '');
    release?.();
    return text;
  } catch (error) {
    if (error instanceof FsError && error.errno === Errno.EIO) return 'EIO';
    throw error;
  }
}

async function writeFiles(stores: ClusterStores, names: readonly string[]): Promise<InodeRecord[]> {
  const records: InodeRecord[] = [];
  for (const name of names) records.push(await writeFile(stores, name));
  return records;
}

async function contents(stores: ClusterStores, records: readonly InodeRecord[]): Promise<string[]> {
  const found: string[] = [];
  for (const record of records) found.push(await readFile(stores, record));
  return found;
}

const NAMES = Array.from({ length: 12 }, (_, index) => `file${index}`);

test('a block server that died and came back empty: EIO for what it had, never zeros, and the rest goes on', async (t) => {
  await withCluster(t, { meta: 2, blocks: 2, mounts: 0 }, async (cluster) => {
    const stores = await openStores(t, cluster);
    const old = await writeFiles(stores, NAMES);
    t.deepEqual(await contents(stores, old), NAMES);
    const [server] = cluster.blockServers;
    if (server === undefined) throw new Error('no block server');
    await cluster.kill(server);
    await cluster.start(server);
    t.is((await statusOfFirst(stores)).epoch, 2);
    await checkLosses(t, stores, old);
    await checkNewEpoch(t, stores);
    for (const name of [...NAMES, 'new']) {
      const { record } = await stores.meta.unlink(entry(name));
      await stores.meta.reap(record.inode);
    }
    await until('all blocks are freed', async () => {
      const { blockServers } = await statusOfFirst(stores);
      return blockServers.every(({ state, report }) => state === 'up' && report?.datasets === 0);
    });
  });
});

async function checkLosses(
  t: ExecutionContext,
  stores: ClusterStores,
  old: readonly InodeRecord[],
): Promise<void> {
  const found = await contents(stores, old);
  for (const [index, text] of found.entries()) {
    t.true(text === NAMES[index] || text === 'EIO', `${NAMES[index] ?? ''} reads ${text}`);
  }
  t.true(found.includes('EIO'));
}

async function checkNewEpoch(t: ExecutionContext, stores: ClusterStores): Promise<void> {
  const fresh = await writeFile(stores, 'new');
  t.is(fresh.mapEpoch, 2);
  t.is(await readFile(stores, fresh), 'new');
  // On the other metadata server, which had to learn of it.
  for (let attempt = 0; attempt < 40; attempt++) {
    const spec = { ...OWNER, mode: FileType.DIRECTORY | 0o755 };
    const directory = await stores.meta.create(entry(`directory${attempt}`), spec);
    if (metaServerOf(directory.inode) !== 1) continue;
    const file = { ...OWNER, mode: FileType.REGULAR | 0o644 };
    t.is((await stores.meta.create(entry('file', directory.inode), file)).mapEpoch, 2);
    return;
  }
  t.fail('no directory is on the other metadata server');
}

test('metadata servers that are killed go on where they were: file system, epoch, lives of block servers', async (t) => {
  const shape = { meta: 2, blocks: 2, mounts: 0, keepsMetadata: true };
  await withCluster(t, shape, async (cluster) => {
    const stores = await openStores(t, cluster);
    const records = await writeFiles(stores, NAMES);
    const before = await statusOfFirst(stores);
    for (const server of cluster.metaServers) await cluster.kill(server);
    for (const server of cluster.metaServers) await cluster.start(server);
    for (const { inode, uri } of records) {
      const name = Buffer.from(uri.slice('imss://'.length));
      t.is((await stores.meta.lookup(ROOT_INODE, name)).inode, inode);
    }
    await until('both block servers are up again', async () => {
      const { blockServers } = await statusOfFirst(stores);
      return blockServers.every(({ state }) => state === 'up');
    });
    const after = await statusOfFirst(stores);
    const livesOf = ({ blockServers }: MetaStatus) => blockServers.map(({ life }) => life);
    t.deepEqual(livesOf(after), livesOf(before));
    t.like(after, { clusterId: before.clusterId, epoch: 1, metaServers: before.metaServers });
    t.deepEqual(await contents(stores, records), NAMES);
    await writeFile(stores, 'after');
    await until('the mount is known again', async () => {
      const { mounts } = await statusOfFirst(stores);
      return mounts.length === 1;
    });
  });
});

test('a block server that is restarted while metadata server 0 is away waits for it, then is a new life', async (t) => {
  const shape = { meta: 1, blocks: 1, mounts: 0, keepsMetadata: true };
  await withCluster(t, shape, async (cluster) => {
    const stores = await openStores(t, cluster);
    const old = await writeFile(stores, 'old');
    const [meta] = cluster.metaServers;
    const [blocks] = cluster.blockServers;
    if (meta === undefined || blocks === undefined) throw new Error('no servers');
    await cluster.kill(meta);
    await cluster.kill(blocks);
    const waiting = cluster.start(blocks);
    await cluster.start(meta);
    await waiting;
    t.is((await statusOfFirst(stores)).epoch, 2);
    t.is(await readFile(stores, old), 'EIO');
    t.is(await readFile(stores, await writeFile(stores, 'new')), 'new');
  });
});
