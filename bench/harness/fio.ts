/**
 * The workloads on large files, by fio: 1 MiB sequential with one job and with four, each on a file of its
 * own, and 4 KiB at random offsets of one file by one job and by four. A job has one request in flight.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command } from './command.ts';
import type { Scope, Workload } from './workloads.ts';

interface FioSide {
  readonly bw_bytes: number;
  readonly iops: number;
}

interface FioReport {
  readonly jobs: readonly [{ readonly read: FioSide; readonly write: FioSide }];
}

interface Job {
  readonly name: string;
  readonly args: readonly string[];
  readonly headline?: boolean;
}

// prettier-ignore
const SEQUENTIAL: readonly (Job & { newFile?: boolean; repeats?: boolean })[] = [
  { name: 'write 1 MiB, new file', args: ['--rw=write'], newFile: true, headline: true },
  { name: 'write 1 MiB, again', args: ['--rw=write', '--overwrite=1'], headline: true },
  { name: 'read 1 MiB, cold', args: ['--rw=read'], headline: true },
  { name: 'read 1 MiB, direct', args: ['--rw=read', '--direct=1'], repeats: true, headline: true },
  { name: 'write 1 MiB, direct', args: ['--rw=write', '--overwrite=1', '--direct=1'], repeats: true, headline: true },
];

const RANDOM: readonly Job[] = [
  { name: 'random read 4 KiB, direct', args: ['--rw=randread'] },
  { name: 'random write 4 KiB, direct', args: ['--rw=randwrite', '--overwrite=1'] },
];

const JOB_COUNTS = [1, 4] as const;
const QUICK_RUNTIME_MS = 100;
const RUNTIME_MS = 1000;

export function fioWorkloads(options: { sizeMib: number; quick: boolean }): Workload[] {
  const runtimeMs = options.quick ? QUICK_RUNTIME_MS : RUNTIME_MS;
  const time = ['--time_based', `--runtime=${runtimeMs}ms`];
  const isMeasured = (job: { newFile?: boolean }, count: number): boolean =>
    // That several jobs run is seen of one row; a start of fio is most of a quick row.
    !options.quick || count === 1 || job.newFile === true;
  const sequential = JOB_COUNTS.flatMap((count) =>
    SEQUENTIAL.filter((job) => isMeasured(job, count)).map((job): Workload => {
      const files = `sequential-${count}`;
      const size = `--size=${Math.floor(options.sizeMib / count)}M`;
      // One pass takes a fraction of a second, of which the start of fio's jobs is too much.
      const length = job.repeats === true ? [...time, size] : [size];
      const args = [...job.args, '--bs=1M', ...length, `--filename_format=${files}.$jobnum`];
      return workload(job, count, 'MiB/s', async (scope) => {
        if (job.newFile === true) removeFiles(scope.folder, files);
        return runFio(scope, [...args, `--numjobs=${count}`]);
      });
    }),
  );
  const random = JOB_COUNTS.flatMap((count) =>
    RANDOM.map((job): Workload => {
      const file = ['--filename=sequential-1.0', `--size=${options.sizeMib}M`];
      const args = [...job.args, '--direct=1', '--bs=4k', ...file, ...time, `--numjobs=${count}`];
      return workload({ ...job, headline: true }, count, 'ops/s', (scope) => runFio(scope, args));
    }),
  );
  return [...sequential, ...random];
}

function workload(
  job: Job,
  jobCount: number,
  unit: Workload['unit'],
  run: Workload['run'],
): Workload {
  const isSequential = unit === 'MiB/s';
  return {
    name: `${job.name}, ${jobCount === 1 ? '1 job' : `${jobCount} jobs`}`,
    unit,
    direct: job.args.includes('--direct=1') || !isSequential,
    dropsCaches: false,
    headline: job.headline === true && (jobCount === 1 || !isSequential),
    run,
  };
}

function removeFiles(folder: string, prefix: string): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`${prefix}.`)) rmSync(join(folder, name));
  }
}

/** fio lays out files that are missing before it begins to measure; it drops their cached pages too. */
async function runFio(scope: Scope, args: readonly string[]): Promise<number> {
  const output = await command(
    'fio',
    [
      '--name=bench',
      `--directory=${scope.folder}`,
      ...['--ioengine=psync', '--invalidate=1', '--fallocate=none', '--randrepeat=1'],
      ...['--group_reporting', '--output-format=json'],
      ...args,
    ],
    { signal: scope.signal },
  );
  return rateOf(output, args.includes('--bs=1M') ? 'bandwidth' : 'operations');
}

/** The figure in fio's report, which warnings may precede: MiB/s, or operations a second. */
export function rateOf(output: string, what: 'bandwidth' | 'operations'): number {
  const report = JSON.parse(output.slice(output.indexOf('{'))) as FioReport;
  const { read, write } = report.jobs[0];
  return what === 'bandwidth' ? (read.bw_bytes + write.bw_bytes) / 2 ** 20 : read.iops + write.iops;
}

/** Why there are no figures from fio here, if so. */
export async function whyNoFio(): Promise<string | undefined> {
  try {
    await command('fio', ['--version']);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
