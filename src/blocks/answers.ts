/**
 * What an answer of a block server must be like to be true. One that cannot be is EIO: taken at its word it would pass for
 * holes where data is, or keep whoever asked busy for ever.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex } from '../ids.ts';
import type { BlockExtent, BlockMap, BlockRuns, Reserved } from './store.ts';

function nonsense(server: string, told: string): FsError {
  return new FsError('EIO', `block server ${server} gave ${told}`);
}

/** There are as many answers as questions: what is missing would be taken for what does not exist. */
export function requireEach(
  server: string,
  questions: readonly unknown[],
  answers: readonly unknown[],
): void {
  if (answers.length === questions.length) return;
  throw nonsense(server, `${answers.length} answers to ${questions.length} questions`);
}

/** What was asked of a map. */
export interface MapQuestion {
  readonly first: BlockIndex;
  readonly count: number;
  readonly blockSizeBytes: number;
}

/** The map leads on, tells of nothing beyond the question, and its runs lie in their blocks, one behind the other. */
export function requireMap(server: string, question: MapQuestion, map: BlockMap): BlockMap {
  const { first, count } = question;
  const { next, end, whole, parts } = map;
  const leadsOn = end > first && end <= first + count && (next === undefined || next >= first);
  const tellsOfWhole = whole.length <= Math.ceil((end - first) / 8);
  let before = first - 1;
  const inOrder = parts.every((part) => {
    const isNext = part.block > before && part.block < end;
    before = part.block;
    return isNext && areRuns(part, question.blockSizeBytes);
  });
  if (leadsOn && tellsOfWhole && inOrder) return map;
  throw nonsense(server, `a map of blocks ${first} to ${first + count} that cannot be true`);
}

function areRuns({ runs }: BlockRuns, blockSizeBytes: number): boolean {
  const borders = runs.every((at, index) => at <= blockSizeBytes && at > (runs[index - 1] ?? -1));
  return borders && runs.length % 2 === 0;
}

/** What was reserved lies in blocks that were asked about. */
export function requireReserved(
  server: string,
  question: { readonly extents: readonly BlockExtent[]; readonly blockSizeBytes: number },
  reserved: Reserved,
): Reserved {
  const asked = new Set(question.extents.map(({ block }) => block));
  const isAsked = ({ block, offset, length }: BlockExtent): boolean =>
    asked.has(block) && offset + length <= question.blockSizeBytes;
  if (reserved.added.every(isAsked)) return reserved;
  throw nonsense(server, 'reservations of what was not asked for');
}
