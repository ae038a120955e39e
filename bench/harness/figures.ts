/** All that a run has found, as `--json` writes it and `--from` reads it again. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  /** As `fio --version` says it, or empty. */
  readonly fio: string;
  /** Of the last minute before the run: what else the machine had to do. */
  readonly loadAverage: number;
}

/** A target's place in the tables. */
export interface Column {
  readonly name: string;
  readonly title: string;
  readonly role?: 'base' | 'reference';
  /** Name of the target that it is compared with instead of base and reference. */
  readonly comparedWith?: string;
}

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly headline: boolean;
  /** By target: the rate of each round, null where there is none. */
  readonly samples: Record<string, (number | null)[]>;
}

export interface Figures {
  readonly format: 1;
  /** Day of the run. */
  readonly date: string;
  readonly version: string;
  readonly machine: Machine;
  readonly settings: {
    readonly quick: boolean;
    readonly rounds: number;
    readonly sizeMib: number;
    readonly files: number;
  };
  readonly targets: readonly Column[];
  /** Targets and workloads that are not here, and why: a sentence each. */
  readonly leftOut: readonly string[];
  /** Workloads that did not run to their end on some target. */
  readonly failures: readonly string[];
  readonly rows: readonly Row[];
}

/** To be asked before the run, which is a load itself. */
export function describeMachine(): Machine {
  const [first] = cpus();
  return {
    cpu: first?.model.trim().replaceAll(/\s+/g, ' ') ?? 'unknown',
    cpus: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: kernelVersion(release()),
    node: process.version,
    fio: fioVersion(),
    loadAverage: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** Without what the builder of a kernel has added: 6.18.44 of `6.18.44-custom`. */
export function kernelVersion(release: string): string {
  return release.replace(/-.*/s, '');
}

function fioVersion(): string {
  try {
    return execFileSync('fio', ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

/** Reads what `--json` wrote. Throws if that is something else. */
export function parseFigures(text: string): Figures {
  const figures = JSON.parse(text) as Partial<Figures> | null;
  if (figures?.format !== 1 || !Array.isArray(figures.rows)) {
    throw new Error('this is not what --json writes');
  }
  return figures as Figures;
}

/**
 * What is missing from figures that should be whole: workloads that failed, and any target that was measured
 * on nothing. Empty if all is well.
 */
export function shortcomings(figures: Figures): string[] {
  const found = [...figures.failures];
  if (figures.rows.length === 0) found.push('no workload was measured');
  if (figures.targets.length === 0) found.push('no target was measured');
  for (const { name } of figures.targets) {
    const some = figures.rows.some((row) =>
      row.samples[name]?.some((figure) => figure !== null && figure > 0),
    );
    if (!some) found.push(`${name} has no figure at all`);
  }
  return found;
}
