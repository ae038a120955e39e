/** Where the data of a dataset is, put together from what each memory tells of its blocks. Pure. */
import type { BlockIndex } from '../ids.ts';
import type { BlockMap } from './store.ts';

/** Several memories' answers to one question, each about its own blocks. */
export function mergeMaps(maps: readonly BlockMap[]): BlockMap {
  const [first, ...others] = maps;
  if (first === undefined) throw new RangeError('no map to merge');
  if (others.length === 0) return first;
  const whole = Buffer.alloc(Math.max(...maps.map((map) => map.whole.length)));
  for (const map of maps) {
    for (const [at, bits] of map.whole.entries()) whole[at] = (whole[at] as number) | bits;
  }
  const nexts = maps.flatMap(({ next }) => (next === undefined ? [] : [next]));
  return {
    next: nexts.length === 0 ? undefined : (Math.min(...nexts) as BlockIndex),
    end: Math.min(...maps.map(({ end }) => end)) as BlockIndex,
    whole,
    parts: maps.flatMap(({ parts }) => parts).sort((one, two) => one.block - two.block),
    mayBeLost: maps.some(({ mayBeLost }) => mayBeLost),
  };
}

/** Bytes `[start, end)` of a dataset that are data. */
export interface DataRun {
  readonly start: number;
  readonly end: number;
}

/**
 * The data in the part of the dataset that `map` is about, when `first` was the first block asked for: runs in order, those
 * that touch put together. With `pageBytes`, they end at page borders of their blocks.
 */
export function* dataRuns(
  map: BlockMap,
  first: BlockIndex,
  { blockSizeBytes, pageBytes = 1 }: { blockSizeBytes: number; pageBytes?: number },
): Generator<DataRun> {
  let current: { start: number; end: number } | undefined;
  for (const run of runsOfBlocks(map, first, { blockSizeBytes, pageBytes })) {
    if (current?.end === run.start) {
      current.end = run.end;
      continue;
    }
    if (current !== undefined) yield current;
    current = { ...run };
  }
  if (current !== undefined) yield current;
}

function* runsOfBlocks(
  map: BlockMap,
  first: BlockIndex,
  { blockSizeBytes, pageBytes }: { blockSizeBytes: number; pageBytes: number },
): Generator<DataRun> {
  let part = 0;
  for (let block: number = first; block < map.end; block++) {
    const start = (block - 1) * blockSizeBytes;
    const bit = block - first;
    if ((((map.whole[bit >>> 3] ?? 0) >>> (bit & 7)) & 1) === 1) {
      yield { start, end: start + blockSizeBytes };
      continue;
    }
    while ((map.parts[part]?.block ?? Infinity) < block) part++;
    const found = map.parts[part];
    // Neither bits nor parts are left.
    if (found === undefined && bit >>> 3 >= map.whole.length) return;
    if (found?.block !== block) continue;
    for (let at = 0; at + 1 < found.runs.length; at += 2) {
      const from = found.runs[at] as number;
      const to = Math.ceil((found.runs[at + 1] as number) / pageBytes) * pageBytes;
      yield { start: start + from, end: start + Math.min(to, blockSizeBytes) };
    }
  }
}
