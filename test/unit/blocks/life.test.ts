/** What a server that began after a dataset was made may have lost is never taken for a hole. */
import test from 'ava';
import { Life } from '../../../src/blocks/life.ts';
import { UnconfirmedTruncationError } from '../../../src/blocks/store.ts';
import { FsError } from '../../../src/errno.ts';
import type { InodeId } from '../../../src/ids.ts';
import { datasetOf, viewOf } from '../../support/datasets.ts';
import { DATASET, failsWith, make, read, write } from './fixtures.ts';

const OLD = 7 as InodeId;

test('only datasets of epochs before the life can have lost anything', (t) => {
  const life = new Life();
  t.false(life.mayHaveLost(datasetOf(OLD, { mapEpoch: 0 })));
  life.bornEpoch = 3;
  t.true(life.mayHaveLost(datasetOf(OLD, { mapEpoch: 2 })));
  t.false(life.mayHaveLost(datasetOf(OLD, { mapEpoch: 3 })));
  life.requireBlock(datasetOf(OLD, { mapEpoch: 3 }), 1);
  failsWith(t, 'EIO', () => {
    life.requireBlock(datasetOf(OLD, { mapEpoch: 2 }), 1);
  });
});

test('holes of an older dataset, its block 0 and parts of its missing blocks are EIO', (t) => {
  const { store } = make({ blockSizeBytes: 4096 });
  store.bornEpoch = 2;
  const view = viewOf(OLD, { blockSizeBytes: 4096 });
  failsWith(t, 'EIO', () => read(store, view));
  failsWith(t, 'EIO', () => write(store, view, { bytes: Buffer.from('part') }));
  failsWith(t, 'EIO', () => store.readInner(view));
  failsWith(t, 'EIO', () => store.noteWrite(view, { endBytes: 1, storedDelta: 1 }));
  failsWith(t, 'EIO', () => store.listXattr(view));
  t.is(write(store, view, { bytes: Buffer.alloc(4096, 1) }), 4096, 'a whole block is no part');
  t.is(read(store, view, 1, 2).toString('hex'), '0101');
});

test('a dataset of the life’s own epoch has holes as ever', (t) => {
  const { store } = make({ blockSizeBytes: 4096 });
  store.bornEpoch = 2;
  const view = viewOf(OLD, { blockSizeBytes: 4096, mapEpoch: 2 });
  t.deepEqual(read(store, view, 1, 4), Buffer.alloc(4));
  t.is(store.readInner(view), undefined);
});

test('of many block 0s, each that was lost is an error by itself', (t) => {
  const { store } = make();
  store.bornEpoch = 2;
  const [here, lost, fresh] = store.readInners([
    DATASET,
    datasetOf(OLD),
    datasetOf(8 as InodeId, { mapEpoch: 2 }),
  ]);
  t.like(here, { sizeBytes: 0 });
  t.is(lost instanceof FsError ? lost.code : lost, 'EIO');
  t.is(fresh, undefined);
});

test('a truncation is refused until the one before is confirmed or known to be discarded', (t) => {
  const { store } = make();
  store.noteWrite(DATASET, { endBytes: 200, storedDelta: 200 });
  const first = store.truncate(DATASET, { sizeBytes: 0, confirmedGeneration: 0 });
  t.like(first, { sizeBytes: 0, generation: 1, truncatedBytes: 0 });
  const error = t.throws(
    () => store.truncate(DATASET, { sizeBytes: 100, confirmedGeneration: 0 }),
    { instanceOf: UnconfirmedTruncationError },
  );
  t.deepEqual(error.attributes, first);
  t.deepEqual(store.readInner(DATASET), first, 'nothing has changed');
  t.like(store.truncate(DATASET, { sizeBytes: 100, confirmedGeneration: 1 }), {
    sizeBytes: 100,
    generation: 2,
    truncatedBytes: 0,
  });
  store.confirmTruncation(DATASET, 1);
  t.throws(() => store.truncate(DATASET, { sizeBytes: 5, confirmedGeneration: 1 }), {
    instanceOf: UnconfirmedTruncationError,
  });
  store.confirmTruncation(DATASET, 2);
  t.like(store.truncate(DATASET, { sizeBytes: 50, confirmedGeneration: 0 }), { generation: 3 });
});

test('a cut that is meant for another size does nothing', (t) => {
  const { store } = make();
  const before = store.noteWrite(DATASET, { endBytes: 200, storedDelta: 0 });
  const truncation = { sizeBytes: 100, confirmedGeneration: 0, onlyIfSizeBytes: 199 };
  t.deepEqual(store.truncate(DATASET, truncation), before);
  t.like(store.truncate(DATASET, { ...truncation, onlyIfSizeBytes: 200 }), { sizeBytes: 100 });
});
