/**
 * Measures: in every round, each workload runs on all targets in turn before the next workload does, and in
 * another order each round, so that what disturbs the machine for a while disturbs all targets alike.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Figures, Row } from './figures.ts';
import { rotated } from './statistics.ts';
import type { Target } from './targets.ts';
import type { Workload } from './workloads.ts';

export interface Plan {
  readonly workloads: readonly Workload[];
  readonly targets: readonly Target[];
  readonly rounds: number;
  readonly warmUps: number;
  /** An empty folder on none of the targets. */
  readonly spare: string;
  readonly signal: AbortSignal;
}

/** Where a run has come to. */
export interface Progress {
  /** 0 while warming up. */
  readonly round: number;
  readonly rounds: number;
  readonly workload: string;
  readonly target: string;
  /** Share of the whole run that is done, 0 to 1. */
  readonly done: number;
}

/**
 * Runs the whole plan. A workload that fails on a target is not tried there again, has no figure, and stands
 * in `failures`; only an abort rejects.
 */
export async function measure(
  plan: Plan,
  onProgress: (progress: Progress) => void,
): Promise<Pick<Figures, 'rows' | 'failures'>> {
  const rows = plan.workloads.map((workload) => emptyRow(workload, plan.targets));
  const failures: string[] = [];
  const broken = new Set<string>();
  const total = (plan.warmUps + plan.rounds) * rows.length * plan.targets.length;
  let count = 0;
  for (let round = 1 - plan.warmUps; round <= plan.rounds; round++) {
    for (const [index, workload] of plan.workloads.entries()) {
      for (const target of rotated(plan.targets, round + plan.warmUps - 1)) {
        const { name } = target.kind;
        onProgress({
          ...{ round, rounds: plan.rounds, workload: workload.name, target: name },
          done: count++ / total,
        });
        const cell = `${workload.name} on ${name}`;
        let figure: number | null = null;
        if (!broken.has(cell) && !(workload.direct && !target.takesDirect)) {
          try {
            figure = await runOn(target, workload, plan);
          } catch (error) {
            plan.signal.throwIfAborted();
            broken.add(cell);
            failures.push(`${cell}: ${(error as Error).message}`);
          }
        }
        if (round > 0) rows[index]?.samples[name]?.push(figure);
      }
    }
    for (const target of plan.targets) {
      try {
        rmSync(work(target), { recursive: true, force: true });
      } catch (error) {
        failures.push(`${target.kind.name}, round ${round}: ${(error as Error).message}`);
      }
    }
  }
  return { rows, failures };
}

const work = (target: Target): string => join(target.folder, 'work');

async function runOn(target: Target, workload: Workload, plan: Plan): Promise<number> {
  plan.signal.throwIfAborted();
  const folder = work(target);
  mkdirSync(folder, { recursive: true });
  const figure = await workload.run({ folder, spare: plan.spare, signal: plan.signal });
  if (!(figure > 0 && Number.isFinite(figure))) throw new Error(`measured ${figure}`);
  return figure;
}

function emptyRow(workload: Workload, targets: readonly Target[]): Row {
  const { name, unit, headline } = workload;
  return {
    ...{ name, unit, headline },
    samples: Object.fromEntries(targets.map(({ kind }) => [kind.name, []])),
  };
}
