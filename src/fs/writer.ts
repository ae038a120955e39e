/** Bytes to blocks, then to block 0: size and times change only after the data is stored. */
import type { BlockStore, DatasetView, Payload } from '../blocks/store.ts';
import { Errno, FsError } from '../errno.ts';
import { type Task, wait } from '../task.ts';
import { extentAt } from './extents.ts';

/** Largest file size: offsets are exact numbers up to here. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;

/** What became of a write. */
export interface Written {
  /** Bytes stored; fewer than asked only when the store is full. */
  readonly length: number;
  readonly storedDelta: number;
}

/**
 * Stores `payload` at byte `offset`. When the store is full half-way, what is stored so far counts, as write(2)
 * has it; ENOSPC if nothing was. Block 0 is not touched.
 */
export function* writeBlocks(
  blocks: BlockStore,
  view: DatasetView,
  offset: number,
  payload: Payload,
): Task<Written> {
  const total = payload.bytes.length;
  let length = 0;
  let storedDelta = 0;
  while (length < total) {
    const extent = extentAt(offset + length, total - length, view.blockSizeBytes);
    const piece =
      extent.length === total
        ? payload
        : { bytes: payload.bytes.subarray(length, length + extent.length) };
    try {
      const written = yield* wait(blocks.writeBlock(view, extent.block, extent.offset, piece));
      storedDelta += written.storedDelta;
    } catch (error) {
      if (length > 0 && error instanceof FsError && error.errno === Errno.ENOSPC) break;
      throw error;
    }
    length += extent.length;
  }
  return { length, storedDelta };
}
