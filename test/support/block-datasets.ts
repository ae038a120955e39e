/** Datasets for tests of block stores, and short ways to use them. */
import type { BlockLocator } from '../../src/blocks/block-servers.ts';
import type { BlockStore, DataAttributes, DatasetView } from '../../src/blocks/store.ts';
import type { Timespec } from '../../src/clock.ts';
import { FsError } from '../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../src/ids.ts';
import type { Dataset, Layout } from '../../src/layout.ts';
import type { PolicyName } from '../../src/policy.ts';
import type { Stat } from '../../src/stat.ts';

export const MIB = 2 ** 20;
export const EPOCH: Timespec = { seconds: 0, nanoseconds: 0 };

export interface DatasetShape {
  readonly policy?: PolicyName;
  readonly blockSizeBytes?: number;
  readonly mapEpoch?: number;
  readonly home?: number;
}

export function datasetOf(inode: number, shape: DatasetShape = {}): Dataset {
  const { policy = 'RR', blockSizeBytes = MIB, mapEpoch = 1, home = 0 } = shape;
  const layout: Layout = { policy, blockSizeBytes, replication: 1 };
  return { inode: inode as InodeId, uri: `imss://file${inode}`, layout, mapEpoch, home };
}

export function viewOf(dataset: Dataset, inner?: DataAttributes): DatasetView {
  const { generation = 0, truncatedBytes = 0 } = inner ?? {};
  return { ...dataset, generation, truncatedBytes };
}

export function statFor({ inode, layout }: Dataset, changes: Partial<Stat> = {}): Stat {
  return {
    inode,
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    sizeBytes: 0,
    storedBytes: 0,
    blockSizeBytes: layout.blockSizeBytes,
    atime: EPOCH,
    mtime: EPOCH,
    ctime: EPOCH,
    ...changes,
  };
}

/** A metadata store's block map, in memory. */
export function makeLocator(): BlockLocator & { readonly claims: Map<string, number> } {
  const claims = new Map<string, number>();
  return {
    claims,
    claim: (inode, blocks, server) =>
      blocks.map((block) => {
        const key = `${inode}/${block}`;
        const known = claims.get(key);
        if (known === undefined) claims.set(key, server);
        return known ?? server;
      }),
    locate: (inode, blocks) => blocks.map((block) => claims.get(`${inode}/${block}`)),
  };
}

export async function readBytes(
  store: BlockStore,
  view: DatasetView,
  { block = 1, offset = 0, length = 16 }: { block?: number; offset?: number; length?: number } = {},
): Promise<Buffer> {
  const data = await store.readBlock(view, block as BlockIndex, { offset, length });
  const bytes = Buffer.concat(data.slices);
  data.release?.();
  return bytes;
}

export async function writeBytes(
  store: BlockStore,
  view: DatasetView,
  { block = 1, offset = 0, bytes }: { block?: number; offset?: number; bytes: Buffer },
): Promise<number> {
  const written = await store.writeBlock(view, block as BlockIndex, offset, { bytes });
  return written.storedDelta;
}

/** What `run` throws, or rejects with. */
export async function failureOf(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The errno's name with which `run` fails; the error itself if it is another. */
export async function codeOf(run: () => unknown): Promise<unknown> {
  const error = await failureOf(run);
  return error instanceof FsError ? error.code : error;
}
