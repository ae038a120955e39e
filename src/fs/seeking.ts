/** Where the data and the holes of a file are, page by page. */
import { dataRuns } from '../blocks/block-map.ts';
import {
  type BlockMap,
  type BlockStore,
  type DatasetView,
  MOST_MAPPED_BLOCKS,
} from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex } from '../ids.ts';
import { type Task, wait } from '../task.ts';

/** Data ends at a page's end, as it does where pages are the unit of storage. */
const PAGE_BYTES = 4096;

/** Blocks that are asked for first; each further question is about so many times more. */
const FIRST_BLOCKS = 16;
const GROWTH = 64;

/** A position in a file of a known size. */
export interface Position {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The first byte of data from `offset` on. ENXIO if there is none. */
export function* findData(
  blocks: BlockStore,
  view: DatasetView,
  { offset, sizeBytes }: Position,
): Task<number> {
  const { blockSizeBytes } = view.layout;
  let first = blockAt(offset, blockSizeBytes);
  for (let count = FIRST_BLOCKS; ; count = larger(count)) {
    if ((first - 1) * blockSizeBytes >= sizeBytes) throw new FsError('ENXIO');
    const map: BlockMap = yield* wait(blocks.map(view, first, count));
    // To pass over what may be lost would make zeros of it in a copy.
    if (map.mayBeLost) return offset;
    for (const { start, end } of dataRuns(map, first, { blockSizeBytes })) {
      if (end <= offset) continue;
      const found = Math.max(start, offset);
      if (found >= sizeBytes) throw new FsError('ENXIO');
      return found;
    }
    if (map.next === undefined) throw new FsError('ENXIO');
    first = Math.max(map.next, map.end) as BlockIndex;
  }
}

/** The first byte from `offset` on that lies in a hole, or the end of the file. */
export function* findHole(
  blocks: BlockStore,
  view: DatasetView,
  { offset, sizeBytes }: Position,
): Task<number> {
  const { blockSizeBytes } = view.layout;
  let first = blockAt(offset, blockSizeBytes);
  let at = offset;
  for (let count = FIRST_BLOCKS; ; count = larger(count)) {
    const map: BlockMap = yield* wait(blocks.map(view, first, count));
    if (map.mayBeLost) return sizeBytes;
    for (const run of dataRuns(map, first, { blockSizeBytes, pageBytes: PAGE_BYTES })) {
      if (run.end <= at) continue;
      if (run.start > at) return Math.min(at, sizeBytes);
      at = run.end;
    }
    first = map.end;
    const end = (first - 1) * blockSizeBytes;
    if (at < end || at >= sizeBytes) return Math.min(at, sizeBytes);
  }
}

function blockAt(offset: number, blockSizeBytes: number): BlockIndex {
  return (Math.floor(offset / blockSizeBytes) + 1) as BlockIndex;
}

function larger(count: number): number {
  return Math.min(count * GROWTH, MOST_MAPPED_BLOCKS);
}
