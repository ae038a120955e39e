import test from 'ava';
import { MAX_INNER_BYTES } from '../../../src/blocks/inner.ts';
import { ManualClock } from '../../../src/clock.ts';
import type { InodeId } from '../../../src/ids.ts';
import { datasetOf } from '../../support/datasets.ts';
import { DATASET, EPOCH, INODE, MIB, failsWith, make, statOf } from './fixtures.ts';

test('block 0 is created once and keeps what it was created with', (t) => {
  const { store } = make();
  const inode = 7 as InodeId;
  const dataset = datasetOf(inode);
  t.is(store.readInner(dataset), undefined);
  const seed = { stat: statOf(inode, { sizeBytes: 3 }), target: Buffer.from('a/b') };
  const created = store.createInner(dataset, seed);
  t.like(created, { sizeBytes: 3, dataVersion: 0, generation: 0 });
  t.deepEqual(store.createInner(dataset, { stat: statOf(inode, { sizeBytes: 9 }) }), created);
  t.is(store.readTarget(dataset).toString(), 'a/b');
  t.deepEqual(store.usage(), { capacityBytes: 16 * MIB, usedBytes: 160 + 192, datasets: 2 });
});

test('without block 0, changes fail with ENOENT and the rest answers as if nothing were there', (t) => {
  const { store } = make();
  const inode = 7 as InodeId;
  const dataset = datasetOf(inode);
  const name = Buffer.from('user.a');
  failsWith(t, 'ENOENT', () => store.noteWrite(dataset, { endBytes: 1, storedDelta: 1 }));
  failsWith(t, 'ENOENT', () => store.reserveAppend(dataset, 1));
  failsWith(t, 'ENOENT', () => store.truncate(dataset, { sizeBytes: 1, confirmedGeneration: 0 }));
  failsWith(t, 'ENOENT', () => store.setTimes(dataset, {}));
  failsWith(t, 'ENOENT', () => {
    store.touchAtime(dataset, EPOCH);
  });
  failsWith(t, 'ENOENT', () => {
    store.setXattr(dataset, name, name, 'either');
  });
  failsWith(t, 'ENODATA', () => store.getXattr(dataset, name));
  failsWith(t, 'ENODATA', () => {
    store.removeXattr(dataset, name);
  });
  failsWith(t, 'EIO', () => store.readTarget(dataset));
  t.deepEqual(store.listXattr(dataset), []);
  store.copyStat(dataset, statOf(inode));
  store.free(inode);
  t.is(store.usage().datasets, 1);
});

test('a file has no symlink target', (t) => {
  const { store } = make();
  failsWith(t, 'EIO', () => store.readTarget(DATASET));
});

test('noteWrite raises size, stored bytes, version and times, and never lowers the size', (t) => {
  const { store, clock } = make();
  clock.advance(5);
  t.like(store.noteWrite(DATASET, { endBytes: 100, storedDelta: 60 }), {
    sizeBytes: 100,
    storedBytes: 60,
    dataVersion: 1,
    mtime: clock.now(),
    ctime: clock.now(),
    atime: EPOCH,
  });
  const after = store.noteWrite(DATASET, { endBytes: 10, storedDelta: -20 });
  t.like(after, { sizeBytes: 100, storedBytes: 40, dataVersion: 2 });
  t.deepEqual(store.readInner(DATASET), after);
});

test('appends get ranges one after the other', (t) => {
  const { store } = make();
  t.deepEqual(store.reserveAppend(DATASET, 10), { offset: 0 });
  t.deepEqual(store.reserveAppend(DATASET, 5), { offset: 10 });
  t.like(store.readInner(DATASET), { sizeBytes: 15, dataVersion: 0 });
});

test('sizes end at 2^53 - 1: EFBIG', (t) => {
  const { store } = make();
  const most = Number.MAX_SAFE_INTEGER;
  failsWith(t, 'EFBIG', () =>
    store.truncate(DATASET, { sizeBytes: most + 1, confirmedGeneration: 0 }),
  );
  failsWith(t, 'EFBIG', () => store.noteWrite(DATASET, { endBytes: most + 1, storedDelta: 0 }));
  t.is(store.truncate(DATASET, { sizeBytes: most, confirmedGeneration: 0 }).sizeBytes, most);
  failsWith(t, 'EFBIG', () => store.reserveAppend(DATASET, 1));
  t.like(store.readInner(DATASET), { sizeBytes: most, dataVersion: 1, generation: 1 });
});

test('times are set as given; an access time only moves forward', (t) => {
  const { store, clock } = make();
  const [early, late] = [
    { seconds: -3, nanoseconds: 7 },
    { seconds: 9, nanoseconds: 8 },
  ];
  t.like(store.setTimes(DATASET, { atime: early }), {
    atime: early,
    mtime: EPOCH,
    ctime: clock.now(),
  });
  t.like(store.setTimes(DATASET, { mtime: late }), { atime: early, mtime: late, dataVersion: 0 });
  store.touchAtime(DATASET, { seconds: -3, nanoseconds: 6 });
  t.like(store.readInner(DATASET), { atime: early });
  clock.advance(1000);
  store.touchAtime(DATASET, late);
  t.like(store.readInner(DATASET), { atime: late, ctime: new ManualClock().now() });
});

test('copyStat leaves what block 0 owns', (t) => {
  const { store } = make();
  const before = store.noteWrite(DATASET, { endBytes: 100, storedDelta: 60 });
  store.copyStat(DATASET, statOf(INODE, { uid: 5, sizeBytes: 1 }));
  t.deepEqual(store.readInner(DATASET), before);
});

test('extended attributes: modes, order, bytes that are no text, ctime', (t) => {
  const { store, clock } = make();
  const [a, b, raw] = [Buffer.from('user.a'), Buffer.from('user.b'), Buffer.from([0xff, 0xfe])];
  failsWith(t, 'ENODATA', () => {
    store.setXattr(DATASET, a, raw, 'replace');
  });
  store.setXattr(DATASET, b, Buffer.from('1'), 'create');
  store.setXattr(DATASET, a, raw, 'either');
  store.setXattr(DATASET, raw, Buffer.alloc(0), 'create');
  failsWith(t, 'EEXIST', () => {
    store.setXattr(DATASET, a, b, 'create');
  });
  clock.advance(10);
  store.setXattr(DATASET, b, Buffer.alloc(65_536, 3), 'replace');
  t.deepEqual(store.readInner(DATASET)?.ctime, clock.now());
  t.deepEqual(store.listXattr(DATASET), [b, a, raw]);
  t.deepEqual(store.getXattr(DATASET, b), Buffer.alloc(65_536, 3));
  t.deepEqual(store.getXattr(DATASET, raw), Buffer.alloc(0));
  clock.advance(10);
  store.removeXattr(DATASET, b);
  t.deepEqual(store.readInner(DATASET)?.ctime, clock.now());
  t.deepEqual(store.listXattr(DATASET), [a, raw]);
  t.deepEqual(store.getXattr(DATASET, a), raw);
  failsWith(t, 'ENODATA', () => store.getXattr(DATASET, b));
  store.removeXattr(DATASET, a);
  store.removeXattr(DATASET, raw);
  t.true(store.usage().usedBytes <= 320);
});

test('block 0 may exceed the block size up to 1 MiB, then ENOSPC and nothing has changed', (t) => {
  const { store } = make({ blockSizeBytes: 4096 });
  const value = Buffer.alloc(65_536, 1);
  const name = (n: number): Buffer => Buffer.from(`user.${n}`);
  let count = 0;
  const setNext = (): void => {
    store.setXattr(DATASET, name(count), value, 'create');
    count++;
  };
  for (let n = 0; n < 15; n++) setNext();
  const before = {
    inner: store.readInner(DATASET),
    usage: store.usage(),
    names: store.listXattr(DATASET),
  };
  failsWith(t, 'ENOSPC', setNext);
  t.deepEqual(
    { inner: store.readInner(DATASET), usage: store.usage(), names: store.listXattr(DATASET) },
    before,
  );
  t.is(before.names.length, 15);
  t.true(before.usage.usedBytes <= MAX_INNER_BYTES);
});

test('a full store refuses a larger block 0 with ENOSPC and keeps the old one', (t) => {
  const { store } = make({ capacityBytes: 4096 });
  store.setXattr(DATASET, Buffer.from('user.a'), Buffer.from('1'), 'either');
  failsWith(t, 'ENOSPC', () => {
    store.setXattr(DATASET, Buffer.from('user.a'), Buffer.alloc(5000), 'either');
  });
  t.is(store.getXattr(DATASET, Buffer.from('user.a')).toString(), '1');
  for (let n = 100; n < 124; n++)
    store.createInner(datasetOf(n as InodeId), { stat: statOf(n as InodeId) });
  failsWith(t, 'ENOSPC', () =>
    store.createInner(datasetOf(99 as InodeId), { stat: statOf(99 as InodeId) }),
  );
  t.is(store.readInner(datasetOf(99 as InodeId)), undefined);
});

test('what clients tell of bytes stored and freed comes to the same in any order, and can always be told', (t) => {
  const { store } = make();
  const note = (storedDelta: number): number =>
    store.noteWrite(DATASET, { endBytes: 0, storedDelta }).storedBytes;
  t.is(note(-5000), 0);
  t.is(note(4999), 0);
  t.is(note(701), 700);
  t.is(note(-700), 0);
  const most = Number.MAX_SAFE_INTEGER;
  for (const delta of [most, most]) t.true(note(delta) <= most);
  for (const delta of [-most, -most]) t.true(note(delta) >= 0);
});
