/** A block server's threads, and what its clients do with them. */
import test from 'ava';
import { startBlockShards } from '../../src/blocks/threads.ts';
import { TransferBuffers } from '../../src/blocks/transfer-buffers.ts';
import { shardOf } from '../../src/blocks/protocol.ts';
import { StripedBlockStore } from '../../src/blocks/striped-store.ts';
import type { BlockIndex, InodeId } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { randomId } from '../../src/net/handshake.ts';
import {
  MIB,
  codeOf,
  datasetOf,
  failureOf,
  makeLocator,
  readBytes,
  statFor,
  viewOf,
  writeBytes,
} from '../support/block-datasets.ts';
import { CLUSTER, SECRET, connectTo, startBlockServer } from '../support/block-servers.ts';

test('each thread keeps its share of the blocks, and all add up', async (t) => {
  const server = await startBlockServer({ threads: 3, capacityBytes: 90 * MIB });
  const store = connectTo(server.address);
  try {
    t.is(new Set(server.ports).size, 3);
    t.is(server.ports[0], server.address.port);
    const view = viewOf(datasetOf(1, { blockSizeBytes: 4096 }));
    for (let block = 1; block <= 60; block++) {
      await writeBytes(store, view, { block, bytes: Buffer.alloc(4096, block) });
    }
    let own = 0;
    for (let block = 1; block <= 60; block++) {
      const range = { offset: 0, length: 1 };
      const isHere = server.store.readStored(view, block as BlockIndex, range) !== undefined;
      t.is(isHere, shardOf(view.inode, block, 3) === 0);
      if (isHere) own++;
    }
    t.true(own > 0 && own < 60);
    const usage = { capacityBytes: 90 * MIB, usedBytes: 60 * 4096, datasets: 3 };
    t.deepEqual(await server.usage(), usage);
    t.deepEqual(await store.usage(), usage);
    const statistics = await server.statistics();
    t.is(statistics.connections, 3);
    t.true(statistics.requests >= 63);
  } finally {
    await store.close();
    await server.close();
  }
});

test('until a server has joined a file system, requests wait for it', async (t) => {
  const server = await startBlockShards({
    address: { host: '127.0.0.1', port: 0 },
    threads: 2,
    capacityBytes: MIB,
    blockSizeBytes: 65_536,
    secret: SECRET,
    logger: silentLogger,
    onFailure: (error) => {
      throw error;
    },
  });
  const impatient = connectTo(server.address, { patienceMs: 200 });
  const patient = connectTo(server.address);
  try {
    // The first attempts may be given up before the server has said so.
    for (let said = ''; !said.includes('not registered');) {
      said = String(await failureOf(() => impatient.usage()));
      t.regex(said, /EIO: block server /);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const answer = patient.readInner(datasetOf(1, { mapEpoch: 1 }));
    await server.setBornEpoch(7, CLUSTER, 4);
    const lost = await failureOf(() => answer);
    t.regex(
      String(lost),
      /EIO: block server .*lost/,
      'it knows its epoch before anybody is let in',
    );
    t.like(patient.shards.welcome, { clusterId: CLUSTER, serverNumber: 4, shards: server.ports });
  } finally {
    await Promise.all([impatient.close(), patient.close()]);
    await server.close();
  }
});

test('a port that is in use is an error, with nothing left running', async (t) => {
  const server = await startBlockServer({ threads: 2 });
  try {
    const { port } = server.address;
    const failure = await failureOf(() => startBlockServer({ threads: 2, port }));
    t.is((failure as NodeJS.ErrnoException).code, 'EADDRINUSE');
  } finally {
    await server.close();
  }
});

test('bytes under way are bounded, and received in memory that is used again', async (t) => {
  const server = await startBlockServer();
  const buffers = new TransferBuffers(3 * MIB);
  const store = connectTo(server.address, { buffers });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, buffers.underWayBytes)), 0);
  try {
    const view = viewOf(datasetOf(1));
    const blocks = Array.from({ length: 24 }, (_, n) => n + 1);
    await Promise.all(
      blocks.map((block) => writeBytes(store, view, { block, bytes: Buffer.alloc(MIB, block) })),
    );
    const seen = new Set<ArrayBufferLike>();
    await Promise.all(
      blocks.map(async (block) => {
        const range = { offset: 0, length: MIB };
        const data = await store.readBlock(view, block as BlockIndex, range);
        for (const slice of data.slices) seen.add(slice.buffer);
        t.true(Buffer.concat(data.slices).equals(Buffer.alloc(MIB, block)));
        data.release?.();
      }),
    );
    t.true(seen.size <= 6, `${seen.size} buffers`);
    t.is(buffers.underWayBytes, 0);
    t.true(buffers.freeBytes <= 3 * MIB);
    t.true(most <= 3 * MIB);
  } finally {
    clearInterval(watch);
    await store.close();
    await server.close();
  }
});

test('what is not stored does not travel', async (t) => {
  const server = await startBlockServer();
  const buffers = new TransferBuffers(8 * MIB);
  const store = connectTo(server.address, { buffers });
  try {
    const view = viewOf(datasetOf(1));
    await writeBytes(store, view, { bytes: Buffer.from('abc') });
    const range = { offset: 1, length: MIB - 1 };
    const stored = await store.readBlock(view, 1 as BlockIndex, range);
    t.is(stored.slices[0]?.toString(), 'bc');
    t.is(Buffer.concat(stored.slices).length, MIB - 1);
    const hole = await store.readBlock(view, 2 as BlockIndex, range);
    t.deepEqual(Buffer.concat(hole.slices), Buffer.alloc(MIB - 1));
    stored.release?.();
    hole.release?.();
    t.true(buffers.freeBytes <= MIB, 'a hole needs no buffer');
  } finally {
    await store.close();
    await server.close();
  }
});

test('frees of one turn travel in one message, inners of one server too', async (t) => {
  const server = await startBlockServer();
  const store = connectTo(server.address);
  try {
    const files = Array.from({ length: 500 }, (_, n) => datasetOf(n + 1));
    await Promise.all(
      files.map((file) => store.createInner(file, { stat: statFor(file, { sizeBytes: 1 }) })),
    );
    const before = (await server.statistics()).requests;
    t.is((await store.readInners(files)).length, 500);
    t.is((await server.statistics()).requests, before + 1);
    await Promise.all(files.map((file) => store.free(file.inode)));
    t.is((await server.statistics()).requests, before + 2);
    t.is((await store.usage()).datasets, 0);
  } finally {
    await store.close();
    await server.close();
  }
});

test('a request that no sound client sends is refused, and the server stays up', async (t) => {
  const server = await startBlockServer();
  const store = connectTo(server.address);
  try {
    const view = viewOf(datasetOf(1, { blockSizeBytes: 4096 }));
    const bytes = Buffer.alloc(4097);
    t.is(await codeOf(() => writeBytes(store, view, { bytes })), 'EINVAL');
    t.is(await codeOf(() => writeBytes(store, view, { offset: 2 ** 40, bytes })), 'EINVAL');
    t.is(
      await codeOf(() => writeBytes(store, view, { block: 0, bytes: Buffer.alloc(1) })),
      'EINVAL',
    );
    t.is(await codeOf(() => readBytes(store, view, { offset: 4096, length: 1 })), 'EINVAL');
    t.is(await codeOf(() => readBytes(store, view, { block: 0, length: 1 })), 'EINVAL');
    t.is(server.store.usage().usedBytes, 0);
    t.is(await writeBytes(store, view, { bytes: Buffer.alloc(4096) }), 4096);
  } finally {
    await store.close();
    await server.close();
  }
});

test('many clients of several servers see what one wrote', async (t) => {
  const servers = await Promise.all([1, 2].map(() => startBlockServer({ threads: 2 })));
  const addresses = servers.map(({ address }) => address);
  const clients = [0, 1, 2].map(() => addresses.map((address) => connectTo(address)));
  const stores = clients.map(
    (members) => new StripedBlockStore({ members, locator: makeLocator() }),
  );
  try {
    const file = datasetOf(11, { policy: 'HASH', blockSizeBytes: 65_536 });
    const view = viewOf(file);
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => {
        const store = stores[n % 3] as StripedBlockStore;
        const bytes = Buffer.alloc(65_536, n + 1);
        return writeBytes(store, view, { block: n + 1, bytes });
      }),
    );
    for (const [n, store] of stores.entries()) {
      for (let block = 1; block <= 30; block++) {
        const bytes = await readBytes(store, view, { block, length: 65_536 });
        t.true(bytes.equals(Buffer.alloc(65_536, block)), `client ${n}, block ${block}`);
      }
    }
    const seed = { stat: statFor(file) };
    const appends = await Promise.all(
      Array.from({ length: 90 }, async (_, n) =>
        (stores[n % 3] as StripedBlockStore).reserveAppend(file, 10, seed),
      ),
    );
    const offsets = appends.map(({ offset }) => offset).sort((a, b) => a - b);
    t.deepEqual(
      offsets,
      Array.from({ length: 90 }, (_, n) => 10 * n),
    );
    await (stores[0] as StripedBlockStore).free(11 as InodeId);
    t.is((await (stores[1] as StripedBlockStore).usage()).usedBytes, 0);
  } finally {
    await Promise.all(clients.flat().map((client) => client.close()));
    await Promise.all(servers.map((server) => server.close()));
  }
});

test('a store that is closed and made again is no retry of itself', async (t) => {
  const server = await startBlockServer({ threads: 2 });
  const hello = { role: 'blocks', clientId: randomId(), clusterId: CLUSTER } as const;
  const file = datasetOf(1);
  try {
    for (let n = 0; n < 6; n++) {
      const store = connectTo(server.address, { hello });
      try {
        const seed = { stat: statFor(file) };
        t.deepEqual(await store.reserveAppend(file, 10, seed), { offset: 20 * n });
        t.deepEqual(await store.reserveAppend(file, 10, seed), { offset: 20 * n + 10 });
      } finally {
        await store.close();
      }
    }
  } finally {
    await server.close();
  }
});
