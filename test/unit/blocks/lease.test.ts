import test from 'ava';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import type { BlockLease, DatasetView } from '../../../src/blocks/store.ts';
import { ManualClock } from '../../../src/clock.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { viewOf } from '../../support/datasets.ts';

const BLOCK = 65_536;
const ONE = 1 as BlockIndex;

function make(
  capacityBytes = 16 * BLOCK,
  blockSizeBytes = BLOCK,
): {
  store: MemoryBlockStore;
  view: DatasetView;
} {
  const store = new MemoryBlockStore({ capacityBytes, blockSizeBytes, clock: new ManualClock() });
  return { store, view: viewOf(1 as InodeId, { blockSizeBytes }) };
}

function leaseOf(store: MemoryBlockStore): BlockLease {
  const lease = store.lease();
  if (lease === undefined) throw new Error('no lease');
  return lease;
}

function whole(store: MemoryBlockStore, view: DatasetView): Buffer {
  return Buffer.concat(
    store.readBlock(view, ONE, { offset: 0, length: view.layout.blockSizeBytes }).slices,
  );
}

test('a whole block is adopted without a copy and is charged only then', (t) => {
  const { store, view } = make();
  const lease = leaseOf(store);
  t.is(lease.bytes.length, BLOCK);
  t.is(store.usage().usedBytes, 0);
  lease.bytes.fill(5);
  t.deepEqual(store.writeBlock(view, ONE, 0, { bytes: lease.bytes, lease }), {
    storedDelta: BLOCK,
  });
  t.true(lease.adopted);
  t.is(store.usage().usedBytes, BLOCK);
  const [slice] = store.readBlock(view, ONE, { offset: 0, length: BLOCK }).slices;
  t.is(slice?.byteOffset, lease.bytes.byteOffset);
  t.is(slice?.buffer, lease.bytes.buffer);
  lease.release();
  t.true(whole(store, view).equals(Buffer.alloc(BLOCK, 5)));
  store.free(view.inode);
  t.is(store.memory().spans, 0);
});

test('adopting over a stored block frees the old slot', (t) => {
  const { store, view } = make(BLOCK);
  store.writeBlock(view, ONE, 0, { bytes: Buffer.alloc(BLOCK, 1) });
  const lease = leaseOf(store);
  lease.bytes.fill(2);
  t.deepEqual(store.writeBlock(view, ONE, 0, { bytes: lease.bytes, lease }), { storedDelta: 0 });
  t.true(lease.adopted);
  t.is(store.usage().usedBytes, BLOCK);
  t.true(whole(store, view).equals(Buffer.alloc(BLOCK, 2)));
});

test('parts of a lease, other offsets and other block sizes are copied, and the lease stays usable', (t) => {
  const { store, view } = make();
  const lease = leaseOf(store);
  lease.bytes.fill(3);
  const write = (to: DatasetView, offset: number, bytes: Buffer): void => {
    store.writeBlock(to, ONE, offset, { bytes, lease });
    t.false(lease.adopted);
  };
  write(view, 0, lease.bytes.subarray(0, 4096));
  write(view, 4096, lease.bytes.subarray(0, 4096));
  write(viewOf(2 as InodeId, { blockSizeBytes: 2 * BLOCK }), 0, lease.bytes);
  write(viewOf(3 as InodeId, { blockSizeBytes: 4096 }), 0, lease.bytes.subarray(0, 4096));
  write({ ...view, inode: 4 as InodeId }, 0, Buffer.alloc(BLOCK));
  lease.bytes.fill(4);
  t.is(whole(store, view)[0], 3);
  store.writeBlock(view, ONE, 0, { bytes: lease.bytes, lease });
  t.true(lease.adopted);
});

test('a released or adopted lease is not adopted again', (t) => {
  const { store, view } = make();
  const lease = leaseOf(store);
  lease.release();
  lease.release();
  const next = leaseOf(store);
  store.writeBlock(view, ONE, 0, { bytes: lease.bytes, lease });
  t.false(lease.adopted);
  store.writeBlock(view, ONE, 0, { bytes: next.bytes, lease: next });
  store.writeBlock({ ...view, inode: 2 as InodeId }, ONE, 0, { bytes: next.bytes, lease: next });
  t.is(store.usage().usedBytes, 2 * BLOCK);
  store.free(1 as InodeId);
  store.free(2 as InodeId);
  t.like(store.memory(), { spans: 0, spanBytes: 0 });
});

test('a full store still lends memory to receive in, but stores nothing more', (t) => {
  const { store, view } = make(BLOCK);
  store.writeBlock(view, ONE, 0, { bytes: Buffer.alloc(BLOCK, 1) });
  const lease = leaseOf(store);
  lease.bytes.fill(2);
  t.throws(() => store.writeBlock(view, 2 as BlockIndex, 0, { bytes: lease.bytes, lease }), {
    code: 'ENOSPC',
  });
  t.false(lease.adopted);
  t.true(whole(store, view).equals(Buffer.alloc(BLOCK, 1)));
});

test('leases outside the store are copied: odd block sizes, no slab memory, another store', (t) => {
  const odd = make(10_000_000, 1_000_000);
  const refused = new MemoryBlockStore({
    capacityBytes: BLOCK,
    blockSizeBytes: BLOCK,
    clock: new ManualClock(),
    source: () => {
      throw new RangeError('Array buffer allocation failed');
    },
  });
  t.is(leaseOf(refused).bytes.length, BLOCK);
  const first = make();
  const plain = leaseOf(odd.store);
  plain.bytes.fill(7);
  odd.store.writeBlock(odd.view, ONE, 0, { bytes: plain.bytes, lease: plain });
  t.false(plain.adopted);
  t.is(whole(odd.store, odd.view)[999_999], 7);
  for (const lease of [leaseOf(refused), leaseOf(make().store)]) {
    first.store.writeBlock(first.view, ONE, 0, { bytes: lease.bytes, lease });
    t.false(lease.adopted);
  }
});
