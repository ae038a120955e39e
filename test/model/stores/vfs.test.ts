/** The VFS over both local stores beside plain Buffers. */
import test from 'ava';
import fc from 'fast-check';
import { FsError } from '../../../src/errno.ts';
import { replacing, type TestStoreOptions, withStores } from '../../support/stores.ts';
import { check } from './replay.ts';
import { VfsRun, vfsScripts, type VfsStep } from './vfs-run.ts';

const SHAPES = {
  'room for all': { blockSizeBytes: 4096, capacityBytes: 16 * 2 ** 20 },
  'a store that fills': { blockSizeBytes: 4096, capacityBytes: 100_000 },
  'odd blocks': { blockSizeBytes: 10_001, capacityBytes: 150_000 },
} as const;

function runAll(
  options: TestStoreOptions & { blockSizeBytes: number },
  steps: readonly VfsStep[],
): Promise<void> {
  return withStores(options, (stores) => {
    const run = new VfsRun(stores, options.blockSizeBytes);
    for (const step of steps) run.step(step);
    run.finish();
  });
}

for (const [name, shape] of Object.entries(SHAPES)) {
  test(`files are what plain buffers would be: ${name}`, async (t) => {
    await check(t, {
      arbitrary: vfsScripts,
      property: (steps) => runAll(shape, steps),
      print: (steps) => steps.map((step) => JSON.stringify(step)).join('\n'),
      runs: 30,
    });
  });
}

const isFull = (): never => {
  throw new FsError('ENOSPC');
};

/** Stores that are broken on purpose. */
const BROKEN: Record<string, NonNullable<TestStoreOptions['wrap']>> = {
  'reaps nothing': ({ meta, blocks }) => ({
    blocks,
    meta: replacing(meta, 'reap', () => () => undefined),
  }),
  'notes no write': ({ meta, blocks }) => ({
    meta,
    blocks: replacing(
      blocks,
      'noteWrite',
      (note) => (inode) => note(inode, { endBytes: 0, storedDelta: 0 }),
    ),
  }),
  'has no room to truncate': ({ meta, blocks }) => ({
    meta,
    blocks: replacing(blocks, 'truncate', () => isFull),
  }),
  'has no room for attributes': ({ meta, blocks }) => ({
    meta,
    blocks: replacing(blocks, 'setXattr', () => isFull),
  }),
};

test('the model notices stores that are broken', async (t) => {
  for (const [name, wrap] of Object.entries(BROKEN)) {
    const property = fc.asyncProperty(vfsScripts, (steps) =>
      runAll({ ...SHAPES['room for all'], wrap }, steps),
    );
    const { failed } = await fc.check(property, { seed: 1, numRuns: 30, endOnFailure: true });
    t.true(failed, name);
  }
});
