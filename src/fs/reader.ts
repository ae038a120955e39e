/** Blocks to bytes. */
import type { BlockData, BlockStore, DatasetView } from '../blocks/store.ts';
import { isPromiseLike, type MaybePromise, type Task, wait } from '../task.ts';
import { extentAt, extentsOf } from './extents.ts';
import { settleAll } from './settle.ts';

/**
 * Bytes `[offset, offset + length)`; the caller has cut the range at the end of the file. All blocks are asked for at
 * once. If all are local, the slices are views of the store's memory: they are to be used before anything else runs.
 */
export function* readRange(
  blocks: BlockStore,
  view: DatasetView,
  range: { offset: number; length: number },
): Task<BlockData> {
  const { blockSizeBytes } = view.layout;
  const first = extentAt(range.offset, range.length, blockSizeBytes);
  if (first.length === range.length) {
    const { block, offset, length } = first;
    return yield* waitFor(blocks.readBlock(view, block, { offset, length, passesOn: true }));
  }
  const calls = extentsOf(range, blockSizeBytes).map((extent) => () => {
    return blocks.readBlock(view, extent.block, extent);
  });
  const outcomes = yield* settleAll(calls, copyOf);
  const parts: BlockData[] = [];
  let failure: { reason: unknown } | undefined;
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') parts.push(outcome.value);
    else failure ??= outcome;
  }
  const data = join(parts);
  if (failure === undefined) return data;
  data.release?.();
  throw failure.reason;
}

/** Data that comes when nobody waits for it any more is released. */
function* waitFor(data: MaybePromise<BlockData>): Task<BlockData> {
  try {
    return yield* wait(data);
  } catch (error) {
    if (isPromiseLike(data)) data.then(release, () => undefined);
    throw error;
  }
}

function release(data: BlockData): void {
  data.release?.();
}

/** What is local would not stay what it is while the rest is on its way. */
function copyOf({ slices, release }: BlockData): BlockData {
  const copies = slices.map((slice) => Buffer.from(slice));
  release?.();
  return { slices: copies };
}

function join(parts: readonly BlockData[]): BlockData {
  return {
    slices: parts.flatMap(({ slices }) => slices),
    release: () => {
      for (const { release } of parts) release?.();
    },
  };
}
