/** The command line of the comparison: `npm run bench:compare -- --help`. Pure. */
import { parseArgs } from 'node:util';

export const USAGE = `Compares imssfs with tmpfs and with a C file system over FUSE: npm run bench:compare -- [options]

  --quick           seconds instead of minutes: that it runs, not how fast
  --rounds N        measured rounds, after one that is not (default 5; 1 and none with --quick)
  --size MIB        data of the large-file workloads (default 512; 16 with --quick)
  --files N         files of the small-file workloads (default 3000; 100 with --quick)
  --only REGEX      only the workloads whose name matches
  --targets A,B     only these targets (see docs/performance.md)
  --json FILE       write all samples, and the machine, to FILE
  --markdown        print the tables of README.md and docs/performance.md as they stand there
  --update          write these tables into both files
  --from FILE       measure nothing; take the figures from what --json wrote
  --help            show this`;

/** Wrong usage; its message says what to write instead. */
export class OptionError extends Error {
  override name = 'OptionError';
}

export interface BenchOptions {
  readonly help: boolean;
  readonly quick: boolean;
  /** Rounds that count. */
  readonly rounds: number;
  /** Rounds before, that do not. */
  readonly warmUps: number;
  readonly sizeMib: number;
  readonly files: number;
  readonly only: RegExp | undefined;
  readonly targets: readonly string[] | undefined;
  readonly jsonFile: string | undefined;
  readonly markdown: boolean;
  readonly update: boolean;
  readonly from: string | undefined;
}

const FULL = { rounds: 5, warmUps: 1, sizeMib: 512, files: 3000 } as const;
const QUICK = { rounds: 1, warmUps: 0, sizeMib: 16, files: 100 } as const;
/** The folders of the tree and the jobs of fio divide what they are given. */
const LEAST = { rounds: 1, sizeMib: 4, files: 50 } as const;

/** Parses the arguments; `--targets` takes of these names. Throws {@link OptionError}. */
export function parseOptions(
  args: readonly string[],
  targetNames: readonly string[],
): BenchOptions {
  const values = parse(args);
  const defaults = values.quick ? QUICK : FULL;
  return {
    help: values.help,
    quick: values.quick,
    rounds: whole('rounds', values.rounds, defaults.rounds, LEAST.rounds),
    warmUps: defaults.warmUps,
    sizeMib: whole('size', values.size, defaults.sizeMib, LEAST.sizeMib),
    files: whole('files', values.files, defaults.files, LEAST.files),
    only: values.only === undefined ? undefined : pattern(values.only),
    targets: values.targets === undefined ? undefined : list(values.targets, targetNames),
    jsonFile: values.json,
    markdown: values.markdown,
    update: values.update,
    from: values.from,
  };
}

/** What benchmarks beside the comparison take of the same arguments, which `npm run bench` gives to each. */
export interface SharedOptions {
  readonly quick: boolean;
  /** Undefined where the benchmark's own number holds. */
  readonly rounds: number | undefined;
}

/** Throws {@link OptionError}, also for `--help`: it is the comparison's to help. */
export function parseShared(args: readonly string[]): SharedOptions {
  const { help, quick, rounds } = parse(args);
  if (help) throw new OptionError('npm run bench:compare -- --help tells of all options');
  return {
    quick,
    rounds: rounds === undefined ? undefined : whole('rounds', rounds, 0, LEAST.rounds),
  };
}

interface Values {
  help: boolean;
  quick: boolean;
  markdown: boolean;
  update: boolean;
  rounds?: string;
  size?: string;
  files?: string;
  only?: string;
  targets?: string;
  json?: string;
  from?: string;
}

function parse(args: readonly string[]): Values {
  const flag = { type: 'boolean', default: false } as const;
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        ...{ help: flag, quick: flag, markdown: flag, update: flag },
        ...{ rounds: text, size: text, files: text },
        ...{ only: text, targets: text, json: text, from: text },
      },
    });
    return values;
  } catch (error) {
    throw new OptionError(`${(error as Error).message}; see --help`);
  }
}

function whole(name: string, text: string | undefined, otherwise: number, least: number): number {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least) {
    throw new OptionError(`--${name} ${text}: write a whole number, ${least} at least`);
  }
  return number;
}

function list(text: string, known: readonly string[]): string[] {
  const names = text.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || names.length === 0) {
    throw new OptionError(`--targets ${text}: write some of ${known.join(',')}`);
  }
  return names;
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, 'i');
  } catch (error) {
    throw new OptionError(`--only ${text}: ${(error as Error).message}`);
  }
}
