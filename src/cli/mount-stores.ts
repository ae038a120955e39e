/** From two stores to a mount that answers: VFS, engine, and how both end. */
import type { MemoryBlockStore } from '../blocks/memory-store.ts';
import type { BlockStore } from '../blocks/store.ts';
import type { Clock } from '../clock.ts';
import type { AtimePolicy } from '../fs/attributes.ts';
import type { Engine } from '../fs/engine.ts';
import { KernelEngine } from '../fs/fuse/kernel-engine.ts';
import { MAX_WRITE_BYTES } from '../fs/fuse/negotiate.ts';
import { BlockPayloads, ScratchPayloads } from '../fs/fuse/payloads.ts';
import type { PayloadSource } from '../fs/fuse/session.ts';
import { NativeEngine } from '../fs/native/native-engine.ts';
import { Vfs } from '../fs/vfs.ts';
import type { MetaStore } from '../meta/store.ts';
import type { PipePool } from '../pipes/pipe.ts';
import { FileType } from '../stat.ts';
import { runTask, wait } from '../task.ts';
import type { RootLogger } from './logging.ts';
import type { MountConfig, RunningMount, StoreCounts } from './running-mount.ts';

/** Permission bits of a new root directory. */
const ROOT_PERMISSIONS = 0o755;

/** What a mount stands on. */
export interface MountedStores {
  readonly meta: MetaStore;
  readonly blocks: BlockStore;
  readonly clock: Clock;
  /** Where whole blocks of FUSE_WRITEs are received to be adopted: a block store in this process. */
  readonly ownBlocks?: MemoryBlockStore | undefined;
  /** For data on its way between the kernel and other nodes; absent where the engine has no use for it. */
  readonly pipes?: PipePool | undefined;
  /** See {@link Vfs}. */
  readonly home?: number | undefined;
  /** What `imssfs info` calls the block servers, by number. */
  readonly serverNames: readonly string[];
  /** What the stores hold, for those who look after the mount. */
  counts(): Partial<StoreCounts>;
  describe(): string[];
  /** Called once, when nothing uses the stores any more. */
  close(): Promise<void>;
}

/** Owner and permission bits of what a mount makes of its own accord: the root, and the directories of `-r`. */
export function ownRoot(): { uid: number; gid: number; mode: number } {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mode: FileType.DIRECTORY | ROOT_PERMISSIONS,
  };
}

/**
 * Starts the VFS and the engine that was chosen; `prepare` may change the VFS before. Rejects with nothing left
 * mounted; closing the stores is then the caller's.
 */
export async function mountStores(
  stores: MountedStores,
  config: MountConfig,
  logger: RootLogger,
  prepare: (vfs: Vfs) => void = () => undefined,
): Promise<RunningMount> {
  const { settings, request } = config;
  const { meta, blocks, clock, home, serverNames } = stores;
  const root = await runTask(wait(meta.directoryAt(settings.rootPath, ownRoot())));
  const vfs = new Vfs({
    meta,
    blocks,
    clock,
    logger: logger.component('vfs'),
    root: root.inode,
    atimePolicy: atimePolicyOf(request),
    acl: request.acl,
    serverNames,
    ...(home !== undefined && { home }),
  });
  prepare(vfs);
  const engine = chooseEngine(config, { vfs, stores, logger });
  await engine.start();
  return {
    engine,
    counts: () => ({ ...vfs.useCounts(), ...stores.counts() }),
    describe: () => stores.describe(),
    close: async () => {
      try {
        await runTask(vfs.shutdown());
      } finally {
        await stores.close();
      }
    },
  };
}

function chooseEngine(
  { settings, request, debugFuse }: MountConfig,
  parts: { vfs: Vfs; stores: MountedStores; logger: RootLogger },
): Engine {
  const logger = parts.logger.component('fuse');
  const options = { vfs: parts.vfs, request, logger, debug: debugFuse };
  if (settings.engine === 'fuse-native') return new NativeEngine(options);
  const payloads = payloadsFor(parts.stores, settings.blockSizeBytes);
  return new KernelEngine({ ...options, payloads, busyPollMs: settings.busyPollMs });
}

/**
 * Where one FUSE_WRITE can fill a block of this process, it is read straight into a free one; otherwise into scratch
 * memory, which other nodes can be sent without a copy.
 */
function payloadsFor(
  { ownBlocks: blocks, pipes }: MountedStores,
  blockSizeBytes: number,
): PayloadSource {
  if (blocks === undefined) return new ScratchPayloads(pipes);
  if (blockSizeBytes !== MAX_WRITE_BYTES) return new ScratchPayloads();
  return new BlockPayloads(() => blocks.lease());
}

function atimePolicyOf({ readOnly, genericOptions }: MountConfig['request']): AtimePolicy {
  if (readOnly || genericOptions.includes('noatime')) return 'noatime';
  return genericOptions.includes('strictatime') ? 'strictatime' : 'relatime';
}
