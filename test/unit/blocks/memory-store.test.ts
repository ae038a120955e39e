import test from 'ava';
import { MAX_INNER_BYTES } from '../../../src/blocks/inner.ts';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import type { DatasetView } from '../../../src/blocks/store.ts';
import { StaleGenerationError } from '../../../src/blocks/store.ts';
import { ManualClock, type Timespec } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import type { Stat } from '../../../src/stat.ts';

const MIB = 2 ** 20;
const INODE = 42 as InodeId;
const EPOCH: Timespec = { seconds: 0, nanoseconds: 0 };

function statOf(inode: InodeId, changes: Partial<Stat> = {}): Stat {
  return {
    inode,
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    sizeBytes: 0,
    storedBytes: 0,
    blockSizeBytes: MIB,
    atime: EPOCH,
    mtime: EPOCH,
    ctime: EPOCH,
    ...changes,
  };
}

function make({ capacityBytes = 16 * MIB, blockSizeBytes = MIB } = {}): {
  store: MemoryBlockStore;
  clock: ManualClock;
  view: DatasetView;
} {
  const clock = new ManualClock();
  const store = new MemoryBlockStore({ capacityBytes, blockSizeBytes, clock });
  store.createInner(INODE, { stat: statOf(INODE, { blockSizeBytes }) });
  return { store, clock, view: { inode: INODE, blockSizeBytes, generation: 0, truncatedBytes: 0 } };
}

function write(
  store: MemoryBlockStore,
  view: DatasetView,
  { block = 1, offset = 0, bytes }: { block?: number; offset?: number; bytes: Buffer },
): number {
  return store.writeBlock(view, block as BlockIndex, offset, { bytes }).storedDelta;
}

function read(store: MemoryBlockStore, view: DatasetView, block = 1, length = 16): Buffer {
  return Buffer.concat(store.readBlock(view, block as BlockIndex, { offset: 0, length }));
}

function failsWith(
  t: { is(a: unknown, b: unknown): boolean },
  code: string,
  run: () => unknown,
): void {
  try {
    run();
  } catch (error) {
    t.is(error instanceof FsError ? error.code : error, code);
    return;
  }
  t.is('no failure', code);
}

test('block 0 is created once and keeps what it was created with', (t) => {
  const { store } = make();
  const inode = 7 as InodeId;
  t.is(store.readInner(inode), undefined);
  const seed = { stat: statOf(inode, { sizeBytes: 3 }), target: Buffer.from('a/b') };
  const created = store.createInner(inode, seed);
  t.like(created, { sizeBytes: 3, dataVersion: 0, generation: 0 });
  t.deepEqual(store.createInner(inode, { stat: statOf(inode, { sizeBytes: 9 }) }), created);
  t.is(store.readTarget(inode).toString(), 'a/b');
  t.deepEqual(store.usage(), { capacityBytes: 16 * MIB, usedBytes: 160 + 192, datasets: 2 });
});

test('without block 0, changes fail with ENOENT and the rest answers as if nothing were there', (t) => {
  const { store } = make();
  const inode = 7 as InodeId;
  const name = Buffer.from('user.a');
  failsWith(t, 'ENOENT', () => store.noteWrite(inode, { endBytes: 1, storedDelta: 1 }));
  failsWith(t, 'ENOENT', () => store.reserveAppend(inode, 1));
  failsWith(t, 'ENOENT', () => store.truncate(inode, 1));
  failsWith(t, 'ENOENT', () => store.setTimes(inode, {}));
  failsWith(t, 'ENOENT', () => {
    store.touchAtime(inode, EPOCH);
  });
  failsWith(t, 'ENOENT', () => {
    store.setXattr(inode, name, name, 'either');
  });
  failsWith(t, 'ENODATA', () => store.getXattr(inode, name));
  failsWith(t, 'ENODATA', () => {
    store.removeXattr(inode, name);
  });
  failsWith(t, 'EIO', () => store.readTarget(inode));
  t.deepEqual(store.listXattr(inode), []);
  store.copyStat(inode, statOf(inode));
  store.free(inode);
  t.is(store.usage().datasets, 1);
});

test('a file has no symlink target', (t) => {
  const { store } = make();
  failsWith(t, 'EIO', () => store.readTarget(INODE));
});

test('noteWrite raises size, stored bytes, version and times, and never lowers the size', (t) => {
  const { store, clock } = make();
  clock.advance(5);
  t.like(store.noteWrite(INODE, { endBytes: 100, storedDelta: 60 }), {
    sizeBytes: 100,
    storedBytes: 60,
    dataVersion: 1,
    mtime: clock.now(),
    ctime: clock.now(),
    atime: EPOCH,
  });
  const after = store.noteWrite(INODE, { endBytes: 10, storedDelta: -20 });
  t.like(after, { sizeBytes: 100, storedBytes: 40, dataVersion: 2 });
  t.deepEqual(store.readInner(INODE), after);
});

test('appends get ranges one after the other', (t) => {
  const { store } = make();
  t.deepEqual(store.reserveAppend(INODE, 10), { offset: 0 });
  t.deepEqual(store.reserveAppend(INODE, 5), { offset: 10 });
  t.like(store.readInner(INODE), { sizeBytes: 15, dataVersion: 0 });
});

test('sizes end at 2^53 - 1: EFBIG', (t) => {
  const { store } = make();
  const most = Number.MAX_SAFE_INTEGER;
  failsWith(t, 'EFBIG', () => store.truncate(INODE, most + 1));
  failsWith(t, 'EFBIG', () => store.noteWrite(INODE, { endBytes: most + 1, storedDelta: 0 }));
  t.is(store.truncate(INODE, most).sizeBytes, most);
  failsWith(t, 'EFBIG', () => store.reserveAppend(INODE, 1));
  t.like(store.readInner(INODE), { sizeBytes: most, dataVersion: 1, generation: 1 });
});

test('times are set as given; an access time only moves forward', (t) => {
  const { store, clock } = make();
  const [early, late] = [
    { seconds: -3, nanoseconds: 7 },
    { seconds: 9, nanoseconds: 8 },
  ];
  t.like(store.setTimes(INODE, { atime: early }), {
    atime: early,
    mtime: EPOCH,
    ctime: clock.now(),
  });
  t.like(store.setTimes(INODE, { mtime: late }), { atime: early, mtime: late, dataVersion: 0 });
  store.touchAtime(INODE, { seconds: -3, nanoseconds: 6 });
  t.like(store.readInner(INODE), { atime: early });
  clock.advance(1000);
  store.touchAtime(INODE, late);
  t.like(store.readInner(INODE), { atime: late, ctime: new ManualClock().now() });
});

test('copyStat leaves what block 0 owns', (t) => {
  const { store } = make();
  const before = store.noteWrite(INODE, { endBytes: 100, storedDelta: 60 });
  store.copyStat(INODE, statOf(INODE, { uid: 5, sizeBytes: 1 }));
  t.deepEqual(store.readInner(INODE), before);
});

test('extended attributes: modes, order, bytes that are no text, ctime', (t) => {
  const { store, clock } = make();
  const [a, b, raw] = [Buffer.from('user.a'), Buffer.from('user.b'), Buffer.from([0xff, 0xfe])];
  failsWith(t, 'ENODATA', () => {
    store.setXattr(INODE, a, raw, 'replace');
  });
  store.setXattr(INODE, b, Buffer.from('1'), 'create');
  store.setXattr(INODE, a, raw, 'either');
  store.setXattr(INODE, raw, Buffer.alloc(0), 'create');
  failsWith(t, 'EEXIST', () => {
    store.setXattr(INODE, a, b, 'create');
  });
  clock.advance(10);
  store.setXattr(INODE, b, Buffer.alloc(65_536, 3), 'replace');
  t.deepEqual(store.readInner(INODE)?.ctime, clock.now());
  t.deepEqual(store.listXattr(INODE), [b, a, raw]);
  t.deepEqual(store.getXattr(INODE, b), Buffer.alloc(65_536, 3));
  t.deepEqual(store.getXattr(INODE, raw), Buffer.alloc(0));
  clock.advance(10);
  store.removeXattr(INODE, b);
  t.deepEqual(store.readInner(INODE)?.ctime, clock.now());
  t.deepEqual(store.listXattr(INODE), [a, raw]);
  t.deepEqual(store.getXattr(INODE, a), raw);
  failsWith(t, 'ENODATA', () => store.getXattr(INODE, b));
  store.removeXattr(INODE, a);
  store.removeXattr(INODE, raw);
  t.true(store.usage().usedBytes <= 320);
});

test('block 0 may exceed the block size up to 1 MiB, then ENOSPC and nothing has changed', (t) => {
  const { store } = make({ blockSizeBytes: 4096 });
  const value = Buffer.alloc(65_536, 1);
  const name = (n: number): Buffer => Buffer.from(`user.${n}`);
  let count = 0;
  const setNext = (): void => {
    store.setXattr(INODE, name(count), value, 'create');
    count++;
  };
  for (let n = 0; n < 15; n++) setNext();
  const before = {
    inner: store.readInner(INODE),
    usage: store.usage(),
    names: store.listXattr(INODE),
  };
  failsWith(t, 'ENOSPC', setNext);
  t.deepEqual(
    { inner: store.readInner(INODE), usage: store.usage(), names: store.listXattr(INODE) },
    before,
  );
  t.is(before.names.length, 15);
  t.true(before.usage.usedBytes <= MAX_INNER_BYTES);
});

test('a full store refuses a larger block 0 with ENOSPC and keeps the old one', (t) => {
  const { store } = make({ capacityBytes: 4096 });
  store.setXattr(INODE, Buffer.from('user.a'), Buffer.from('1'), 'either');
  failsWith(t, 'ENOSPC', () => {
    store.setXattr(INODE, Buffer.from('user.a'), Buffer.alloc(5000), 'either');
  });
  t.is(store.getXattr(INODE, Buffer.from('user.a')).toString(), '1');
  for (let n = 100; n < 124; n++) store.createInner(n as InodeId, { stat: statOf(n as InodeId) });
  failsWith(t, 'ENOSPC', () => store.createInner(99 as InodeId, { stat: statOf(99 as InodeId) }));
  t.is(store.readInner(99 as InodeId), undefined);
});

test('holes and what lies behind the stored bytes read as zeros, in slices of the length asked for', (t) => {
  const { store, view } = make({ blockSizeBytes: 4 * MIB });
  t.is(write(store, view, { offset: 3, bytes: Buffer.from('abc') }), 6);
  t.deepEqual(read(store, view, 1, 8), Buffer.from('\0\0\0abc\0\0'));
  t.deepEqual(read(store, view, 2, 3 * MIB + 1), Buffer.alloc(3 * MIB + 1));
  t.deepEqual(store.readBlock(view, 1 as BlockIndex, { offset: 4, length: 0 }), []);
  const slices = store.readBlock(view, 1 as BlockIndex, { offset: 1, length: 4 });
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
  failsWith(t, 'ENOSPC', () => store.createInner(INODE, { stat: statOf(INODE) }));
  t.is(store.usage().datasets, 0);
});

test('block sizes above and below the default work in one store', (t) => {
  const { store } = make({ capacityBytes: 200 * MIB });
  for (const blockSizeBytes of [4096, 5000, 1_000_000, 80 * MIB]) {
    const inode = blockSizeBytes as InodeId;
    const view = { inode, blockSizeBytes, generation: 0, truncatedBytes: 0 };
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
  const { generation, truncatedBytes } = store.truncate(INODE, 4096 + 10);
  t.deepEqual([generation, truncatedBytes], [1, 4106]);
  const cut = { ...view, generation, truncatedBytes };
  t.deepEqual(store.discard(cut), { storedDelta: 4106 - 4 * 4096 });
  t.deepEqual(store.discard(cut), { storedDelta: 0 });
  store.truncate(INODE, 4 * 4096);
  const grown = { ...view, generation: 2, truncatedBytes: 4 * 4096 };
  t.deepEqual(store.discard(grown), { storedDelta: 0 });
  t.deepEqual(read(store, grown, 2, 20), Buffer.concat([Buffer.alloc(10, 9), Buffer.alloc(10)]));
  t.deepEqual(read(store, grown, 4, 20), Buffer.alloc(20));
  t.is(store.usage().usedBytes, 160 + 4096 + 64);
});

test('requests of an older generation are refused, newer ones cut first', (t) => {
  const { store, view } = make({ blockSizeBytes: 4096 });
  write(store, view, { bytes: Buffer.alloc(4096, 9) });
  store.truncate(INODE, 100);
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
  t.is(store.truncate(INODE, 0).generation, 1);
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
  const [slice] = store.readBlock(view, 1 as BlockIndex, { offset: 0, length: 3 });
  write(store, view, { bytes: Buffer.from('xyz') });
  t.is(slice?.toString(), 'xyz');
});
