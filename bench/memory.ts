/**
 * What files cost in the daemon's memory, and whether memory stays flat under churn:
 * `npm run bench:memory -- [--quick]`. A full run fails when a figure exceeds what the project promises.
 *
 * Counted is the larger of two sums: the daemon's RSS (private memory, and those pages of the metadata file that it
 * has mapped), and its private memory plus the whole metadata file, which may lie on a tmpfs.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { freemem } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { countsOf, countsWhen } from '../test/support/counts.ts';
import type { DaemonCounts } from '../test/support/counts.ts';
import { mountImssfs, type MountedImssfs } from './harness/imssfs.ts';
import { interruption, runBenchmark } from './harness/interruption.ts';
import { Place } from './harness/place.ts';
import { sharedOptions } from './harness/shared-options.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const { quick } = sharedOptions();

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

const failures: string[] = [];

/** Gives `body` a mount of its own, which is gone afterwards. */
async function withMount(body: (mount: MountedImssfs) => Promise<void>): Promise<void> {
  const place = new Place();
  try {
    await body(await mountImssfs(place, 'mnt', []));
  } finally {
    await place.close();
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Lets a signal be noticed, and ends the run if one has come. */
async function breathe(): Promise<void> {
  await turn();
  interruption.throwIfAborted();
}

const pathOf = (mount: MountedImssfs, index: number): string =>
  join(mount.path, String(Math.floor(index / FILES_PER_FOLDER)), `file-${index}`);

/** Calls `make` for `count` files, a thousand in each folder. */
async function forFiles(
  mount: MountedImssfs,
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

async function smallFiles(mount: MountedImssfs): Promise<void> {
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

async function emptyFiles(mount: MountedImssfs): Promise<void> {
  console.log(`${EMPTY_FILES} empty files`);
  await forFiles(mount, EMPTY_FILES, (path) => {
    closeSync(openSync(path, 'wx'));
  });
  const full = await countsOf(mount);
  describe('full', full);
  verdict('bytes in all', memoryOf(full), MOST_FOR_EMPTY_FILES);
}

/** Writes and deletes one large file again and again. */
async function largeCycles(mount: MountedImssfs): Promise<void> {
  const { bavail, bsize } = statfsSync(mount.path);
  const roomBytes = Math.min(bavail * bsize, freemem());
  const sizeBytes = Math.min(LARGE_BYTES, Math.floor((roomBytes * 0.75) / MiB) * MiB);
  console.log(`${megabytes(sizeBytes)} written and deleted ${LARGE_CYCLES} times`);
  const piece = Buffer.alloc(MiB, 1);
  const isShort = sizeBytes < LARGE_BYTES;
  await cycles(mount, { count: LARGE_CYCLES, isShort }, async () => {
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
async function smallCycles(mount: MountedImssfs): Promise<void> {
  console.log(
    `${CHURN_FILES} files of 0 to 64 KiB written, replaced and deleted ${CHURN_CYCLES} times`,
  );
  const data = Buffer.alloc(64 * KiB, 1);
  await cycles(mount, { count: CHURN_CYCLES, isShort: false }, async (cycle) => {
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
  mount: MountedImssfs,
  { count, isShort }: { count: number; isShort: boolean },
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
  if (isShort) {
    console.log(
      `  bytes of growth after the second cycle: ${growth}; not judged: ${megabytes(LARGE_BYTES)} do not fit`,
    );
    return;
  }
  verdict('bytes of growth after the second cycle', growth, FLAT_BYTES);
}

async function main(): Promise<number> {
  for (const scenario of [smallFiles, emptyFiles, largeCycles, smallCycles]) {
    await withMount(scenario);
  }
  if (failures.length > 0) console.error(`too much memory: ${failures.join(', ')}`);
  return failures.length === 0 ? 0 : 1;
}

await runBenchmark(main);
