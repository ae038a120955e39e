/** Blocks to bytes. */
import { type BlockStore, type DatasetView } from '../blocks/store.ts';
import { type Task, wait } from '../task.ts';
import { extentAt } from './extents.ts';

/**
 * Bytes `[offset, offset + length)` as slices; the caller has cut the range at the end of the file. Slices of a
 * local store are views of its memory: they are to be used before anything else runs.
 */
export function* readRange(
  blocks: BlockStore,
  view: DatasetView,
  range: { offset: number; length: number },
): Task<Buffer[]> {
  const first = extentAt(range.offset, range.length, view.blockSizeBytes);
  const slices = yield* wait(blocks.readBlock(view, first.block, first));
  let done = first.length;
  while (done < range.length) {
    const extent = extentAt(range.offset + done, range.length - done, view.blockSizeBytes);
    slices.push(...(yield* wait(blocks.readBlock(view, extent.block, extent))));
    done += extent.length;
  }
  return slices;
}
