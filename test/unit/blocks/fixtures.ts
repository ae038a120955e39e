/** A store with one dataset, and what the tests of the block store do with it. */
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import type { DatasetView } from '../../../src/blocks/store.ts';
import { ManualClock, type Timespec } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import type { Stat } from '../../../src/stat.ts';
import { datasetOf, viewOf } from '../../support/datasets.ts';

export const MIB = 2 ** 20;
export const INODE = 42 as InodeId;
export const DATASET = datasetOf(INODE);
export const EPOCH: Timespec = { seconds: 0, nanoseconds: 0 };

export function statOf(inode: InodeId, changes: Partial<Stat> = {}): Stat {
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

export function make({ capacityBytes = 16 * MIB, blockSizeBytes = MIB } = {}): {
  store: MemoryBlockStore;
  clock: ManualClock;
  view: DatasetView;
} {
  const clock = new ManualClock();
  const store = new MemoryBlockStore({ capacityBytes, blockSizeBytes, clock });
  store.createInner(datasetOf(INODE, { blockSizeBytes }), {
    stat: statOf(INODE, { blockSizeBytes }),
  });
  return { store, clock, view: viewOf(INODE, { blockSizeBytes }) };
}

export function write(
  store: MemoryBlockStore,
  view: DatasetView,
  { block = 1, offset = 0, bytes }: { block?: number; offset?: number; bytes: Buffer },
): number {
  return store.writeBlock(view, block as BlockIndex, offset, { bytes }).storedDelta;
}

export function read(store: MemoryBlockStore, view: DatasetView, block = 1, length = 16): Buffer {
  return Buffer.concat(store.readBlock(view, block as BlockIndex, { offset: 0, length }).slices);
}

export function failsWith(
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
