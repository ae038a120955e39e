/** Datasets, views and reports as the stores take them, made of an inode number and what a test cares about. */
import type { DatasetView } from '../../src/blocks/store.ts';
import type { InodeId } from '../../src/ids.ts';
import type { Dataset, Layout } from '../../src/layout.ts';
import type { DataReport } from '../../src/meta/store.ts';

const LAYOUT: Layout = { policy: 'RR', blockSizeBytes: 2 ** 20, replication: 1 };

/** A dataset of map epoch 1; `blockSizeBytes` stands for a whole layout. */
export function datasetOf(
  inode: InodeId,
  changes: Partial<Dataset> & { blockSizeBytes?: number } = {},
): Dataset {
  const { blockSizeBytes = LAYOUT.blockSizeBytes, ...others } = changes;
  const layout = { ...LAYOUT, blockSizeBytes };
  return { inode, uri: `imss://inode-${inode}`, layout, mapEpoch: 1, home: 0, ...others };
}

/** How data of {@link datasetOf} is addressed, as of `generation` 0 unless the changes say otherwise. */
export function viewOf(
  inode: InodeId,
  changes: Partial<DatasetView> & { blockSizeBytes?: number } = {},
): DatasetView {
  const { generation = 0, truncatedBytes = 0, ...dataset } = changes;
  return { ...datasetOf(inode, dataset), generation, truncatedBytes };
}

const TIME = { seconds: 77, nanoseconds: 7 };

/** What a writer's close reports of `sizeBytes` bytes written once, at 77 seconds. */
export function reportOf(changes: Partial<DataReport> = {}): DataReport {
  const sizeBytes = changes.sizeBytes ?? 0;
  return {
    sizeBytes,
    storedBytes: sizeBytes,
    atime: TIME,
    mtime: TIME,
    ctime: TIME,
    dataVersion: 1,
    generation: 0,
    truncatedBytes: 0,
    ...changes,
  };
}
