/** The block store beside a model that foretells every byte, every byte in use, and every ENOSPC. */
import test from 'ava';
import fc from 'fast-check';
import type { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { replacing } from '../../support/stores.ts';
import { BlockRun, blockScripts, type BlockShape, type BlockStep } from './block-run.ts';
import { check } from './replay.ts';

const SHAPES: Record<string, BlockShape> = {
  '4 KiB and 5,000 bytes': { blockSizes: [4096, 5000], capacityBytes: 200_000 },
  '64 KiB, 4 KiB and 10,000 bytes': { blockSizes: [65_536, 4096, 10_000], capacityBytes: 500_000 },
  '1 MiB and 1,000,000 bytes': { blockSizes: [2 ** 20, 1_000_000], capacityBytes: 5_000_000 },
};

async function runAll(run: BlockRun, steps: readonly BlockStep[]): Promise<void> {
  for (const step of steps) await run.step(step);
  await run.finish();
}

for (const [name, shape] of Object.entries(SHAPES)) {
  test(`the block store keeps and charges what its model does, with blocks of ${name}`, async (t) => {
    await check(t, {
      arbitrary: blockScripts,
      property: (steps) => runAll(new BlockRun(shape), steps),
      print: (steps) => steps.map((step) => JSON.stringify(step)).join('\n'),
      runs: shape.capacityBytes > 1_000_000 ? 15 : 40,
    });
  });
}

/** Stores that are broken on purpose. */
const BROKEN: Record<string, (store: MemoryBlockStore) => MemoryBlockStore> = {
  'frees nothing': (store) => replacing(store, 'free', () => () => undefined),
  'discards nothing': (store) => replacing(store, 'discard', () => () => ({ storedDelta: 0 })),
  'writes one byte less': (store) =>
    replacing(
      store,
      'writeBlock',
      (write) =>
        (view, block, offset, { bytes }) =>
          write(view, block, offset, { bytes: bytes.subarray(0, Math.max(1, bytes.length - 1)) }),
    ),
};

test('the model notices a block store that is broken', async (t) => {
  const shape = { blockSizes: [4096], capacityBytes: 200_000 };
  for (const [name, wrap] of Object.entries(BROKEN)) {
    const property = fc.asyncProperty(blockScripts, (steps) =>
      runAll(new BlockRun(shape, wrap), steps),
    );
    const { failed } = await fc.check(property, { seed: 1, numRuns: 50, endOnFailure: true });
    t.true(failed, name);
  }
});
