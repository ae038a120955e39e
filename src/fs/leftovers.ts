/**
 * What a change that failed half-way has stored behind the end of its file, on servers that had room while others had none.
 * It is no part of the file, and must not come to light when that grows.
 */
import type { BlockStore } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { Task } from '../task.ts';
import { extentAt } from './extents.ts';
import type { FileData } from './file-data.ts';
import type { OpenFile } from './handles.ts';
import { waitToTheEnd } from './settle.ts';

/** Takes away what lies in the range and behind the end. What a server that is away has of it stays. */
export function* dropLeftovers(
  { data, blocks }: { data: FileData; blocks: BlockStore },
  file: OpenFile,
  range: { offset: number; length: number },
): Task<void> {
  const { length } = extentAt(range.offset, range.length, file.view.layout.blockSizeBytes);
  // In one block, nothing is stored by what fails.
  if (length === range.length) return;
  try {
    yield* file.notes.pause();
    // Others may have made the file longer.
    yield* data.refresh(file);
    const offset = Math.max(range.offset, file.known?.sizeBytes ?? 0);
    const left = { offset, length: range.offset + range.length - offset };
    if (left.length <= 0) return;
    const { storedDelta } = yield* data.withFreshViews([file], () =>
      waitToTheEnd(blocks.punch(file.view, left, 'freed')),
    );
    if (storedDelta !== 0) data.changed(file, 0, { storedDelta });
  } catch (error) {
    // The caller tells of what failed first.
    if (!(error instanceof FsError)) throw error;
  }
}
