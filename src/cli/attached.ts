/** The attached composition: both stores live in the mount process, and nothing listens on a port. */
import { MemoryBlockStore } from '../blocks/memory-store.ts';
import { SystemClock } from '../clock.ts';
import type { Vfs } from '../fs/vfs.ts';
import { LocalMetaStore } from '../meta/local.ts';
import type { RootLogger } from './logging.ts';
import { mountStores, ownRoot } from './mount-stores.ts';
import type { MountConfig, RunningMount, StoreCounts } from './running-mount.ts';

/**
 * Starts both stores, the VFS and the engine that was chosen. Rejects with nothing left open or mounted. Tests
 * let `prepare` break the VFS.
 */
export async function startAttached(
  config: MountConfig,
  logger: RootLogger,
  prepare?: (vfs: Vfs) => void,
): Promise<RunningMount> {
  const { settings, metadataFile } = config;
  const clock = new SystemClock();
  const blocks = new MemoryBlockStore({ ...settings, clock });
  const meta = await LocalMetaStore.open({
    ...(metadataFile !== undefined && { path: metadataFile }),
    clock,
    reaper: blocks,
    defaults: settings,
    owner: ownRoot(),
    logger: logger.component('meta'),
  });
  const stores = {
    meta,
    blocks,
    clock,
    ownBlocks: blocks,
    serverNames: ['this mount'],
    counts: () => countsOf(meta, blocks),
    describe: () => describeDropped(meta.droppedAtOpen),
    close: () => meta.close(),
  };
  try {
    return await mountStores(stores, config, logger, prepare);
  } catch (error) {
    await meta.close();
    throw error;
  }
}

function countsOf(meta: LocalMetaStore, blocks: MemoryBlockStore): Partial<StoreCounts> {
  const { inodes, usedBytes: metadataBytes, fileBytes } = meta.statistics();
  const { datasets, usedBytes } = blocks.usage();
  return {
    inodes,
    datasets,
    usedBytes,
    touchedBytes: blocks.memory().touchedBytes,
    metadataBytes,
    metadataFileBytes: fileBytes,
  };
}

function describeDropped(count: number): string[] {
  if (count === 0) return [];
  return [`dropped ${count} dataset(s) of the metadata file whose blocks went with their process`];
}
