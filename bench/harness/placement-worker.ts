/**
 * One caller of the placement benchmark: reads at random places of a file, one after the other, or, without a file, only
 * computes. Prints how many reads or loops it made in a second.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';

export interface CallerJob {
  readonly milliseconds: number;
  /** A file on the mount, and its size. */
  readonly file?: string;
  readonly fileBytes?: number;
  readonly readBytes?: number | undefined;
}

/** So often between two looks at the clock. */
const BATCH = 16;

function countPerSecond(milliseconds: number, once: () => void): number {
  const start = performance.now();
  let count = 0;
  for (;;) {
    for (let i = 0; i < BATCH; i++) once();
    count += BATCH;
    const elapsed = performance.now() - start;
    if (elapsed >= milliseconds) return (count * 1000) / elapsed;
  }
}

function read({ milliseconds, file, fileBytes = 4096, readBytes = 4096 }: CallerJob): number {
  const fd = openSync(file ?? '', constants.O_RDONLY | constants.O_DIRECT);
  const buffer = Buffer.alloc(readBytes);
  const places = Math.floor(fileBytes / readBytes);
  let place = 1;
  try {
    return countPerSecond(milliseconds, () => {
      // A walk over all places in no order that read-ahead could follow.
      place = (place * 5 + 3) % places;
      if (readSync(fd, buffer, 0, readBytes, place * readBytes) !== readBytes) {
        throw new Error('a short read');
      }
    });
  } finally {
    closeSync(fd);
  }
}

function compute({ milliseconds }: CallerJob): number {
  let sum = 0;
  const loops = countPerSecond(milliseconds, () => {
    for (let i = 0; i < 1000; i++) sum = (sum * 31 + i) % 1_000_003;
  });
  if (sum < 0) throw new Error('unreachable; keeps the loop from being left out');
  return loops;
}

const job = JSON.parse(process.argv[2] ?? '{}') as CallerJob;
console.log(job.file === undefined ? compute(job) : read(job));
