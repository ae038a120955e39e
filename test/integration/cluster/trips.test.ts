/**
 * How many requests an operation costs when the servers are elsewhere: what passes real sockets is counted in front of each
 * server, time is not looked at.
 */
import test, { type ExecutionContext } from 'ava';
import { RemoteBlockStore } from '../../../src/blocks/client.ts';
import { homeOf, placeOf } from '../../../src/blocks/placement.ts';
import { StripedBlockStore } from '../../../src/blocks/striped-store.ts';
import { TransferBuffers } from '../../../src/blocks/transfer-buffers.ts';
import { SystemClock } from '../../../src/clock.ts';
import type { Opened } from '../../../src/fs/types.ts';
import { Vfs } from '../../../src/fs/vfs.ts';
import { type HandleId, type InodeId, metaServerOf, ROOT_INODE } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import { RemoteMetaStore } from '../../../src/meta/client.ts';
import { MetaRouter } from '../../../src/meta/router.ts';
import { formatAddress } from '../../../src/net/call.ts';
import { randomId } from '../../../src/net/handshake.ts';
import { Peer } from '../../../src/net/peer.ts';
import { FileType } from '../../../src/stat.ts';
import { runTask } from '../../../src/task.ts';
import { type CountingProxy, startCountingProxy } from '../../support/counting-proxy.ts';
import {
  BLOCK_LIST,
  joinCluster,
  LAYOUT,
  SECRET,
  startBlocks,
  startMeta,
} from '../../support/own-servers.ts';

const FILE = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
const DIRECTORY = { mode: FileType.DIRECTORY | 0o755, uid: 1, gid: 2 };
const READ = { write: false, truncate: false };
const WRITE = { write: true, truncate: false, exclusive: true };
const BLOCK_BYTES = LAYOUT.blockSizeBytes;
const ENTRIES = 40;
/** What follows an operation without being waited for has been sent by then, in as many turns of the event loop. */
const TURNS = 200;

/** Requests since the last look, by server: `meta 0: lookup`. */
type Trips = string[];

interface Setting {
  readonly vfs: Vfs;
  readonly meta: MetaRouter;
  /** What `action` sends, and all that comes of it. */
  readonly tripsOf: (action: () => unknown) => Promise<Trips>;
}

async function quiet(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
}

async function startServers(
  t: ExecutionContext,
  servers: number,
): Promise<{ metas: CountingProxy[]; blocks: CountingProxy[]; clusterId: string }> {
  const metas = await Promise.all(Array.from({ length: servers }, () => startCountingProxy(t)));
  const metaServers = metas.map(({ address }) => formatAddress(address));
  for (const [index, proxy] of metas.entries()) {
    const listen = { host: `127.0.0.${2 + index}`, port: 0 };
    proxy.target = (await startMeta(t, { listen, index, metaServers })).address;
  }
  const [zero] = metas;
  if (zero === undefined) throw new Error('no metadata server');
  const client = joinCluster(
    t,
    metas.map(({ address }) => address),
  );
  for (const index of BLOCK_LIST.keys()) await startBlocks(t, zero.address, { index });
  const { map, clusterId } = await client;
  const blocks = await Promise.all(
    map.blocks.map(async ({ life }) => {
      const proxy = await startCountingProxy(t);
      proxy.target = { host: life?.host ?? '', port: life?.ports[0] ?? 0 };
      return proxy;
    }),
  );
  return { metas, blocks, clusterId };
}

/** A mount's VFS and stores without the mount, over servers that see each of its requests. */
async function start(t: ExecutionContext, servers: number): Promise<Setting> {
  const { metas, blocks: members, clusterId } = await startServers(t, servers);
  const clientId = randomId();
  const common = { secret: SECRET, logger: silentLogger } as const;
  const meta = new MetaRouter(
    metas.map(
      ({ address }) =>
        new RemoteMetaStore((hooks) => {
          const hello = { role: 'meta', clientId, clusterId } as const;
          const peer = new Peer({ address, hello, reading: 'small', ...common, ...hooks });
          t.teardown(() => peer.close());
          return peer;
        }),
    ),
  );
  const buffers = new TransferBuffers(16 * BLOCK_BYTES);
  const blocks = new StripedBlockStore({
    members: members.map(({ address }) => {
      const hello = { role: 'blocks', clientId, clusterId } as const;
      const store = new RemoteBlockStore({ address, hello, buffers, ...common });
      t.teardown(() => store.close());
      return store;
    }),
    locator: {
      claim: (...claim) => meta.claimBlocks(...claim),
      locate: (...located) => meta.blockServers(...located),
    },
  });
  const vfs = new Vfs({
    ...{ meta, blocks, clock: new SystemClock(), logger: silentLogger },
    ...{ root: ROOT_INODE, atimePolicy: 'noatime' },
  });
  const proxies = [
    ...metas.map((proxy, index) => ({ proxy, name: `meta ${index}` })),
    ...members.map((proxy, index) => ({ proxy, name: `blocks ${index}` })),
  ];
  const tripsOf = async (action: () => unknown): Promise<Trips> => {
    await quiet();
    for (const { proxy } of proxies) proxy.requests.length = 0;
    await action();
    await quiet();
    return proxies.flatMap(({ proxy, name }) => proxy.requests.map((what) => `${name}: ${what}`));
  };
  // All connections and sessions are there before anything is counted.
  await runTask(vfs.statfs());
  return { vfs, meta, tripsOf };
}

function make(vfs: Vfs, parent: InodeId, name: string): Promise<{ inode: InodeId }> {
  return Promise.resolve(runTask(vfs.make({ parent, name: Buffer.from(name) }, DIRECTORY)));
}

async function createFile(
  vfs: Vfs,
  parent: InodeId,
  name: string,
): Promise<Opened & { inode: InodeId }> {
  return await runTask(vfs.create({ parent, name: Buffer.from(name) }, FILE, WRITE));
}

async function write(
  vfs: Vfs,
  handle: HandleId,
  range: { offset: number; length: number },
): Promise<void> {
  const payload = { bytes: Buffer.alloc(range.length, 7) };
  const request = { offset: range.offset, append: false, payload, dropPrivilegeBits: false };
  await runTask(vfs.write(handle, request));
}

/** One that has data and that nobody writes. */
async function settledFile(vfs: Vfs, parent: InodeId, name: string): Promise<InodeId> {
  const { inode, handle } = await createFile(vfs, parent, name);
  await write(vfs, handle, { offset: 0, length: 4 });
  await runTask(vfs.release(handle));
  return inode;
}

/** A directory for each metadata server, which keeps it. */
async function directories({ vfs }: Setting, servers: number): Promise<Map<number, InodeId>> {
  const found = new Map<number, InodeId>();
  for (let index = 0; found.size < servers && index < 200; index++) {
    const { inode } = await make(vfs, ROOT_INODE, `directory-${index}`);
    if (!found.has(metaServerOf(inode))) found.set(metaServerOf(inode), inode);
  }
  return found;
}

for (const servers of [1, 2]) {
  const withServers = `with ${servers} metadata server${servers === 1 ? '' : 's'}`;

  test(`lookup, create, stat and a page of a listing are one request each, to one server, ${withServers}`, async (t) => {
    const setting = await start(t, servers);
    const { vfs, tripsOf } = setting;
    const found = await directories(setting, servers);
    t.is(found.size, servers);
    for (const [server, directory] of found) {
      const file = await settledFile(vfs, directory, 'settled');
      const expect = async (action: () => unknown, request: string): Promise<void> => {
        t.deepEqual(await tripsOf(action), [`meta ${server}: ${request}`]);
      };
      await expect(() => runTask(vfs.lookup(directory, Buffer.from('settled'))), 'lookup');
      await expect(() => runTask(vfs.getattr(file)), 'inode');
      await expect(() => createFile(vfs, directory, 'new'), 'create');
      const handle = await runTask(vfs.opendir(directory));
      for (let index = 2; index < ENTRIES; index++) {
        await settledFile(vfs, directory, `file-${index}`);
      }
      await runTask(vfs.unlink({ parent: directory, name: Buffer.from('new') }));
      const sizes: number[] = [];
      const sink = {
        add: ({ stat }: { stat?: { sizeBytes: number } }): boolean => {
          if (stat !== undefined) sizes.push(stat.sizeBytes);
          return true;
        },
      };
      const page = { offset: 0, expectedEntries: ENTRIES + 10, withAttributes: true };
      await expect(() => runTask(vfs.readdir(handle, page, sink)), 'list');
      t.is(sizes.filter((size) => size === 4).length, ENTRIES - 1);
    }
  });

  test(`open for reading is one request, and reading and writing a block of an open file one to its server, ${withServers}`, async (t) => {
    const setting = await start(t, servers);
    const { vfs, meta, tripsOf } = setting;
    for (const [server, directory] of await directories(setting, servers)) {
      const inode = await settledFile(vfs, directory, 'file');
      const handles: HandleId[] = [];
      const open = async (): Promise<void> => {
        handles.push((await runTask(vfs.open(inode, READ))).handle);
      };
      t.deepEqual(await tripsOf(open), [`meta ${server}: open`]);
      const { handle } = await runTask(vfs.open(inode, { ...READ, write: true }));
      const record = await meta.inode(inode);
      const home = homeOf(record, BLOCK_LIST.length);
      for (const block of [1, 2]) {
        const place = placeOf(record, block, BLOCK_LIST.length) ?? -1;
        const offset = (block - 1) * BLOCK_BYTES;
        const written = await tripsOf(() => write(vfs, handle, { offset, length: BLOCK_BYTES }));
        // Nobody waits for the note at block 0 that follows.
        const note = `blocks ${home}: noteWrite`;
        t.deepEqual(written.sort(), [`blocks ${place}: writeBlock`, note].sort());
        const read = await tripsOf(async () => {
          const data = await runTask(vfs.read(handle, { offset, length: BLOCK_BYTES }));
          data.release?.();
        });
        t.deepEqual(read, [`blocks ${place}: readBlock`]);
      }
      for (const each of [handle, ...handles]) await runTask(vfs.release(each));
    }
  });
}

test('a stat of a file that is being written asks block 0’s server, too', async (t) => {
  const { vfs, meta, tripsOf } = await start(t, 1);
  const { inode, handle } = await createFile(vfs, ROOT_INODE, 'growing');
  await write(vfs, handle, { offset: 0, length: 4 });
  const home = homeOf(await meta.inode(inode), BLOCK_LIST.length);
  const trips = await tripsOf(() => runTask(vfs.getattr(inode)));
  t.deepEqual(trips, ['meta 0: inode', `blocks ${home}: readInners`]);
  await runTask(vfs.release(handle));
});

test('ranges are reserved, punched and sought in one request to each server, and a copy within servers moves no data', async (t) => {
  const { vfs, meta, tripsOf } = await start(t, 1);
  const servers = BLOCK_LIST.length;
  const source = await createFile(vfs, ROOT_INODE, 'source');
  const length = 4 * BLOCK_BYTES;
  for (let block = 0; block < 4; block++) {
    await write(vfs, source.handle, { offset: block * BLOCK_BYTES, length: BLOCK_BYTES });
  }
  const sourceHome = homeOf(await meta.inode(source.inode), servers);
  // One whose blocks lie on the servers of the source's, and one whose blocks do not.
  const targets = new Map<boolean, Opened & { inode: InodeId }>();
  for (let index = 0; targets.size < 2; index++) {
    const target = await createFile(vfs, ROOT_INODE, `target-${index}`);
    await write(vfs, target.handle, { offset: 0, length: 1 });
    targets.set(homeOf(await meta.inode(target.inode), servers) === sourceHome, target);
  }
  const change = {
    range: { offset: 0, length },
    ...{ keepsSize: false, dropPrivilegeBits: false },
  };
  const counted = async (action: () => unknown): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const trip of await tripsOf(action)) {
      const name = trip.replace(/^.*: /, '');
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };
  for (const [isTogether, target] of targets) {
    t.like(await counted(() => runTask(vfs.ranges.allocate(target.handle, change))), {
      ...{ reserve: servers, usage: servers, writeBlock: undefined },
    });
    const sought = await counted(() => runTask(vfs.ranges.seekHole(source.handle, 0)));
    t.deepEqual(sought, { map: servers, readInners: sought['readInners'] ?? 0 });
    const copied = await counted(async () => {
      const from = { handle: source.handle, offset: 0 };
      const to = { handle: target.handle, offset: 0 };
      const asked = { length, dropPrivilegeBits: false };
      t.is(await runTask(vfs.ranges.copy(from, to, asked)), length);
    });
    const through = isTogether ? undefined : 4;
    t.like(copied, { map: servers, readBlock: through, writeBlock: through });
    t.is(copied['copyBlock'], isTogether ? 4 : undefined);
    const back = await runTask(vfs.read(target.handle, { offset: BLOCK_BYTES - 2, length: 4 }));
    t.deepEqual(Buffer.concat(back.slices), Buffer.alloc(4, 7));
    back.release?.();
    const punched = await counted(() => runTask(vfs.ranges.punch(target.handle, change)));
    t.like(punched, { punch: servers, noteWrite: 1, writeBlock: undefined });
  }
});
