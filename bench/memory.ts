/**
 * What files cost in the daemon's memory, and whether memory stays flat under churn:
 * `npm run bench:memory -- [--quick]`. A full run fails when a figure exceeds what the project promises.
 *
 * Counted is the larger of two sums: the daemon's RSS (private memory, and those pages of the metadata file that it
 * has mapped), and its private memory plus the whole metadata file, which may lie on a tmpfs.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { countsOf, countsWhen } from '../test/support/counts.ts';
import type { Daemon, DaemonCounts } from '../test/support/counts.ts';
import { nodeProcessesOf } from '../test/support/processes.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

// Other benchmarks take arguments of their own, and `npm run bench` gives all of them to each.
const { values } = parseArgs({ options: { quick: { type: 'boolean' } }, strict: false });
const quick = values['quick'] === true;

const SMALL_FILES = quick ? 2_000 : 100_000;
const SMALL_FILE_BYTES = 4 * KiB;
const MOST_PER_SMALL_FILE = KiB;
const EMPTY_FILES = quick ? 5_000 : 1_000_000;
const MOST_FOR_EMPTY_FILES = GiB;
const FILES_PER_FOLDER = 1_000;
const LARGE_BYTES = quick ? 64 * MiB : 4 * GiB;
const LARGE_CYCLES = quick ? 3 : 5;
const CHURN_FILES = quick ? 500 : 20_000;
const CHURN_CYCLES = 4;
/** Growth from the second cycle to the last one that counts as flat: the heap breathes by some of it. */
const FLAT_BYTES = 64 * MiB;

interface Bench extends Daemon {
  path: string;
}

const failures: string[] = [];

/** Noticed between files, so that the mount goes before the process does. */
let stoppedBy: string | undefined;
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (stoppedBy = signal));

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));

function command(file: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr}`);
}

/** Gives `body` a mount of its own, which is gone afterwards. */
async function withMount(body: (mount: Bench) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-bench-'));
  const path = join(folder, 'mnt');
  const logFile = join(folder, 'log');
  mkdirSync(path);
  try {
    command(bin('imssfs'), ['--log-file', logFile, path]);
    try {
      const [pid] = nodeProcessesOf(path);
      if (pid === undefined) throw new Error(`no daemon serves ${path}`);
      await body({ path, pid, logFile });
    } finally {
      command(bin('umount-imss'), [path]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Lets a signal be noticed, and ends the run if one has come. */
async function breathe(): Promise<void> {
  await turn();
  if (stoppedBy !== undefined) throw new Error(`ended by ${stoppedBy}`);
}

const pathOf = (mount: Bench, index: number): string =>
  join(mount.path, String(Math.floor(index / FILES_PER_FOLDER)), `file-${index}`);

/** Calls `make` for `count` files, a thousand in each folder. */
async function forFiles(
  mount: Bench,
  count: number,
  make: (path: string, index: number) => void,
): Promise<void> {
  for (let index = 0; index < count; index++) {
    const path = pathOf(mount, index);
    if (index % FILES_PER_FOLDER === 0) {
      mkdirSync(dirname(path), { recursive: true });
      progress(`${index} of ${count} files`);
      await breathe();
    }
    make(path, index);
  }
  progress('');
}

const megabytes = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

/** See the file's header. */
function memoryOf({ counts, process: use }: DaemonCounts): number {
  return Math.max(use.rssBytes, use.rssAnonBytes + counts.metadataFileBytes);
}

function describe(name: string, answer: DaemonCounts): void {
  const { counts, process: use } = answer;
  console.log(
    [
      `  ${name}: counted ${megabytes(memoryOf(answer))}`,
      `RSS ${megabytes(use.rssBytes)} (private ${megabytes(use.rssAnonBytes)}, files ${megabytes(use.rssFileBytes)})`,
      `heap ${megabytes(use.heapUsedBytes)} of ${megabytes(use.heapTotalBytes)}`,
      `blocks ${megabytes(counts.touchedBytes)} touched, ${megabytes(counts.usedBytes)} used`,
      `metadata ${megabytes(counts.metadataBytes)} in ${megabytes(counts.metadataFileBytes)}`,
    ].join('; '),
  );
}

/** Small runs are too noisy for a verdict: they show that the benchmark works. */
function verdict(what: string, bytes: number, mostBytes: number): void {
  const holds = bytes <= mostBytes;
  console.log(`  ${what}: ${bytes}, ${holds ? 'at most' : 'MORE THAN'} ${mostBytes}`);
  if (!holds && !quick) failures.push(what);
}

async function smallFiles(mount: Bench): Promise<void> {
  console.log(`${SMALL_FILES} files of ${SMALL_FILE_BYTES} bytes`);
  const data = Buffer.alloc(SMALL_FILE_BYTES, 1);
  const idle = await countsOf(mount);
  describe('idle', idle);
  await forFiles(mount, SMALL_FILES, (path) => {
    writeFileSync(path, data);
  });
  const full = await countsOf(mount);
  describe('full', full);
  const parts = (part: (answer: DaemonCounts) => number): number =>
    Math.round((part(full) - part(idle)) / SMALL_FILES);
  const each = parts(memoryOf) - SMALL_FILE_BYTES;
  console.log(
    `  each file beyond its data: ${each} bytes` +
      ` (blocks ${parts(({ counts }) => counts.touchedBytes) - SMALL_FILE_BYTES},` +
      ` heap in use ${parts(({ process: use }) => use.heapUsedBytes)},` +
      ` metadata file ${parts(({ counts }) => counts.metadataFileBytes)})`,
  );
  verdict('bytes per file beyond its data', each, MOST_PER_SMALL_FILE);
}

async function emptyFiles(mount: Bench): Promise<void> {
  console.log(`${EMPTY_FILES} empty files`);
  await forFiles(mount, EMPTY_FILES, (path) => {
    closeSync(openSync(path, 'wx'));
  });
  const full = await countsOf(mount);
  describe('full', full);
  verdict('bytes in all', memoryOf(full), MOST_FOR_EMPTY_FILES);
}

/** Writes and deletes one large file again and again. */
async function largeCycles(mount: Bench): Promise<void> {
  const { bavail, bsize } = statfsSync(mount.path);
  const sizeBytes = Math.min(LARGE_BYTES, Math.floor((bavail * bsize * 0.75) / MiB) * MiB);
  console.log(`${megabytes(sizeBytes)} written and deleted ${LARGE_CYCLES} times`);
  const piece = Buffer.alloc(MiB, 1);
  await cycles(mount, LARGE_CYCLES, async () => {
    const path = join(mount.path, 'large');
    const fd = openSync(path, 'w');
    for (let written = 0; written < sizeBytes; written += piece.length) {
      if (written % (64 * MiB) === 0) await breathe();
      writeSync(fd, piece);
    }
    closeSync(fd);
    unlinkSync(path);
  });
}

/** Sizes that meet many size classes; every second file gives way to one of another size, so that gaps come up. */
async function smallCycles(mount: Bench): Promise<void> {
  console.log(
    `${CHURN_FILES} files of 0 to 64 KiB written, replaced and deleted ${CHURN_CYCLES} times`,
  );
  const data = Buffer.alloc(64 * KiB, 1);
  await cycles(mount, CHURN_CYCLES, async (cycle) => {
    const write = (path: string, index: number): void => {
      writeFileSync(path, data.subarray(0, (index * 7919 + cycle * 104_729) % data.length));
    };
    await forFiles(mount, CHURN_FILES, write);
    await forFiles(mount, CHURN_FILES, (path, index) => {
      if (index % 2 === 0) unlinkSync(path);
    });
    await forFiles(mount, CHURN_FILES, (path, index) => {
      if (index % 2 === 0) write(path, index + 5);
    });
    await forFiles(mount, CHURN_FILES, (path) => {
      unlinkSync(path);
    });
  });
}

async function cycles(
  mount: Bench,
  count: number,
  body: (cycle: number) => Promise<void>,
): Promise<void> {
  const held: number[] = [];
  for (let cycle = 1; cycle <= count; cycle++) {
    progress(`cycle ${cycle} of ${count}`);
    await body(cycle);
    const answer = await countsWhen(mount, ({ counts }) => counts.usedBytes === 0);
    if (answer.counts.usedBytes !== 0) throw new Error('what was deleted still takes memory');
    describe(`after cycle ${cycle}`, answer);
    held.push(memoryOf(answer));
  }
  const growth = Math.max(...held.slice(2)) - (held[1] ?? 0);
  verdict('bytes of growth after the second cycle', growth, FLAT_BYTES);
}

for (const scenario of [smallFiles, emptyFiles, largeCycles, smallCycles]) {
  await withMount(scenario);
}
if (failures.length > 0) console.error(`too much memory: ${failures.join(', ')}`);
process.exitCode = failures.length === 0 ? 0 : 1;
