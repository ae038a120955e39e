/** Block servers that die, and connections that are cut in the middle of what they carry. */
import test from 'ava';
import type { RemoteBlockStore } from '../../src/blocks/client.ts';
import { StripedBlockStore } from '../../src/blocks/striped-store.ts';
import type { DatasetView } from '../../src/blocks/store.ts';
import { FsError } from '../../src/errno.ts';
import type { Dataset } from '../../src/layout.ts';
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
import { startServerProcess } from '../support/block-server-process.ts';
import { connectTo, startBlockServer } from '../support/block-servers.ts';
import { FaultyProxy } from '../support/faulty-proxy.ts';

/** A small generator of numbers below `limit` that a seed repeats (mulberry32). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

const SEED = Number(process.env['IMSSFS_TEST_SEED'] ?? Date.now() % 2 ** 31);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const PAGE = 4096;
const BLOCK = 65_536;
const BLOCKS = 24;

/** What a run has done. */
interface Changed {
  readonly file: Dataset;
  readonly view: DatasetView;
  /** What the blocks must hold. */
  readonly expected: readonly Buffer[];
  /** Where appends were told to go. */
  readonly offsets: readonly number[];
  readonly notes: number;
  readonly storedBytes: number;
}

/** Appends, notes and writes through cut connections, several at once, and what must have become of them. */
async function changeThroughCuts(
  store: RemoteBlockStore,
  random: (limit: number) => number,
): Promise<Changed> {
  const file = datasetOf(5, { blockSizeBytes: BLOCK });
  const view = viewOf(file);
  const expected = Array.from({ length: BLOCKS }, () => Buffer.alloc(BLOCK));
  const offsets: number[] = [];
  let notes = 0;
  let storedBytes = 0;
  await store.createInner(file, { stat: statFor(file) });
  for (let round = 0; round < 12; round++) {
    const changes: Promise<unknown>[] = [];
    for (let n = 0; n < BLOCKS; n++) {
      const offset = random(BLOCK - 1);
      const bytes = Buffer.alloc(1 + random(BLOCK - offset), 1 + random(255));
      bytes.copy(expected[n] as Buffer, offset);
      changes.push(
        writeBytes(store, view, { block: n + 1, offset, bytes }).then((delta) => {
          storedBytes += delta;
        }),
        store.reserveAppend(file, 3).then(({ offset: at }) => offsets.push(at)),
      );
      if (n % 3 === 0) {
        notes++;
        changes.push(store.noteWrite(file, { endBytes: 0, storedDelta: 7 }));
      }
    }
    await Promise.all(changes);
  }
  return { file, view, expected, offsets, notes, storedBytes };
}

/** What counts as stored of a block in which no byte that was written is zero: pages that no write has reached do not. */
function storedOf(block: Buffer): number {
  const end = block.findLastIndex((byte) => byte !== 0) + 1;
  let stored = 0;
  for (let start = 0; start < end; start += PAGE) {
    const page = block.subarray(start, Math.min(start + PAGE, end));
    if (page.some((byte) => byte !== 0)) stored += page.length;
  }
  return stored;
}

test('changes run exactly once, however often their connections are cut', async (t) => {
  const random = randomFrom(SEED);
  t.log(`IMSSFS_TEST_SEED=${SEED}`);
  const server = await startBlockServer();
  const proxy = await FaultyProxy.start(server.address, {
    lifetimeBytes: () => 2000 + random(MIB),
  });
  const store = connectTo(proxy.address);
  try {
    const run = await changeThroughCuts(store, random);
    const inner = await store.readInner(run.file);
    t.deepEqual(
      [...run.offsets].sort((a, b) => a - b),
      Array.from({ length: 12 * BLOCKS }, (_, n) => 3 * n),
    );
    t.like(inner, {
      sizeBytes: 3 * 12 * BLOCKS,
      dataVersion: run.notes,
      storedBytes: 7 * run.notes,
    });
    let stored = 0;
    for (const [n, expected] of run.expected.entries()) {
      const bytes = await readBytes(store, run.view, { block: n + 1, length: BLOCK });
      t.true(bytes.equals(expected), `block ${n + 1}`);
      stored += storedOf(expected);
    }
    t.is(run.storedBytes, stored);
    t.true(proxy.cuts > 3);
  } finally {
    await store.close();
    await proxy.close();
    await server.close();
  }
});

test('a reply that waits in the queue of a slow reader is not overwritten by anybody', async (t) => {
  const count = 32;
  const server = await startBlockServer({ capacityBytes: 48 * MIB });
  const proxy = await FaultyProxy.start(server.address);
  const slow = connectTo(proxy.address);
  const other = connectTo(server.address);
  try {
    const victim = viewOf(datasetOf(1));
    for (let block = 1; block <= count; block++) {
      await writeBytes(other, victim, { block, bytes: Buffer.alloc(MIB, block) });
    }
    await slow.usage();
    const before = (await server.statistics()).requests;
    proxy.hold();
    const reads = Array.from({ length: count }, (_, n) =>
      readBytes(slow, victim, { block: n + 1, length: MIB }),
    );
    while ((await server.statistics()).requests < before + count) {
      await pause(5);
    }
    for (let block = 1; block <= count / 2; block++) {
      await writeBytes(other, victim, { block, bytes: Buffer.alloc(MIB, 200) });
      await writeBytes(other, victim, { block, offset: 5, bytes: Buffer.alloc(1000, 201) });
    }
    await other.free(victim.inode);
    const stranger = viewOf(datasetOf(2));
    for (let block = 1; block <= count; block++) {
      const bytes = Buffer.alloc(MIB, 100);
      if ((await codeOf(() => writeBytes(other, stranger, { block, bytes }))) === 'ENOSPC') break;
    }
    t.true((await other.usage()).usedBytes >= 8 * MIB, 'others use the memory meanwhile');
    proxy.resume();
    for (const [n, bytes] of (await Promise.all(reads)).entries()) {
      t.true(bytes.equals(Buffer.alloc(MIB, n + 1)), `block ${n + 1}`);
    }
    await other.free(stranger.inode);
    t.deepEqual([server.store.usage().usedBytes, server.store.memory().spans], [0, 0]);
  } finally {
    await Promise.all([slow.close(), other.close()]);
    await proxy.close();
    await server.close();
  }
});

test('a killed server is EIO in bounded time, and its blocks stay lost when it comes back empty', async (t) => {
  const survivor = await startServerProcess({ bornEpoch: 1 });
  const victim = await startServerProcess({ bornEpoch: 1 });
  let reborn: typeof victim | undefined;
  const members = [survivor, victim].map(({ address }, n) =>
    connectTo(address, { patienceMs: 700, name: `node${n}` }),
  );
  const store = new StripedBlockStore({ members, locator: makeLocator() });
  try {
    const file = datasetOf(3, { mapEpoch: 1, blockSizeBytes: BLOCK });
    const inner = await store.createInner(file, { stat: statFor(file) });
    const view = viewOf(file, inner);
    for (let block = 1; block <= 6; block++) {
      await writeBytes(store, view, { block, bytes: Buffer.alloc(BLOCK, block) });
    }
    const pending = Array.from({ length: 50 }, (_, n) =>
      codeOf(() => writeBytes(store, view, { block: n + 10, bytes: Buffer.alloc(BLOCK, 1) })),
    );
    await victim.kill();
    const codes = new Set(await Promise.all(pending));
    t.true([...codes].every((code) => code === undefined || code === 'EIO'));
    const answers = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((block) => failureOf(() => readBytes(store, view, { block }))),
    );
    t.is(answers.filter((answer) => answer === undefined).length, 3, 'every other block is away');
    for (const answer of answers) {
      if (answer !== undefined) t.regex((answer as FsError).message, /^EIO: block server node1: /);
    }
    t.is(await codeOf(() => store.free(file.inode)), 'EIO', 'a free that one has not confirmed');

    reborn = await startServerProcess({ bornEpoch: 2, port: victim.address.port });
    while ((await codeOf(() => members[1]?.usage())) !== undefined) await pause(50);
    for (const [n, answer] of answers.entries()) {
      const block = n + 1;
      // The survivor has freed its part in the meantime: it remembers no loss, its blocks are holes now.
      const code = await codeOf(() => readBytes(store, view, { block }));
      t.is(code, answer === undefined ? undefined : 'EIO', `block ${block}`);
    }
    const young = datasetOf(4, { mapEpoch: 2, blockSizeBytes: BLOCK });
    for (let block = 1; block <= 4; block++) {
      await writeBytes(store, viewOf(young), { block, bytes: Buffer.alloc(BLOCK, 9) });
      const bytes = await readBytes(store, viewOf(young), { block, length: BLOCK });
      t.true(bytes.equals(Buffer.alloc(BLOCK, 9)));
    }
  } finally {
    await Promise.all(members.map((member) => member.close()));
    await Promise.all([survivor.kill(), victim.kill(), reborn?.kill()]);
  }
});

test('a server that comes back with another number of threads is used as it is now', async (t) => {
  const first = await startServerProcess({ bornEpoch: 1, threads: 1 });
  let second: typeof first | undefined;
  const store = connectTo(first.address, { patienceMs: 5000 });
  try {
    await store.usage();
    t.is(store.shards.knownCount, 1);
    await first.kill();
    second = await startServerProcess({ bornEpoch: 2, threads: 3, port: first.address.port });
    const file = datasetOf(3, { mapEpoch: 2, blockSizeBytes: BLOCK });
    const seen = new Set<unknown>();
    for (let block = 1; block <= 40; block++) {
      // The first requests may still be meant for the only shard of before: refused, never stored astray.
      const bytes = Buffer.alloc(BLOCK, block);
      seen.add(await codeOf(() => writeBytes(store, viewOf(file), { block, bytes })));
    }
    t.is(store.shards.knownCount, 3);
    seen.delete('EIO');
    t.deepEqual([...seen], [undefined]);
    let stored = 0;
    for (let block = 1; block <= 40; block++) {
      const bytes = await readBytes(store, viewOf(file), { block, length: BLOCK });
      if (bytes.equals(Buffer.alloc(BLOCK, block))) stored++;
    }
    t.true(stored >= 39);
  } finally {
    await store.close();
    await Promise.all([first.kill(), second?.kill()]);
  }
});
