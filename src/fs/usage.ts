/** How full a file system is, as statfs(2) tells it. */
import type { BlockStore } from '../blocks/store.ts';
import type { MetaStore } from '../meta/store.ts';
import { type Task, wait } from '../task.ts';
import type { FileSystemUsage } from './types.ts';

/** As many further inodes are promised as there are free pages of this size. */
const BYTES_PER_FREE_INODE = 4096;

export function* fileSystemUsage(blocks: BlockStore, meta: MetaStore): Task<FileSystemUsage> {
  const usage = yield* wait(blocks.usage());
  const inodes = yield* wait(meta.inodeCount());
  const freeBytes = Math.max(0, usage.capacityBytes - usage.usedBytes);
  return {
    capacityBytes: usage.capacityBytes,
    freeBytes,
    inodes,
    freeInodes: Math.floor(freeBytes / BYTES_PER_FREE_INODE),
  };
}
