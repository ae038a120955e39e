/**
 * fio on a mount beside tmpfs, interleaved, medians: `npm run bench:fio -- [--quick] [--rounds N] [--size MIB] [--json]`.
 * Needs root (it mounts a tmpfs) and fio. Both mounts are gone afterwards.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    size: { type: 'string' },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
const sizeMib = Number(values.size ?? (values.quick ? 16 : 1024));
const runtimeMs = values.quick ? 200 : 3000;

/** One row of the table; all jobs of a round work on the same file, in this order. */
interface Job {
  readonly name: string;
  readonly unit: 'MiB/s' | 'ops/s';
  readonly args: readonly string[];
}

const sequential = ['--bs=1M', `--size=${sizeMib}M`];
const random = ['--bs=4k', `--size=${sizeMib}M`, '--time_based', `--runtime=${runtimeMs}ms`];
const JOBS: readonly Job[] = [
  { name: 'write 1 MiB, new file', unit: 'MiB/s', args: ['--rw=write', ...sequential] },
  {
    name: 'write 1 MiB, again',
    unit: 'MiB/s',
    args: ['--rw=write', '--overwrite=1', ...sequential],
  },
  { name: 'read 1 MiB, cold', unit: 'MiB/s', args: ['--rw=read', ...sequential] },
  { name: 'read 1 MiB, O_DIRECT', unit: 'MiB/s', args: ['--rw=read', '--direct=1', ...sequential] },
  {
    name: 'write 1 MiB, O_DIRECT',
    unit: 'MiB/s',
    args: ['--rw=write', '--direct=1', '--overwrite=1', ...sequential],
  },
  {
    name: 'random read 4 KiB, O_DIRECT, 1 job',
    unit: 'ops/s',
    args: ['--rw=randread', '--direct=1', ...random],
  },
  {
    name: 'random read 4 KiB, O_DIRECT, 4 jobs',
    unit: 'ops/s',
    args: ['--rw=randread', '--direct=1', '--numjobs=4', ...random],
  },
  {
    name: 'random write 4 KiB, O_DIRECT, 1 job',
    unit: 'ops/s',
    args: ['--rw=randwrite', '--direct=1', ...random],
  },
  {
    name: 'random write 4 KiB, O_DIRECT, 4 jobs',
    unit: 'ops/s',
    args: ['--rw=randwrite', '--direct=1', '--numjobs=4', ...random],
  },
  {
    name: 'random read 4 KiB, page cache',
    unit: 'ops/s',
    args: ['--rw=randread', '--invalidate=0', ...random],
  },
  { name: 'random write 4 KiB, page cache', unit: 'ops/s', args: ['--rw=randwrite', ...random] },
];

interface FioSide {
  readonly bw_bytes: number;
  readonly iops: number;
}

/** Runs one job on `folder` and returns its figure in the job's unit. */
function runJob(job: Job, folder: string): number {
  const output = execFileSync(
    'fio',
    [
      '--name=bench',
      `--filename=${join(folder, 'file')}`,
      '--ioengine=psync',
      '--group_reporting',
      '--output-format=json',
      '--fallocate=none',
      '--randrepeat=1',
      ...job.args,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const report = JSON.parse(output.slice(output.indexOf('{'))) as {
    jobs: [{ read: FioSide; write: FioSide }];
  };
  const { read, write } = report.jobs[0];
  return job.unit === 'MiB/s' ? (read.bw_bytes + write.bw_bytes) / 2 ** 20 : read.iops + write.iops;
}

/** One line that overwrites itself, where somebody watches. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`);
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

const folder = mkdtempSync(join(tmpdir(), 'imssfs-bench-'));
const TARGETS = ['tmpfs', 'imssfs'] as const;
type Target = (typeof TARGETS)[number];
const figures = new Map<string, Record<Target, number[]>>(
  JOBS.map(({ name }) => [name, { tmpfs: [], imssfs: [] }]),
);

try {
  for (const target of TARGETS) mkdirSync(join(folder, target));
  const capacity = `${sizeMib * 2 + 64}M`;
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${capacity}`, 'tmpfs', join(folder, 'tmpfs')]);
  execFileSync(bin('imssfs'), ['-S', capacity, join(folder, 'imssfs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (let round = 1; round <= rounds; round++) {
    for (const job of JOBS) {
      for (const target of TARGETS) {
        showProgress(`round ${round} of ${rounds}: ${job.name} on ${target}`);
        figures.get(job.name)?.[target].push(runJob(job, join(folder, target)));
      }
    }
    for (const target of TARGETS) rmSync(join(folder, target, 'file'));
  }
} finally {
  showProgress('');
  for (const [command, args] of [
    ['umount', [join(folder, 'tmpfs')]],
    [bin('umount-imss'), [join(folder, 'imssfs')]],
  ] as const) {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
    } catch {
      // It was not mounted: the error that brought us here says why.
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

const rows = JOBS.map(({ name, unit }) => {
  const found = figures.get(name) ?? { tmpfs: [], imssfs: [] };
  const [tmpfs, imssfs] = [median(found.tmpfs), median(found.imssfs)];
  return { name, unit, tmpfs, imssfs, ratio: imssfs / tmpfs };
});
if (values.json) console.log(JSON.stringify({ rounds, sizeMib, rows }));
else {
  console.log(`| ${rounds} rounds, ${sizeMib} MiB | tmpfs | imssfs | imssfs / tmpfs |`);
  console.log('| --- | ---: | ---: | ---: |');
  for (const { name, unit, tmpfs, imssfs, ratio } of rows) {
    console.log(
      `| ${name} | ${tmpfs.toFixed(0)} ${unit} | ${imssfs.toFixed(0)} ${unit} | ${ratio.toFixed(2)} |`,
    );
  }
}
