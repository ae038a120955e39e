/** Bytes that wait in a socket's queue stay what they were, whatever happens to their block meanwhile. */
import test from 'ava';
import fc from 'fast-check';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import type { StoredBytes } from '../../../src/blocks/data-store.ts';
import type { DatasetView } from '../../../src/blocks/store.ts';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex } from '../../../src/ids.ts';
import { MIB, datasetOf, viewOf } from '../../support/block-datasets.ts';

const BLOCK = 4096;
const ONE = 1 as BlockIndex;

function makeStore(capacityBytes = 8 * MIB): MemoryBlockStore {
  return new MemoryBlockStore({ capacityBytes, blockSizeBytes: BLOCK, clock: new ManualClock() });
}

function fileOf(inode: number): DatasetView {
  return viewOf(datasetOf(inode, { blockSizeBytes: BLOCK }));
}

function fill(store: MemoryBlockStore, view: DatasetView, value: number, block = ONE): void {
  store.writeBlock(view, block, 0, { bytes: Buffer.alloc(BLOCK, value) });
}

function readAll(store: MemoryBlockStore, view: DatasetView): StoredBytes {
  const stored = store.readStored(view, ONE, { offset: 0, length: BLOCK });
  if (stored === undefined) throw new Error('nothing stored');
  return stored;
}

test('a freed block is not used again while it is pinned', (t) => {
  const store = makeStore();
  const file = fileOf(1);
  fill(store, file, 7);
  const { bytes, pin } = readAll(store, file);
  const unpin = pin();
  store.free(file.inode);
  t.is(store.usage().usedBytes, 0);
  for (let inode = 2; inode < 60; inode++) fill(store, fileOf(inode), 9);
  t.deepEqual(bytes, Buffer.alloc(BLOCK, 7));
  unpin();
  unpin();
  for (let inode = 60; inode < 120; inode++) fill(store, fileOf(inode), 9);
  t.not(bytes[BLOCK - 1], 7, 'now it is used again');
});

test('without a pin, it would be: the bytes are the memory itself', (t) => {
  const store = makeStore();
  fill(store, fileOf(1), 7);
  const { bytes } = readAll(store, fileOf(1));
  store.free(fileOf(1).inode);
  fill(store, fileOf(2), 9);
  t.deepEqual(bytes.subarray(8), Buffer.alloc(BLOCK - 8, 9));
});

test('a write into a pinned block goes elsewhere; the reader keeps the old bytes', (t) => {
  const store = makeStore();
  const file = fileOf(1);
  fill(store, file, 7);
  const { bytes, pin } = readAll(store, file);
  const unpin = pin();
  store.writeBlock(file, ONE, 100, { bytes: Buffer.from('new') });
  t.deepEqual(bytes, Buffer.alloc(BLOCK, 7));
  const expected = Buffer.alloc(BLOCK, 7);
  expected.write('new', 100);
  t.deepEqual(readAll(store, file).bytes, expected);
  t.is(store.usage().usedBytes, BLOCK);
  unpin();
  store.free(file.inode);
  t.is(store.memory().spans, 0);
});

test('a block is pinned until the last of its readers is done', (t) => {
  const store = makeStore();
  const file = fileOf(1);
  fill(store, file, 7);
  const first = readAll(store, file).pin();
  const second = readAll(store, file).pin();
  store.free(file.inode);
  first();
  t.is(store.memory().spans, 1);
  second();
  t.is(store.memory().spans, 0);
});

test('without room for a copy, a pinned block is written in place, never another', (t) => {
  const source = (bytes: number): Buffer => {
    if (bytes > 64 * MIB) throw new RangeError('Array buffer allocation failed');
    return Buffer.allocUnsafeSlow(bytes);
  };
  const clock = new ManualClock();
  const options = { capacityBytes: 64 * MIB, blockSizeBytes: 16 * MIB, clock, source };
  const store = new MemoryBlockStore(options);
  const views = [1, 2, 3, 4, 5].map((n) => viewOf(datasetOf(n, { blockSizeBytes: 16 * MIB })));
  const stored: DatasetView[] = [];
  for (const view of views) {
    try {
      store.writeBlock(view, ONE, 0, { bytes: Buffer.alloc(16 * MIB, view.inode) });
      stored.push(view);
    } catch (error) {
      t.true(error instanceof FsError && error.code === 'ENOSPC');
    }
  }
  const pins = stored.map((view) => store.readStored(view, ONE, { offset: 0, length: 16 * MIB }));
  const unpins = pins.map((one) => one?.pin());
  for (const view of stored) store.writeBlock(view, ONE, 5, { bytes: Buffer.from([100]) });
  for (const [index, one] of pins.entries()) {
    const values = new Set([one?.bytes[4], one?.bytes[6]]);
    t.deepEqual([...values], [stored[index]?.inode]);
  }
  for (const unpin of unpins) unpin?.();
});

/** What a run does next. */
type Step = readonly ['write' | 'free' | 'cut' | 'read' | 'done', number, number];

test('readers of any age see one state of one dataset', (t) => {
  const kinds = fc.constantFrom('write', 'write', 'free', 'cut', 'read', 'read', 'done');
  const steps = fc.array(fc.tuple(kinds, fc.integer({ min: 1, max: 4 }), fc.nat(255)), {
    maxLength: 120,
  }) as fc.Arbitrary<Step[]>;
  fc.assert(
    fc.property(steps, (script) => {
      const store = makeStore();
      const generations = new Map<number, number>();
      const readers: { bytes: Buffer; copy: Buffer; unpin: () => void }[] = [];
      for (const [kind, inode, value] of script) {
        const generation = generations.get(inode) ?? 0;
        const view = { ...fileOf(inode), generation, truncatedBytes: 1000 };
        if (kind === 'write') {
          const bytes = Buffer.alloc(64 + value * 8, inode * 16 + (value % 16));
          store.writeBlock(view, ONE, value % 3 === 0 ? 0 : value, { bytes });
        } else if (kind === 'free') {
          store.free(view.inode);
          generations.delete(inode);
        } else if (kind === 'cut') {
          generations.set(inode, generation + 1);
          store.discard({ ...view, generation: generation + 1 });
        } else if (kind === 'read') {
          const found = store.readStored(view, ONE, { offset: 0, length: BLOCK });
          if (found === undefined) continue;
          readers.push({ bytes: found.bytes, copy: Buffer.from(found.bytes), unpin: found.pin() });
        } else {
          readers.splice(value % (readers.length + 1), 1)[0]?.unpin();
        }
        for (const { bytes, copy } of readers) t.true(bytes.equals(copy));
      }
      for (const { unpin } of readers) unpin();
      for (let inode = 1; inode <= 4; inode++) store.free(fileOf(inode).inode);
      t.deepEqual([store.usage().usedBytes, store.memory().spans], [0, 0]);
    }),
  );
});
