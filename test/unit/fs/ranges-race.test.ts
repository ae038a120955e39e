/**
 * Changes of one file by two mounts at the same time, over two servers whose answers come when they come: nothing fails,
 * what is stored in the end is what counts as stored, and both see the same.
 */
import test, { type ExecutionContext } from 'ava';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import type { BlockStore } from '../../../src/blocks/store.ts';
import { StripedBlockStore } from '../../../src/blocks/striped-store.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { type BlockIndex, type HandleId, type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { FileType } from '../../../src/stat.ts';
import { runTask } from '../../../src/task.ts';
import { datasetOf, makeLocator, MIB } from '../../support/block-datasets.ts';
import { manyTurns, nextTurn, TestMount } from '../../support/mounts.ts';
import { chance, pattern } from '../../support/pattern.ts';
import { withStores } from '../../support/stores.ts';
import { outcomeOf, readAll, writeAt } from '../../support/vfs-files.ts';

/** In pages, and not. */
const BLOCK_SIZES = [3 * 4096, 10_000];
const BLOCKS = 12;
const STEPS = 60;
const SEEDS = 8;

type Choose = (limit: number) => number;

interface Side {
  readonly vfs: Vfs;
  readonly handle: HandleId;
}

/** A server whose answers come some turns later, not always in the order of the questions. */
function slow(store: MemoryBlockStore, choose: Choose): BlockStore {
  return new Proxy(store, {
    get: (target, property): unknown => {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]): Promise<unknown> => {
        for (let turns = choose(4); turns > 0; turns--) await nextTurn();
        const answer: unknown = Reflect.apply(value, target, args);
        return property === 'readBlock' ? copied(answer as { slices: Buffer[] }) : answer;
      };
    },
  });
}

function copied({ slices }: { slices: Buffer[] }): { slices: Buffer[] } {
  return { slices: slices.map((slice) => Buffer.from(slice)) };
}

async function change(
  { vfs, handle }: Side,
  inode: InodeId,
  { choose, limit }: { choose: Choose; limit: number },
): Promise<unknown> {
  const offset = choose(limit);
  const length = 1 + choose(limit - offset);
  const keepsSize = choose(2) === 0;
  const ranged = { range: { offset, length }, keepsSize, dropPrivilegeBits: false };
  switch (choose(7)) {
    case 0:
      return await runTask(vfs.setattr(inode, { sizeBytes: offset }));
    case 1: {
      await runTask(vfs.ranges.punch(handle, ranged));
      return;
    }
    case 2: {
      await runTask(vfs.ranges.zero(handle, ranged));
      return;
    }
    case 3: {
      await runTask(vfs.ranges.allocate(handle, ranged));
      return;
    }
    case 4: {
      const to = { handle, offset: keepsSize ? offset + length : Math.max(0, offset - length) };
      const most = Math.min(length, Math.abs(to.offset - offset));
      const asked = { length: most, dropPrivilegeBits: false };
      return await runTask(vfs.ranges.copy({ handle, offset }, to, asked));
    }
    default:
      return await writeAt(vfs, handle, offset, pattern(length, offset));
  }
}

async function race(t: ExecutionContext, seed: number): Promise<void> {
  const choose = chance(seed);
  const blockSizeBytes = BLOCK_SIZES[seed % BLOCK_SIZES.length] ?? MIB;
  await withStores({ blockSizeBytes }, async (stores) => {
    const { clock, meta } = stores;
    const options = { capacityBytes: 8 * MIB, blockSizeBytes, clock };
    const servers = [new MemoryBlockStore(options), new MemoryBlockStore(options)];
    const mounts: TestMount[] = [];
    for (let number = 0; number < 2; number++) {
      const members = servers.map((server) => slow(server, choose));
      const blocks = new StripedBlockStore({ members, locator: makeLocator() });
      mounts.push(new TestMount({ meta, blocks, clock }, mounts, undefined));
    }
    const [one, two] = mounts as [TestMount, TestMount];
    const entry = { parent: ROOT_INODE, name: Buffer.from('file') };
    const spec = { mode: FileType.REGULAR | 0o644, uid: 0, gid: 0 };
    const mode = { write: true, truncate: false };
    const made = await runTask(one.vfs.create(entry, spec, { ...mode, exclusive: true }));
    const { inode } = made;
    const opened = await runTask(two.vfs.open(inode, mode));
    const sides = [
      { vfs: one.vfs, handle: made.handle },
      { vfs: two.vfs, handle: opened.handle },
    ] as const;
    const running: Promise<unknown>[] = [];
    for (let step = 0; step < STEPS; step++) {
      const side = sides[choose(2) === 0 ? 0 : 1];
      const limit = BLOCKS * blockSizeBytes;
      running.push(outcomeOf(() => change(side, inode, { choose, limit })));
      for (let turns = choose(6); turns > 0; turns--) await nextTurn();
    }
    const outcomes = await Promise.all(running);
    t.deepEqual(
      outcomes.filter((outcome) => typeof outcome === 'string'),
      [],
      `seed ${seed}`,
    );
    for (const { vfs, handle } of sides) await runTask(vfs.release(handle));
    await manyTurns();
    const numbers = Array.from({ length: 3 * BLOCKS }, (_, n) => (n + 1) as BlockIndex);
    const dataset = datasetOf(inode, { blockSizeBytes });
    const located = servers.flatMap((server) => server.locate(dataset, numbers));
    const stored = located.reduce((sum, { storedBytes }) => sum + (storedBytes ?? 0), 0);
    const seen: Buffer[] = [];
    for (const { vfs } of mounts) {
      const { handle } = await runTask(vfs.open(inode, { write: false, truncate: false }));
      seen.push(await readAll(vfs, handle));
      t.is((await runTask(vfs.getattr(inode))).storedBytes, stored, `stored, seed ${seed}`);
      await runTask(vfs.release(handle));
    }
    t.true(seen[0]?.equals(seen[1] as Buffer), `seen, seed ${seed}`);
  });
}

test('changes of one file by two mounts count what they store, and do not fail', async (t) => {
  const only = process.env['IMSSFS_TEST_SEED'];
  const seeds = Array.from({ length: SEEDS }, (_, n) => n + 1);
  for (const seed of only === undefined ? seeds : [Number(only)]) await race(t, seed);
});
