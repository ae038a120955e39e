/** Bytes to blocks. Block 0 hears of them afterwards: size and times change only when the data is stored. */
import type { BlockStore, DatasetView, Payload } from '../blocks/store.ts';
import { Errno, FsError } from '../errno.ts';
import type { Task } from '../task.ts';
import { type Extent, extentAt, extentsOf } from './extents.ts';
import { settleAll, waitToTheEnd } from './settle.ts';

/** Largest file size: offsets are exact numbers up to here. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;

/** Change of the bytes that are stored of a file, added up as answers come: what has been stored beside a failure counts. */
export interface Tally {
  storedDelta: number;
}

/**
 * Stores `payload` at byte `offset`, all blocks at once, and returns how many bytes that are. When a store is full half-way,
 * what is stored so far counts, as write(2) has it; ENOSPC if nothing was. Block 0 is not touched.
 */
export function* writeBlocks(
  blocks: BlockStore,
  view: DatasetView,
  { offset, payload }: { offset: number; payload: Payload },
  tally: Tally,
): Task<number> {
  const { blockSizeBytes } = view.layout;
  const { bytes } = payload;
  const first = extentAt(offset, bytes.length, blockSizeBytes);
  if (first.length === bytes.length) {
    const call = blocks.writeBlock(view, first.block, first.offset, payload);
    const { storedDelta } = yield* waitToTheEnd(call);
    tally.storedDelta += storedDelta;
    return bytes.length;
  }
  const extents = extentsOf({ offset, length: bytes.length }, blockSizeBytes);
  const calls = extents.map(({ block, offset: within, length, position }) => {
    const from = position - offset;
    const piece = { bytes: bytes.subarray(from, from + length) };
    return () => blocks.writeBlock(view, block, within, piece);
  });
  const outcomes = yield* settleAll(calls);
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') tally.storedDelta += outcome.value.storedDelta;
  }
  return lengthStored(extents, outcomes);
}

/** What counts is what is stored from the beginning on, without a gap. Throws what failed, unless something counts. */
function lengthStored(
  extents: readonly Extent[],
  outcomes: readonly PromiseSettledResult<unknown>[],
): number {
  let length = 0;
  let full: { reason: unknown } | undefined;
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') {
      if (full === undefined) length += extents[index]?.length ?? 0;
    } else if (outcome.reason instanceof FsError && outcome.reason.errno === Errno.ENOSPC) {
      full ??= outcome;
    } else {
      throw outcome.reason;
    }
  }
  if (length === 0 && full !== undefined) throw full.reason;
  return length;
}
