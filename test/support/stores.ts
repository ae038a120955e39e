/** Both local stores and a VFS over them, on a clock that stands still, for tests without a mount. */
import { MemoryBlockStore } from '../../src/blocks/memory-store.ts';
import type { BlockStore } from '../../src/blocks/store.ts';
import { ManualClock } from '../../src/clock.ts';
import { Vfs } from '../../src/fs/vfs.ts';
import { ROOT_INODE } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { LocalMetaStore } from '../../src/meta/local.ts';
import type { MetaStore } from '../../src/meta/store.ts';
import { FileType } from '../../src/stat.ts';

export interface TestStores {
  readonly vfs: Vfs;
  readonly meta: LocalMetaStore;
  readonly blocks: MemoryBlockStore;
  readonly clock: ManualClock;
}

export interface TestStoreOptions {
  capacityBytes?: number;
  blockSizeBytes?: number;
  /** Puts something between the VFS and its stores. */
  wrap?: (stores: { meta: MetaStore; blocks: BlockStore }) => {
    meta: MetaStore;
    blocks: BlockStore;
  };
}

/** Opens stores, runs `body`, closes them whatever happens. */
export async function withStores(
  options: TestStoreOptions,
  body: (stores: TestStores) => void | Promise<void>,
): Promise<void> {
  const clock = new ManualClock();
  const blockSizeBytes = options.blockSizeBytes ?? 1024 * 1024;
  const capacityBytes = options.capacityBytes ?? 64 * 1024 * 1024;
  const blocks = new MemoryBlockStore({ capacityBytes, blockSizeBytes, clock });
  const meta = await LocalMetaStore.open({
    clock,
    reaper: blocks,
    defaults: { policy: 'RR', blockSizeBytes, replication: 1 },
    owner: { uid: 0, gid: 0, mode: FileType.DIRECTORY | 0o755 },
    logger: silentLogger,
  });
  try {
    const seen = options.wrap?.({ meta, blocks }) ?? { meta, blocks };
    const root = ROOT_INODE;
    const vfs = new Vfs({ ...seen, clock, logger: silentLogger, root, atimePolicy: 'relatime' });
    await body({ vfs, meta, blocks, clock });
  } finally {
    await meta.close();
  }
}

/** `store` with another `method`. */
export function replacing<S extends object, M extends keyof S>(
  store: S,
  method: M,
  replacement: (original: S[M]) => S[M],
): S {
  return new Proxy(store, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      const bound = typeof value === 'function' ? (value.bind(target) as unknown) : value;
      return property === method ? replacement(bound as S[M]) : bound;
    },
  });
}
