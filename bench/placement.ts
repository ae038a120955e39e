/**
 * What the CPU on which the daemon wakes makes of small requests, and what looking for the next request before
 * sleeping does about it: `npm run bench:placement -- [--quick] [--rounds N]`. Random reads with O_DIRECT, mostly of 4 KiB, by
 * callers and a daemon that are free or pinned to CPUs, with --busy-poll 0 and 50, attached and on a block server of its own.
 * Read docs/performance.md.
 */
import { openSync, readFileSync, writeSync, closeSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './harness/command.ts';
import { mountDetached } from './harness/detached.ts';
import { mountImssfs, type MountedImssfs } from './harness/imssfs.ts';
import { interruption, runBenchmark } from './harness/interruption.ts';
import { Place } from './harness/place.ts';
import type { CallerJob } from './harness/placement-worker.ts';
import { markdownTable, short } from './harness/report.ts';
import { sharedOptions } from './harness/shared-options.ts';
import { ratioOf, rotated, spreadOf } from './harness/statistics.ts';

const WORKER = fileURLToPath(new URL('harness/placement-worker.js', import.meta.url));

const POLLS_MICROSECONDS = [0, 50] as const;
const MIB = 2 ** 20;
const FILE_BYTES = 16 * MIB;

interface Length {
  readonly rounds: number;
  readonly milliseconds: number;
}

/** Who runs where; a CPU is the index of one that we may use, undefined leaves it to the kernel. */
interface Layout {
  readonly name: string;
  readonly callers: readonly (number | undefined)[];
  readonly daemon?: number;
  /** Programs that only compute: one, or one for each CPU. */
  readonly busy?: 'one' | 'all';
  /** Blocks and metadata are with servers. */
  readonly detached?: true;
  /** Length of a read; 4 KiB if absent. */
  readonly readBytes?: number;
}

// prettier-ignore
const LAYOUTS: readonly Layout[] = [
  { name: '1 caller', callers: [undefined] },
  { name: '1 caller, pinned; daemon pinned to the same CPU', callers: [0], daemon: 0 },
  { name: '1 caller, pinned; daemon pinned to another', callers: [0], daemon: 1 },
  { name: '1 caller, pinned; daemon free', callers: [0] },
  { name: '1 caller; daemon pinned', callers: [undefined], daemon: 0 },
  { name: '2 callers', callers: [undefined, undefined] },
  { name: '2 callers, pinned to two CPUs', callers: [0, 1] },
  { name: '4 callers', callers: [undefined, undefined, undefined, undefined] },
  { name: '1 caller beside a busy program', callers: [undefined], busy: 'one' },
  { name: '1 caller beside busy programs', callers: [undefined], busy: 'all' },
  { name: '1 caller, servers', callers: [undefined], detached: true },
  { name: '4 callers, servers', callers: Array.from({ length: 4 }), detached: true },
  { name: '1 caller, servers, beside a busy program', callers: [undefined], busy: 'one', detached: true },
  { name: '1 caller, servers, beside busy programs', callers: [undefined], busy: 'all', detached: true },
  { name: '1 MiB, 1 caller, servers', callers: [undefined], detached: true, readBytes: MIB },
  { name: '1 MiB, 1 caller, servers, beside a busy program', callers: [undefined], busy: 'one', detached: true, readBytes: MIB },
];

/** The CPUs that this process may use. */
function usableCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return (list ?? '0').split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_unused, index) => first + index);
  });
}

interface Mounts {
  readonly attached: MountedImssfs;
  readonly detached: MountedImssfs;
}

async function mountPolling(place: Place, pollMicroseconds: number): Promise<Mounts> {
  const args = ['--busy-poll', String(pollMicroseconds)];
  const attached = await mountImssfs(place, `poll-${pollMicroseconds}`, [...args, '-S', '256M']);
  const detached = await mountDetached(place, { blockServers: 1, capacityMib: 256, args });
  for (const mount of [attached, detached]) fill(mount);
  return { attached, detached };
}

function fill(mount: MountedImssfs): void {
  for (
    let caller = 0;
    caller < Math.max(...LAYOUTS.map(({ callers }) => callers.length));
    caller++
  ) {
    const fd = openSync(join(mount.path, `file-${caller}`), 'w');
    writeSync(fd, Buffer.alloc(FILE_BYTES, 1));
    closeSync(fd);
  }
}

/** Runs a worker and returns what it counted in a second. */
async function worker(job: CallerJob, cpu: number | undefined): Promise<number> {
  const line = [process.execPath, WORKER, JSON.stringify(job)];
  const output =
    cpu === undefined
      ? await command(process.execPath, line.slice(1), { signal: interruption })
      : await command('taskset', ['-c', String(cpu), ...line], { signal: interruption });
  return Number(output);
}

/** Operations of all callers, and loops of all busy programs, in a second. */
async function runLayout(
  layout: Layout,
  { path, pid }: MountedImssfs,
  { allowed, milliseconds }: { allowed: readonly number[]; milliseconds: number },
): Promise<{ operations: number; loops: number | undefined }> {
  const { readBytes } = layout;
  const pinTo = (list: readonly number[]): Promise<string> =>
    command('taskset', ['-c', '-p', list.join(','), String(pid)]);
  if (layout.daemon !== undefined) await pinTo([allowed[layout.daemon] ?? 0]);
  try {
    const busyCount = layout.busy === undefined ? 0 : layout.busy === 'one' ? 1 : allowed.length;
    const loops = Array.from({ length: busyCount }, () => worker({ milliseconds }, undefined));
    const operations = layout.callers.map((caller, index) =>
      worker(
        { milliseconds, file: join(path, `file-${index}`), fileBytes: FILE_BYTES, readBytes },
        caller === undefined ? undefined : allowed[caller],
      ),
    );
    const [counted, looped] = await Promise.all([Promise.all(operations), Promise.all(loops)]);
    const sum = (figures: readonly number[]): number => figures.reduce((a, b) => a + b, 0);
    return { operations: sum(counted), loops: loops.length > 0 ? sum(looped) : undefined };
  } finally {
    if (layout.daemon !== undefined) await pinTo(allowed);
  }
}

type Samples = Map<string, Map<number, number[]>>;

function note(samples: Samples, row: string, poll: number, figure: number): void {
  const cells = samples.get(row) ?? new Map<number, number[]>();
  samples.set(row, cells);
  cells.set(poll, [...(cells.get(poll) ?? []), figure]);
}

async function measure(place: Place, { rounds, milliseconds }: Length): Promise<Samples> {
  const allowed = usableCpus();
  const layouts = LAYOUTS.filter(({ callers, daemon }) =>
    [...callers, daemon].every((cpu) => cpu === undefined || cpu < allowed.length),
  );
  const mounts = new Map<number, Mounts>();
  for (const poll of POLLS_MICROSECONDS) mounts.set(poll, await mountPolling(place, poll));
  const samples: Samples = new Map();
  for (let round = 1; round <= rounds; round++) {
    for (const layout of layouts) {
      for (const [poll, { attached, detached }] of rotated([...mounts], round)) {
        const mount = layout.detached ? detached : attached;
        if (process.stderr.isTTY) {
          process.stderr.write(`\rround ${round} of ${rounds}: ${layout.name}\u001b[K`);
        }
        const { operations, loops } = await runLayout(layout, mount, { allowed, milliseconds });
        note(samples, layout.name, poll, operations);
        if (loops !== undefined) note(samples, `${layout.name}: what these do, loops`, poll, loops);
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  return samples;
}

function table(samples: Samples): string {
  const rows = [...samples].map(([name, cells]) => {
    const [without = [], withPoll = []] = POLLS_MICROSECONDS.map((poll) => cells.get(poll) ?? []);
    const range = (figures: readonly number[]): string => {
      const spread = spreadOf(figures);
      if (spread === undefined) return '';
      const { median, lowest, highest } = spread;
      return `${short(median)} (${short(lowest)}–${short(highest)})`;
    };
    const ratio = ratioOf(withPoll, without);
    return [name, range(without), range(withPoll), ratio === undefined ? '' : short(ratio.median)];
  });
  const titles = POLLS_MICROSECONDS.map((poll) => `--busy-poll ${poll}, per second`);
  return markdownTable(['Random reads, of 4 KiB where nothing is said', ...titles, 'ratio'], rows);
}

async function main(): Promise<number> {
  const { quick, rounds = quick ? 1 : 9 } = sharedOptions();
  const place = new Place();
  try {
    const samples = await measure(place, { rounds, milliseconds: quick ? 50 : 500 });
    console.log(table(samples));
    console.log(
      `\n${cpus().length} CPUs, Node.js ${process.version.slice(1)}, medians of ${rounds}`,
    );
    const figures = [...samples.values()].flatMap((cells) => [...cells.values()].flat());
    if (figures.length > 0 && figures.every((figure) => figure > 0)) return 0;
    console.error('a figure is missing');
    return 1;
  } finally {
    await place.close();
  }
}

await runBenchmark(main);
