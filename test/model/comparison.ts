/**
 * Runs generated scripts on two sides and compares what they tell, operation by operation. A script that differs is
 * made as short as it will be, and reported so that one command runs it again.
 */
import fc from 'fast-check';
import { type Operation, FINAL_CHECK, showOperation } from './operation.ts';
import { isSameOutcome } from './observe.ts';
import { NoAnswerError, type Side } from './side.ts';

/** Where two sides differ first. */
export interface Difference {
  /** Index in the script; its length for the look at the whole tree that follows it. */
  index: number;
  expected: string;
  found: string;
}

export interface Failure {
  seed: number;
  /** Place of the script among those of the seed, in fast-check's words. */
  path: string;
  script: Operation[];
  difference: Difference;
  /** How many operations the script had before it was made shorter. */
  originalLength: number;
}

export interface Sides {
  expected: Side;
  found: Side;
}

/** What a script's run costs is bounded: past so many tries, it is short enough. */
const MAX_SHRINKS = 1_500;

/** A search that found a script which cannot be made shorter: it hangs, or it differed only once. */
export class SearchError extends Error {
  override name = 'SearchError';
  readonly seed: number;
  readonly path: string;
  readonly script: readonly Operation[];

  constructor(found: Pick<Failure, 'seed' | 'path' | 'script'>, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.seed = found.seed;
    this.path = found.path;
    this.script = found.script;
  }
}

/** Undefined if the script goes the same way on both sides. Rejects with NoAnswerError when a side hangs. */
export async function compare(
  sides: Sides,
  script: readonly Operation[],
): Promise<Difference | undefined> {
  const [expected, found] = await Promise.all([
    sides.expected.run(script),
    sides.found.run(script),
  ]).catch((error: unknown) => {
    if (!(error instanceof NoAnswerError)) throw error;
    throw new NoAnswerError([error.message, 'in this script:', ...showSteps(script)].join('\n'));
  });
  const index = expected.findIndex(
    (result, at) => !isSameOutcome((script[at] ?? FINAL_CHECK).op, result, found[at] ?? ''),
  );
  if (index === -1) return undefined;
  return { index, expected: expected[index] ?? '', found: found[index] ?? '' };
}

export interface SearchOptions {
  seed: number;
  /** Run only the script at this place, as a failure has named it. */
  path?: string | undefined;
  /** Number of scripts. */
  scripts: number;
  /** Told the number of operations after each script. */
  onScript?: (operations: number) => void;
}

/** Runs scripts until one differs; undefined if none does. */
export async function search(
  sides: Sides,
  arbitrary: fc.Arbitrary<Operation[]>,
  options: SearchOptions,
): Promise<Failure | undefined> {
  let failures = 0;
  let shrinks = 0;
  let originalLength = 0;
  let hung: { script: Operation[]; error: unknown } | undefined;
  let last: Difference | undefined;
  const property = fc.asyncProperty(arbitrary, async (script) => {
    if (hung !== undefined || (failures > 0 && ++shrinks > MAX_SHRINKS)) return true;
    let difference: Difference | undefined;
    try {
      difference = await compare(sides, script);
    } catch (error) {
      hung = { script, error };
      return false;
    }
    if (failures === 0) options.onScript?.(script.length + 1);
    if (difference === undefined) return true;
    if (failures++ === 0) originalLength = script.length;
    last = difference;
    return false;
  });
  const details = await fc.check(property, {
    seed: options.seed,
    numRuns: options.scripts,
    ...(options.path !== undefined && { path: options.path, numRuns: 1 }),
  });
  const { seed } = details;
  const path = details.counterexamplePath ?? '';
  // No shorter script can be tried on a side that hangs.
  if (hung !== undefined) throw new SearchError({ seed, path, script: hung.script }, hung.error);
  if (!details.failed || details.counterexample === null) return undefined;
  const [found] = details.counterexample;
  try {
    return { seed, path, originalLength, ...(await minimize(sides, found, last)) };
  } catch (error) {
    throw new SearchError({ seed, path, script: found }, error);
  }
}

/**
 * Leaves out what the difference does not need: fast-check tries the beginning of an array first and seldom its middle, and
 * never changes two operations together, as it takes to do without a folder. `first` is what was seen of the script before.
 */
export async function minimize(
  sides: Sides,
  found: readonly Operation[],
  first?: Difference,
): Promise<{ script: Operation[]; difference: Difference }> {
  let script = [...found];
  let difference = await compare(sides, script);
  if (difference === undefined) {
    const seen = first === undefined ? [] : showDifference(first, sides);
    const lines = ['This script differed once, and does not any more:', ...showSteps(found)];
    throw new Error([...lines, ...seen].join('\n'));
  }
  let tries = 0;
  const accept = async (shorter: Operation[]): Promise<boolean> => {
    if (++tries > MAX_SHRINKS) return false;
    const again = await compare(sides, shorter);
    if (again === undefined) return false;
    // The difference may have come earlier, or in the look at the whole tree.
    script = shorter.slice(0, again.index + 1);
    difference = again;
    return true;
  };
  script = script.slice(0, difference.index + 1);
  for (const simplify of SIMPLER) await accept(script.map(simplify));
  for (let at = script.length - 1; at >= 0; at--) {
    if (await accept(script.toSpliced(at, 1))) at = script.length;
  }
  return { script, difference };
}

/** What is tried on all operations of a script at once. */
const SIMPLER: readonly ((operation: Operation) => Operation)[] = [
  (operation) => withoutInPaths(operation, /^d\//),
  (operation) => withoutInPaths(operation, /^e\//),
  (operation) => withoutInPaths(operation, /\/$/),
  (operation) => ({ ...operation, worker: 0 }),
  (operation) => without(operation, 'watched'),
  (operation) => without(operation, 'at'),
];

function without(operation: Operation, field: string): Operation {
  const entries = Object.entries(operation).filter(([key]) => key !== field);
  return Object.fromEntries(entries) as unknown as Operation;
}

function withoutInPaths(operation: Operation, part: RegExp): Operation {
  return {
    ...operation,
    ...('path' in operation && { path: operation.path.replace(part, '') }),
    ...('to' in operation && { to: operation.to.replace(part, '') }),
  };
}

/** The failure for people: the script, the two results, and what of them differs. */
export function showFailure(failure: Failure, sides: Sides): string {
  const { script, difference } = failure;
  const at = script[difference.index] ?? FINAL_CHECK;
  return [
    `After ${script.length} operations (of ${failure.originalLength}), ${sides.found.name} differs from ${sides.expected.name}:`,
    ...showSteps(script),
    `The last of these, ${showOperation(at)}, tells`,
    ...showDifference(difference, sides),
  ].join('\n');
}

function showSteps(script: readonly Operation[]): string[] {
  return script.map((operation, index) => `  ${index + 1}. ${showOperation(operation)}`);
}

/** Only the lines that differ. */
function showDifference({ expected, found }: Difference, sides: Sides): string[] {
  const [left, right] = [expected.split('\n'), found.split('\n')];
  const mark = (lines: string[], other: string[], name: string): string[] =>
    lines.filter((line) => !other.includes(line)).map((line) => `  ${name}: ${escape(line)}`);
  return [...mark(left, right, sides.expected.name), ...mark(right, left, sides.found.name)];
}

function escape(text: string): string {
  return text.replace(/[^ -~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
