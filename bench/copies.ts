/**
 * What the place of memory within a page makes of copies: `npm run bench:copies -- [--quick] [--rounds N]`. Reads a file of
 * a tmpfs, whose bytes begin with a page, into memory that begins some bytes behind the beginning of one, and writes it
 * from there, 1 MiB at a time. Where slabs of blocks begin (src/blocks/slab.ts) follows from this.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { allocatePlaced } from '../src/pipes/placed-memory.ts';
import { interruption, runBenchmark } from './harness/interruption.ts';
import { markdownTable, short } from './harness/report.ts';
import { sharedOptions } from './harness/shared-options.ts';
import { spreadOf } from './harness/statistics.ts';

/** Every Linux has one there (glibc's shm_open(3) needs it). */
const TMPFS = '/dev/shm';
const MIB = 2 ** 20;
const OFFSETS_BYTES = [0, 16, 64, 128, 256, 512, 2048];
const KINDS = ['read', 'write'] as const;

type Kind = (typeof KINDS)[number];

/** MiB/s of copying all of `memory` from or to the file. */
async function copyAll(kind: Kind, fd: number, memory: Buffer): Promise<number> {
  // A signal is heard between two passes.
  await turn();
  interruption.throwIfAborted();
  const start = performance.now();
  for (let at = 0; at < memory.length; at += MIB) {
    if (kind === 'read') readSync(fd, memory, at, MIB, at);
    else writeSync(fd, memory, at, MIB, at);
  }
  return (memory.length / MIB / (performance.now() - start)) * 1000;
}

interface Length {
  readonly rounds: number;
  readonly sizeMib: number;
}

/** A row for each offset: of the same memory, so that where its pages lie makes no difference. */
async function measure(fd: number, { rounds, sizeMib }: Length): Promise<string[][]> {
  const memory = allocatePlaced((sizeMib + 1) * MIB, 0).fill(1);
  const from = (offset: number): Buffer => memory.subarray(offset, offset + sizeMib * MIB);
  await copyAll('write', fd, from(0));
  const rates = OFFSETS_BYTES.map((): Record<Kind, number[]> => ({ read: [], write: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      for (const [index, offset] of OFFSETS_BYTES.entries()) {
        rates[index]?.[kind].push(await copyAll(kind, fd, from(offset)));
      }
    }
  }
  return OFFSETS_BYTES.map((offset, index) => [
    `${offset} bytes`,
    ...KINDS.map((kind) => {
      const spread = spreadOf(rates[index]?.[kind] ?? []);
      if (spread === undefined) throw new Error('a figure is missing');
      return `${short(spread.median)} (${short(spread.lowest)}–${short(spread.highest)})`;
    }),
  ]);
}

async function main(): Promise<number> {
  const { quick, rounds = quick ? 1 : 9 } = sharedOptions();
  const folder = mkdtempSync(join(TMPFS, 'imssfs-bench-'));
  try {
    const fd = openSync(join(folder, 'file'), 'w+');
    const rows = await measure(fd, { rounds, sizeMib: quick ? 4 : 128 });
    closeSync(fd);
    console.log(
      markdownTable(['Behind the beginning of a page', 'read, MiB/s', 'write, MiB/s'], rows),
    );
    return 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await runBenchmark(main);
