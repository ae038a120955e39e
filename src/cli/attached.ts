/** The attached composition: both stores live in the mount process, and nothing listens on a port. */
import { MemoryBlockStore } from '../blocks/memory-store.ts';
import { SystemClock } from '../clock.ts';
import type { AtimePolicy } from '../fs/attributes.ts';
import type { Engine } from '../fs/engine.ts';
import { KernelEngine } from '../fs/fuse/kernel-engine.ts';
import { MAX_WRITE_BYTES } from '../fs/fuse/negotiate.ts';
import { BlockPayloads, ScratchPayloads } from '../fs/fuse/payloads.ts';
import type { PayloadSource } from '../fs/fuse/session.ts';
import { NativeEngine } from '../fs/native/native-engine.ts';
import { Vfs } from '../fs/vfs.ts';
import { LocalMetaStore } from '../meta/local.ts';
import { FileType } from '../stat.ts';
import { runTask, wait } from '../task.ts';
import type { RootLogger } from './logging.ts';
import type { MountConfig, MountCounts, RunningMount } from './running-mount.ts';

/** Permission bits of a new root directory. */
const ROOT_PERMISSIONS = 0o755;

/**
 * Starts both stores, the VFS and the engine that was chosen. Rejects with nothing left open or mounted. Tests
 * let `prepare` break the VFS.
 */
export async function startAttached(
  config: MountConfig,
  logger: RootLogger,
  prepare: (vfs: Vfs) => void = () => undefined,
): Promise<RunningMount> {
  const { settings, request, metadataFile } = config;
  const clock = new SystemClock();
  const blocks = new MemoryBlockStore({ ...settings, clock });
  const owner = {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mode: FileType.DIRECTORY | ROOT_PERMISSIONS,
  };
  const meta = await LocalMetaStore.open({
    ...(metadataFile !== undefined && { path: metadataFile }),
    clock,
    reaper: blocks,
    defaults: settings,
    owner,
    logger: logger.component('meta'),
  });
  try {
    const root = await runTask(wait(meta.directoryAt(settings.rootPath, owner)));
    const vfs = new Vfs({
      meta,
      blocks,
      clock,
      logger: logger.component('vfs'),
      root: root.inode,
      atimePolicy: atimePolicyOf(request),
    });
    prepare(vfs);
    const engine = chooseEngine(config, { vfs, blocks, logger });
    await engine.start();
    return {
      engine,
      counts: () => countsOf({ vfs, meta, blocks }),
      describe: () => describeDropped(meta.droppedAtOpen),
      close: async () => {
        try {
          await runTask(vfs.shutdown());
        } finally {
          await meta.close();
        }
      },
    };
  } catch (error) {
    await meta.close();
    throw error;
  }
}

function chooseEngine(
  { settings, request, debugFuse }: MountConfig,
  parts: { vfs: Vfs; blocks: MemoryBlockStore; logger: RootLogger },
): Engine {
  const logger = parts.logger.component('fuse');
  const options = { vfs: parts.vfs, request, logger, debug: debugFuse };
  if (settings.engine === 'fuse-native') return new NativeEngine(options);
  const payloads = payloadsFor(parts.blocks, settings.blockSizeBytes);
  return new KernelEngine({ ...options, payloads, busyPollMs: settings.busyPollMs });
}

/** Where one FUSE_WRITE can fill a block, it is read straight into a free one; otherwise into scratch memory. */
function payloadsFor(blocks: MemoryBlockStore, blockSizeBytes: number): PayloadSource {
  if (blockSizeBytes !== MAX_WRITE_BYTES) return new ScratchPayloads();
  return new BlockPayloads(() => blocks.lease());
}

function countsOf(parts: {
  vfs: Vfs;
  meta: LocalMetaStore;
  blocks: MemoryBlockStore;
}): MountCounts {
  const { inodes, usedBytes: metadataBytes, fileBytes } = parts.meta.statistics();
  const { datasets, usedBytes } = parts.blocks.usage();
  return {
    ...parts.vfs.useCounts(),
    inodes,
    datasets,
    usedBytes,
    touchedBytes: parts.blocks.memory().touchedBytes,
    metadataBytes,
    metadataFileBytes: fileBytes,
  };
}

function atimePolicyOf({ readOnly, genericOptions }: MountConfig['request']): AtimePolicy {
  if (readOnly || genericOptions.includes('noatime')) return 'noatime';
  return genericOptions.includes('strictatime') ? 'strictatime' : 'relatime';
}

function describeDropped(count: number): string[] {
  if (count === 0) return [];
  return [`dropped ${count} dataset(s) of the metadata file whose blocks went with their process`];
}
