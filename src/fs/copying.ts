/**
 * Copies a range of a file to another place: on the servers where a piece's source and target are in one memory, through
 * this process, with a bound on the memory that takes, where not. Holes stay holes.
 */
import { type DataRun, dataRuns } from '../blocks/block-map.ts';
import type { BlockMap, BlockStore } from '../blocks/store.ts';
import { Errno, FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { type MaybePromise, runTask, type Task, wait } from '../task.ts';
import { extentAt } from './extents.ts';
import type { FileData } from './file-data.ts';
import type { OpenFile } from './handles.ts';
import { dropLeftovers } from './leftovers.ts';
import { readRange } from './reader.ts';
import { settleAll, waitToTheEnd } from './settle.ts';
import { writeBlocks } from './writer.ts';

/** So much data is copied at once, in pieces of at most this. */
const WINDOW_BYTES = 16 * 1024 * 1024;
const PIECE_BYTES = 4 * 1024 * 1024;
const WINDOW_PIECES = 256;
/** Blocks of the source that are looked at in one question. */
const MAPPED_BLOCKS = 1024;
/** One call ends after so much data, and the caller asks again: others want to be served, and signals to be heard. */
const MOST_BYTES = 64 * 1024 * 1024;

interface Stores {
  readonly data: FileData;
  readonly blocks: BlockStore;
  /** Makes the kernel forget a file's pages. */
  readonly dropPages: (inode: InodeId) => MaybePromise<void>;
}

interface Place {
  readonly file: OpenFile;
  readonly offset: number;
}

/** What lies within one block of the source and one of the target; positions are the source's. */
interface Piece extends DataRun {
  readonly runs: readonly DataRun[];
}

/** Part of the range, whose pieces are copied at once; what lies between them is holes. */
interface Window extends DataRun {
  readonly pieces: readonly Piece[];
}

/** Returns how many bytes were copied; throws only if none were. */
export function* copyRange(
  stores: Stores,
  source: Place,
  target: Place,
  length: number,
): Task<number> {
  const copying = new Copying(stores, source, target);
  const end = source.offset + length;
  let at = source.offset;
  let window: Window | undefined;
  let failure: { error: unknown } | undefined;
  try {
    for (let bytes = 0; at < end && bytes < MOST_BYTES;) {
      window = yield* copying.windowAt(at, end);
      const reached = yield* copying.copyWindow(window);
      bytes += bytesIn(window.pieces);
      at = reached;
      if (reached < window.end) break;
    }
  } catch (error) {
    failure = { error };
  }
  const copied = at - source.offset;
  const { storedDelta } = copying;
  if (copied > 0 || storedDelta !== 0) {
    stores.data.changed(target.file, copied > 0 ? target.offset + copied : 0, { storedDelta });
  }
  if (window !== undefined && at < window.end)
    yield* copying.tidyUp({ start: at, end: window.end });
  if (failure !== undefined && copied === 0) throw failure.error;
  return copied;
}

class Copying {
  /** Change of what is stored of the target. */
  storedDelta = 0;
  readonly #data: FileData;
  readonly #blocks: BlockStore;
  readonly #dropPages: Stores['dropPages'];
  readonly #source: OpenFile;
  readonly #target: OpenFile;
  /** Target position less source position. */
  readonly #shift: number;

  constructor({ data, blocks, dropPages }: Stores, source: Place, target: Place) {
    this.#data = data;
    this.#blocks = blocks;
    this.#dropPages = dropPages;
    this.#source = source.file;
    this.#target = target.file;
    this.#shift = target.offset - source.offset;
  }

  /**
   * Of a part that was not copied whole, some may have been: the kernel, which hears that nothing of it was, is to ask again
   * what is there now.
   */
  *tidyUp({ start, end }: DataRun): Task<void> {
    const range = { offset: start + this.#shift, length: end - start };
    yield* dropLeftovers({ data: this.#data, blocks: this.#blocks }, this.#target, range);
    yield* wait(this.#dropPages(this.#target.inode));
  }

  *#withFreshViews<T>(operation: () => Task<T>): Task<T> {
    return yield* this.#data.withFreshViews([this.#source, this.#target], operation);
  }

  /** What is to be copied next, from `at` on. */
  *windowAt(at: number, end: number): Task<Window> {
    const { blockSizeBytes } = this.#source.view.layout;
    const first = (Math.floor(at / blockSizeBytes) + 1) as BlockIndex;
    const map: BlockMap = yield* this.#withFreshViews(() =>
      wait(this.#blocks.map(this.#source.view, first, MAPPED_BLOCKS)),
    );
    const mapEnd = (map.end - 1) * blockSizeBytes;
    if (map.mayBeLost) {
      // Read in any case: what is lost is not to become a hole.
      return this.#cut([{ start: at, end: Math.min(end, mapEnd) }], at, Math.min(end, mapEnd));
    }
    const knownEnd =
      map.next === undefined ? end : Math.max(mapEnd, (map.next - 1) * blockSizeBytes);
    return this.#cut(dataRuns(map, first, { blockSizeBytes }), at, Math.min(end, knownEnd));
  }

  /** Data from `at` to `end`, cut into pieces, and the range into a window's share of them. */
  #cut(runs: Iterable<DataRun>, at: number, end: number): Window {
    const pieces: { start: number; end: number; cellEnd: number; runs: DataRun[] }[] = [];
    let bytes = 0;
    for (const run of runs) {
      const runEnd = Math.min(run.end, end);
      for (let start = Math.max(run.start, at); start < runEnd;) {
        const cellEnd = this.#cellEnd(start);
        const last = pieces.at(-1);
        const part = { start, end: Math.min(runEnd, cellEnd) };
        if (last?.cellEnd === cellEnd) {
          last.end = part.end;
          last.runs.push(part);
        } else {
          if (bytes >= WINDOW_BYTES || pieces.length === WINDOW_PIECES) {
            return { start: at, end: start, pieces };
          }
          pieces.push({ ...part, cellEnd, runs: [part] });
        }
        bytes += part.end - part.start;
        start = part.end;
      }
    }
    return { start: at, end, pieces };
  }

  /** Where the block of the source that `position` is in ends, or the one of the target, or the longest piece. */
  #cellEnd(position: number): number {
    const target = position + this.#shift;
    const sourceBlock = this.#source.view.layout.blockSizeBytes;
    const targetBlock = this.#target.view.layout.blockSizeBytes;
    return Math.min(
      position + sourceBlock - (position % sourceBlock),
      position + targetBlock - (target % targetBlock),
      position + PIECE_BYTES - (position % PIECE_BYTES),
    );
  }

  /** Returns how far the window has been copied without a gap; throws what failed if that is nothing. */
  *copyWindow(window: Window): Task<number> {
    const outcomes = yield* settleAll(
      window.pieces.map((piece) => () => runTask(this.#copyPiece(piece))),
    );
    let reached = window.end;
    let failure: { reason: unknown } | undefined;
    for (const [index, piece] of window.pieces.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') continue;
      failure = outcome;
      reached = piece.start;
      break;
    }
    yield* this.#punchBetween(window, reached);
    if (failure === undefined) return reached;
    const isFull = failure.reason instanceof FsError && failure.reason.errno === Errno.ENOSPC;
    if (!isFull || reached === window.start) throw failure.reason;
    return reached;
  }

  /** Makes holes of what lies between pieces, below `end`. Behind the end of the target there is nothing to be taken away. */
  *#punchBetween({ start, end: windowEnd, pieces }: Window, end: number): Task<void> {
    const targetEnd = (yield* this.#data.sizeOf(this.#target)) - this.#shift;
    const limit = Math.min(end, targetEnd);
    let at = start;
    for (const piece of [...pieces, { start: windowEnd, end: windowEnd }]) {
      const hole = { start: at, end: Math.min(piece.start, limit) };
      if (hole.end > hole.start) yield* this.#punch(hole);
      at = piece.end;
    }
  }

  *#punch({ start, end }: DataRun): Task<void> {
    const range = { offset: start + this.#shift, length: end - start };
    const { storedDelta } = yield* this.#withFreshViews(() =>
      waitToTheEnd(this.#blocks.punch(this.#target.view, range, 'freed')),
    );
    this.storedDelta += storedDelta;
  }

  *#copyPiece(piece: Piece): Task<void> {
    const length = piece.end - piece.start;
    const copied = yield* this.#withFreshViews(() =>
      waitToTheEnd(this.#copyBlock(piece.start, length)),
    );
    if (copied !== undefined) {
      this.storedDelta += copied.storedDelta;
      return;
    }
    for (const run of piece.runs) yield* this.#copyThrough(run);
    for (const [index, run] of piece.runs.entries()) {
      const before = piece.runs[index - 1];
      if (before !== undefined) yield* this.#punch({ start: before.end, end: run.start });
    }
  }

  #copyBlock(start: number, length: number): MaybePromise<{ storedDelta: number } | undefined> {
    const [from, to] = [
      { view: this.#source.view, position: start },
      { view: this.#target.view, position: start + this.#shift },
    ].map(({ view, position }) => {
      const { block, offset } = extentAt(position, length, view.layout.blockSizeBytes);
      return { view, block, offset };
    });
    if (from === undefined || to === undefined) return undefined;
    return this.#blocks.copyBlock(from, to, length);
  }

  /** Reads and writes. */
  *#copyThrough({ start, end }: DataRun): Task<void> {
    const range = { offset: start, length: end - start };
    const data = yield* this.#withFreshViews(() =>
      readRange(this.#blocks, this.#source.view, range),
    );
    try {
      const { slices } = data;
      const [sole] = slices;
      // Without a release they may be views of a store in this process, which others change while a server takes them.
      const isOurs = slices.length === 1 && data.release !== undefined;
      const bytes = isOurs && sole !== undefined ? sole : Buffer.concat(slices);
      const write = { offset: start + this.#shift, payload: { bytes } };
      yield* this.#withFreshViews(() => writeBlocks(this.#blocks, this.#target.view, write, this));
    } finally {
      data.release?.();
    }
  }
}

function bytesIn(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { start, end }) => sum + end - start, 0);
}
