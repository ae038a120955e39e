/** The system has no memory left for the store's own tables: ENOSPC, and nothing has changed. */
import test from 'ava';
import { SlotAllocator } from '../../../src/blocks/slab.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { datasetOf } from '../../support/datasets.ts';
import { DATASET, failsWith, INODE, make, MIB, read, statOf, write } from './fixtures.ts';

/** Runs `body` while no typed array can be made. */
function withoutMemory(body: () => void): void {
  const { Float64Array, Uint32Array } = globalThis;
  const none = function none(): never {
    throw new RangeError('Array buffer allocation failed');
  };
  Object.assign(globalThis, { Float64Array: none, Uint32Array: none });
  try {
    body();
  } finally {
    Object.assign(globalThis, { Float64Array, Uint32Array });
  }
}

test('a second block that finds no memory for its node leaves the first as it was', (t) => {
  const { store, view } = make();
  write(store, view, { block: 3, bytes: Buffer.from('first') });
  const before = store.usage();
  withoutMemory(() => {
    failsWith(t, 'ENOSPC', () => write(store, view, { block: 9, bytes: Buffer.from('second') }));
  });
  t.deepEqual(store.usage(), before);
  t.is(read(store, view, 3, 5).toString(), 'first');
  write(store, view, { block: 9, bytes: Buffer.from('second') });
  t.is(read(store, view, 3, 5).toString(), 'first');
  t.is(read(store, view, 9, 6).toString(), 'second');
  store.free(INODE);
  t.deepEqual([store.usage().usedBytes, store.memory().spans], [0, 0]);
});

test('a leased block is still the holder’s when its index finds no memory', (t) => {
  const { store, view } = make();
  write(store, view, { block: 1, bytes: Buffer.from('first') });
  const lease = store.lease();
  t.truthy(lease);
  if (lease === undefined) return;
  lease.bytes.fill(7);
  withoutMemory(() => {
    failsWith(t, 'ENOSPC', () => {
      store.writeBlock(view, 2 as BlockIndex, 0, { bytes: lease.bytes, lease });
    });
  });
  t.false(lease.adopted);
  store.writeBlock(view, 2 as BlockIndex, 0, { bytes: lease.bytes, lease });
  t.true(lease.adopted);
  store.free(INODE);
  t.deepEqual([store.usage().usedBytes, store.memory().spans], [0, 0]);
});

test('a new dataset that finds no memory for its row leaves nothing behind', (t) => {
  const { store } = make();
  store.free(INODE);
  let inode = 1000;
  const fill = (): void => {
    for (;;) store.createInner(datasetOf(++inode as InodeId), { stat: statOf(inode as InodeId) });
  };
  for (let round = 0; round < 50; round++) {
    withoutMemory(() => {
      failsWith(t, 'ENOSPC', fill);
    });
    const { usedBytes, datasets } = store.usage();
    const made = inode - 1000 - (round + 1);
    t.deepEqual([usedBytes / 160, datasets], [made, made]);
    store.createInner(DATASET, { stat: statOf(INODE) });
    store.free(INODE);
    // What failed is made after all, outside of the count.
    store.createInner(datasetOf(inode as InodeId), { stat: statOf(inode as InodeId) });
    store.free(inode as InodeId);
  }
});

test('an allocator that finds no memory for its tables takes no pages', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 64 * MIB });
  const page = slots.sizes.fit(65_536, 65_536);
  slots.take(page);
  withoutMemory(() => {
    while (slots.take(page) !== 0);
    const { spanBytes, spans } = slots.report();
    t.is(spanBytes, spans * 65_536);
    t.is(slots.allocate(page, 0), 0);
    t.is(slots.usedBytes, 0);
  });
  t.not(slots.allocate(page, 0), 0);
});
