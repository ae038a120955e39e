import test from 'ava';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { StaleGenerationError } from '../../../src/blocks/store.ts';
import { ManualClock } from '../../../src/clock.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { viewOf } from '../../support/datasets.ts';
import { DATASET, INODE, MIB, failsWith, make, read, statOf, write } from './fixtures.ts';

test('holes and what lies behind the stored bytes read as zeros, in slices of the length asked for', (t) => {
  const { store, view } = make({ blockSizeBytes: 4 * MIB });
  t.is(write(store, view, { offset: 3, bytes: Buffer.from('abc') }), 6);
  t.deepEqual(read(store, view, 1, 8), Buffer.from('\0\0\0abc\0\0'));
  t.deepEqual(read(store, view, 2, 3 * MIB + 1), Buffer.alloc(3 * MIB + 1));
  t.deepEqual(store.readBlock(view, 1 as BlockIndex, { offset: 4, length: 0 }).slices, []);
  const { slices } = store.readBlock(view, 1 as BlockIndex, { offset: 1, length: 4 });
  t.deepEqual(slices, [Buffer.from('\0\0ab')]);
  t.is(write(store, view, { offset: 10, bytes: Buffer.from('z') }), 5);
  t.deepEqual(read(store, view, 1, 12), Buffer.from('\0\0\0abc\0\0\0\0z\0'));
});

test('a small file takes memory in proportion to its size, and grows at least twofold', (t) => {
  const { store, view } = make();
  const base = store.usage().usedBytes;
  write(store, view, { bytes: Buffer.alloc(100, 1) });
  t.is(store.usage().usedBytes - base, 112);
  const sizes = new Set<number>();
  for (let offset = 100; offset < MIB; offset += 4096) {
    write(store, view, { offset, bytes: Buffer.alloc(Math.min(4096, MIB - offset), 2) });
    sizes.add(store.usage().usedBytes - base);
  }
  t.true(sizes.size <= 10);
  t.is(store.usage().usedBytes - base, MIB);
  t.deepEqual(read(store, view, 1, 101), Buffer.concat([Buffer.alloc(100, 1), Buffer.alloc(1, 2)]));
});

test('near the capacity, a block grows by just what is needed', (t) => {
  const { store, view } = make({ capacityBytes: 160 + 6144 });
  write(store, view, { bytes: Buffer.alloc(4096, 1) });
  t.is(write(store, view, { offset: 4096, bytes: Buffer.alloc(1000, 2) }), 1000);
  t.is(store.usage().usedBytes, 160 + 5120);
});

test('ENOSPC leaves data, accounting and datasets as they were', (t) => {
  const { store, view } = make({ capacityBytes: 10_000 });
  write(store, view, { bytes: Buffer.alloc(4096, 1) });
  const before = store.usage();
  failsWith(t, 'ENOSPC', () => write(store, view, { offset: 4000, bytes: Buffer.alloc(9000, 2) }));
  failsWith(t, 'ENOSPC', () => write(store, view, { block: 2, bytes: Buffer.alloc(9000, 2) }));
  const other = { ...view, inode: 5 as InodeId };
  failsWith(t, 'ENOSPC', () => write(store, other, { bytes: Buffer.alloc(9000, 2) }));
  t.deepEqual(store.usage(), before);
  t.deepEqual(read(store, view, 1, 4097), Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(1)]));
  t.deepEqual(store.discard(view), { storedDelta: 0 });
});

test('memory that the system refuses is ENOSPC', (t) => {
  const store = new MemoryBlockStore({
    capacityBytes: MIB,
    blockSizeBytes: MIB,
    clock: new ManualClock(),
    source: () => {
      throw new RangeError('Array buffer allocation failed');
    },
  });
  failsWith(t, 'ENOSPC', () => store.createInner(DATASET, { stat: statOf(INODE) }));
  t.is(store.usage().datasets, 0);
});

test('block sizes above and below the default work in one store', (t) => {
  const { store } = make({ capacityBytes: 200 * MIB });
  for (const blockSizeBytes of [4096, 5000, 1_000_000, 80 * MIB]) {
    const inode = blockSizeBytes as InodeId;
    const view = viewOf(inode, { blockSizeBytes });
    const bytes = Buffer.alloc(blockSizeBytes, 7);
    const { usedBytes } = store.usage();
    t.is(write(store, view, { block: 3, bytes }), blockSizeBytes);
    t.is(store.usage().usedBytes - usedBytes, blockSizeBytes);
    t.true(read(store, view, 3, blockSizeBytes).equals(bytes));
  }
});

test('shrinking and growing again reads zeros, inside the last block too', (t) => {
  const { store, view } = make({ blockSizeBytes: 4096 });
  for (let block = 1; block <= 4; block++)
    write(store, view, { block, bytes: Buffer.alloc(4096, 9) });
  store.noteWrite(DATASET, { endBytes: 4 * 4096, storedDelta: 4 * 4096 });
  const { generation, truncatedBytes } = store.truncate(DATASET, {
    sizeBytes: 4096 + 10,
    confirmedGeneration: 0,
  });
  t.deepEqual([generation, truncatedBytes], [1, 4106]);
  const cut = { ...view, generation, truncatedBytes };
  t.deepEqual(store.discard(cut), { storedDelta: 4106 - 4 * 4096 });
  t.deepEqual(store.discard(cut), { storedDelta: 0 });
  store.truncate(DATASET, { sizeBytes: 4 * 4096, confirmedGeneration: 1 });
  const grown = { ...view, generation: 2, truncatedBytes: 4106 };
  t.deepEqual(store.discard(grown), { storedDelta: 0 });
  t.deepEqual(read(store, grown, 2, 20), Buffer.concat([Buffer.alloc(10, 9), Buffer.alloc(10)]));
  t.deepEqual(read(store, grown, 4, 20), Buffer.alloc(20));
  t.is(store.usage().usedBytes, 160 + 4096 + 64);
});

test('requests of an older generation are refused, newer ones cut first', (t) => {
  const { store, view } = make({ blockSizeBytes: 4096 });
  write(store, view, { bytes: Buffer.alloc(4096, 9) });
  store.truncate(DATASET, { sizeBytes: 100, confirmedGeneration: 0 });
  t.throws(() => read(store, view), { instanceOf: StaleGenerationError });
  t.throws(() => write(store, view, { bytes: Buffer.from('a') }), {
    instanceOf: StaleGenerationError,
  });
  t.throws(() => store.discard(view), { instanceOf: StaleGenerationError });
  const cut = { ...view, generation: 1, truncatedBytes: 100 };
  t.deepEqual(read(store, cut, 1, 102), Buffer.concat([Buffer.alloc(100, 9), Buffer.alloc(2)]));
  t.deepEqual(
    store.discard(cut),
    { storedDelta: 100 - 4096 },
    'what the read cut is reported here',
  );
  t.is(write(store, cut, { offset: 200, bytes: Buffer.alloc(10) }), 110);
  t.deepEqual(store.discard(cut), { storedDelta: 0 }, 'data written since stays');
  t.is(
    write(store, { ...cut, generation: 5, truncatedBytes: 0 }, { bytes: Buffer.alloc(7) }),
    7 - 210,
  );
});

test('a write that finds no room after it has cut tells of the cut later', (t) => {
  const { store, view } = make({ capacityBytes: 9000, blockSizeBytes: 8192 });
  write(store, view, { bytes: Buffer.alloc(8192, 9) });
  const cut = { ...view, generation: 1, truncatedBytes: 8000 };
  failsWith(t, 'ENOSPC', () => write(store, cut, { block: 2, bytes: Buffer.alloc(4096) }));
  t.deepEqual(store.discard(cut), { storedDelta: -192 });
});

test('a free of many blocks counts at once and returns its memory in steps', async (t) => {
  const { store, view } = make({ capacityBytes: 64 * MIB, blockSizeBytes: 4096 });
  const bytes = Buffer.alloc(4096, 1);
  for (let block = 1; block <= 5000; block++) write(store, view, { block, bytes });
  store.free(INODE);
  t.deepEqual(store.usage(), { capacityBytes: 64 * MIB, usedBytes: 0, datasets: 0 });
  t.true(store.memory().freesPending);
  t.true(store.memory().spanBytes > 4000 * 4096);
  for (let turn = 0; turn < 100 && store.memory().freesPending; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.like(store.memory(), { freesPending: false, spans: 0, spanBytes: 0 });
});

test('cutting many blocks off counts at once and returns their memory in steps', async (t) => {
  const { store, view } = make({ capacityBytes: 64 * MIB, blockSizeBytes: 4096 });
  const bytes = Buffer.alloc(4096, 1);
  for (let block = 1; block <= 3000; block++) write(store, view, { block, bytes });
  const cut = { ...view, generation: 1, truncatedBytes: 4097 };
  t.deepEqual(store.discard(cut), { storedDelta: 4097 - 3000 * 4096 });
  t.is(store.usage().usedBytes, 160 + 4096 + 64);
  t.true(store.memory().freesPending);
  t.deepEqual(read(store, cut, 2, 2), Buffer.from([1, 0]));
  for (let turn = 0; turn < 100 && store.memory().freesPending; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.like(store.memory(), { freesPending: false, spans: 3 });
  store.free(INODE);
  t.is(store.memory().spans, 0);
});

test('a store full of pending frees takes new data in the same turn', (t) => {
  const { store, view } = make({ capacityBytes: 64 * MIB, blockSizeBytes: 4096 });
  const bytes = Buffer.alloc(4096, 1);
  const fill = (inode: number): number => {
    let block = 0;
    try {
      for (;;) write(store, { ...view, inode: inode as InodeId }, { block: ++block, bytes });
    } catch {
      return block;
    }
  };
  const count = fill(1);
  const { touchedBytes } = store.memory();
  store.free(1 as InodeId);
  t.is(fill(2), count);
  t.is(store.memory().touchedBytes, touchedBytes);
  t.is(store.truncate(DATASET, { sizeBytes: 0, confirmedGeneration: 0 }).generation, 1);
  const cut = { ...view, inode: 2 as InodeId, generation: 1 };
  t.deepEqual(store.discard(cut), { storedDelta: -4096 * (count - 1) });
  t.is(store.usage().usedBytes, 160);
  t.is(fill(3), count);
});

test('sparse files have blocks at indexes up to 2^41', (t) => {
  const { store, view } = make({ blockSizeBytes: 4096 });
  const far = 2 ** 41;
  for (const block of [1, far, 2 ** 31 + 5])
    write(store, view, { block, bytes: Buffer.from(`${block}`) });
  t.is(read(store, view, far, 13).toString(), `${far}`);
  t.deepEqual(read(store, view, far - 1, 4), Buffer.alloc(4));
  const cut = { ...view, generation: 1, truncatedBytes: 2 ** 40 };
  t.deepEqual(store.discard(cut), { storedDelta: -23 });
  t.is(read(store, cut, 1, 1).toString(), '1');
});

test('reading a stored range returns the memory itself', (t) => {
  const { store, view } = make();
  write(store, view, { bytes: Buffer.from('abc') });
  const [slice] = store.readBlock(view, 1 as BlockIndex, { offset: 0, length: 3 }).slices;
  write(store, view, { bytes: Buffer.from('xyz') });
  t.is(slice?.toString(), 'xyz');
});
