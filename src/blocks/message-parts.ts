/** What is asked of a server in several messages: how it is cut, and how the answers are waited for. */
import type { InodeId } from '../ids.ts';
import { MOST_PER_MESSAGE, shardOf } from './protocol.ts';
import type { BlockExtent } from './store.ts';

/** Pieces that fit one message. */
export function chunksOf<T>(items: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < items.length; at += MOST_PER_MESSAGE) {
    chunks.push(items.slice(at, at + MOST_PER_MESSAGE));
  }
  return chunks;
}

/** Extents as they travel: those of one of `shards` shards, no more than fit one message. */
export function extentsByShard(
  inode: InodeId,
  extents: readonly BlockExtent[],
  shards: number,
): { shard: number; chunk: BlockExtent[] }[] {
  const groups = Array.from({ length: shards }, (): BlockExtent[] => []);
  for (const extent of extents) groups[shardOf(inode, extent.block, shards)]?.push(extent);
  return groups.flatMap((group, shard) => chunksOf(group).map((chunk) => ({ shard, chunk })));
}

/** Waits for all, also where some fail; then fails as the first of these. */
export async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
