/**
 * The same workloads on tmpfs, on imssfs by each engine and on a C file system over FUSE, interleaved:
 * `npm run bench:compare -- --help`. What the rows mean stands in docs/performance.md.
 */
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { packageVersion } from '../src/cli/version.ts';
import { describeMachine, type Figures, parseFigures, shortcomings } from './harness/figures.ts';
import { fioWorkloads, whyNoFio } from './harness/fio.ts';
import { interruption, runBenchmark } from './harness/interruption.ts';
import { type BenchOptions, OptionError, parseOptions, USAGE } from './harness/options.ts';
import { Place } from './harness/place.ts';
import { fullTable, marked, shortTable, withBlock } from './harness/report.ts';
import { measure, type Progress } from './harness/rounds.ts';
import { smallFileWorkloads } from './harness/small-files.ts';
import { mountTargets, TARGET_NAMES } from './harness/targets.ts';
import type { Workload } from './harness/workloads.ts';

const SHORT_TABLE_FILE = 'README.md';
const FULL_TABLE_FILE = 'docs/performance.md';
/** Beside the data of one job and of four: the small files, and what imssfs rounds up. */
const SPARE_MIB = 128;

const documentPath = (name: string): string =>
  fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** Workloads that can run here; `onLeftOut` gets a line for each kind that cannot. */
async function possibleWorkloads(
  options: BenchOptions,
  onLeftOut: (line: string) => void,
): Promise<Workload[]> {
  const { only, sizeMib, quick, files } = options;
  const matches = ({ name }: Workload): boolean => only?.test(name) ?? true;
  const large = fioWorkloads({ sizeMib, quick }).filter(matches);
  const small = smallFileWorkloads({ files, quick }).filter(matches);
  if (only !== undefined && large.length + small.length === 0) {
    throw new OptionError(`--only ${only.source}: no workload has such a name`);
  }
  const noFio = large.length === 0 ? undefined : await whyNoFio();
  if (noFio !== undefined) onLeftOut(`the workloads on large files are left out: ${noFio}`);
  const noDropping = whyCachesStay();
  const warm = small.filter(({ dropsCaches }) => noDropping === undefined || !dropsCaches);
  if (warm.length < small.length) {
    onLeftOut(`the cold workloads on small files are left out: ${noDropping ?? ''}`);
  }
  return [...(noFio === undefined ? large : []), ...warm];
}

function whyCachesStay(): string | undefined {
  try {
    accessSync('/proc/sys/vm/drop_caches', constants.W_OK);
    return undefined;
  } catch {
    return 'caches can be dropped by root alone, through /proc/sys/vm/drop_caches';
  }
}

function showProgress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${line}\u001b[K`);
}

/** A line that overwrites itself where somebody watches; elsewhere, a line for each round. */
function progressShower(): (progress: Progress) => void {
  let shown: number | undefined;
  return ({ round, rounds, workload, target, done }) => {
    const where = round > 0 ? `round ${round} of ${rounds}` : 'warming up';
    const percent = `${Math.floor(done * 100)} %`;
    showProgress(`${percent}, ${where}: ${workload} on ${target}`);
    if (!process.stderr.isTTY && shown !== round) console.error(`${percent}, ${where}`);
    shown = round;
  };
}

async function run(options: BenchOptions): Promise<Figures> {
  const machine = describeMachine();
  const leftOut: string[] = [];
  const leaveOut = (line: string): void => {
    leftOut.push(line);
    console.error(line);
  };
  const workloads = await possibleWorkloads(options, leaveOut);
  const signal = interruption;
  const place = new Place();
  try {
    const capacityMib = options.sizeMib * 2 + SPARE_MIB;
    const { targets: names, quick } = options;
    const request = { names, quick, capacityMib, signal };
    const targets = await mountTargets(place, request, leaveOut);
    const neededMib = targets.length * options.sizeMib * 2;
    if (neededMib > freemem() / 2 ** 20) {
      throw new Error(`this takes ${neededMib} MiB of memory, more than is free; lower --size`);
    }
    const { rounds, warmUps } = options;
    const plan = { workloads, targets, rounds, warmUps, signal, spare: place.folderFor('spare') };
    const found = await measure(plan, progressShower());
    return {
      format: 1,
      date: new Date().toISOString().slice(0, 10),
      version: packageVersion(),
      machine,
      settings: { quick: options.quick, rounds, sizeMib: options.sizeMib, files: options.files },
      targets: targets.map(({ kind: { name, title, role, comparedWith } }) => ({
        ...{ name, title },
        ...(role !== undefined && { role }),
        ...(comparedWith !== undefined && { comparedWith }),
      })),
      leftOut,
      ...found,
    };
  } finally {
    showProgress('');
    await place.close();
  }
}

function publish(figures: Figures, options: BenchOptions): void {
  if (options.jsonFile !== undefined) {
    writeFileSync(options.jsonFile, `${JSON.stringify(figures, undefined, 1)}\n`);
  }
  const blocks = [
    [SHORT_TABLE_FILE, shortTable(figures)],
    [FULL_TABLE_FILE, fullTable(figures)],
  ] as const;
  if (options.update) {
    for (const [name, block] of blocks) {
      const path = documentPath(name);
      writeFileSync(path, withBlock(readFileSync(path, 'utf8'), block));
    }
  }
  if (options.markdown) for (const [, block] of blocks) console.log(marked(block));
  else console.log(fullTable(figures));
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), TARGET_NAMES);
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  const { from } = options;
  const figures =
    from === undefined ? await run(options) : parseFigures(readFileSync(from, 'utf8'));
  publish(figures, options);
  const problems = shortcomings(figures);
  if (options.targets === undefined && !figures.targets.some(({ name }) => name === 'kernel')) {
    problems.push('imssfs itself was not measured');
  }
  for (const problem of problems) console.error(problem);
  return problems.length === 0 ? 0 : 1;
}

await runBenchmark(main);
