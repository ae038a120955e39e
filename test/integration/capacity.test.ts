import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { sh, shFails } from '../support/run.ts';

const MiB = 1024 * 1024;
const CAPACITY_BYTES = 64 * MiB;
/** What a full mount must have taken at least: records and size classes may cost the rest. */
const USABLE_BYTES = 48 * MiB;
const SMALL = { capacity: '64M' };
/** For many small files, each of which takes time. */
const TINY_BYTES = 16 * MiB;

function freeBytes(mount: Mount): number {
  const figures = statfsSync(mount.path);
  return figures.bavail * figures.bsize;
}

async function waitForFree(mount: Mount, bytes: number): Promise<boolean> {
  for (let waits = 0; freeBytes(mount) < bytes && waits < 200; waits++) await sleep(50);
  return freeBytes(mount) >= bytes;
}

/** Appends pieces until the mount is full; returns how many bytes it took. */
function fill(path: string, piece: Buffer): { written: number; code: string | undefined } {
  const fd = openSync(path, 'a');
  let written = 0;
  try {
    while (written <= 2 * CAPACITY_BYTES) written += writeSync(fd, piece);
    return { written, code: undefined };
  } catch (error) {
    return { written, code: (error as NodeJS.ErrnoException).code };
  } finally {
    closeSync(fd);
  }
}

mountTest(
  'a full mount answers ENOSPC, keeps what it took, and works again after a deletion',
  async (t, mount) => {
    const piece = pattern(MiB);
    for (let round = 0; round < 3; round++) {
      const { written, code } = fill(mount.at('big'), piece);
      t.is(code, 'ENOSPC');
      t.true(written >= USABLE_BYTES && written <= CAPACITY_BYTES, `${written} bytes`);
      t.is(statSync(mount.at('big')).size, written);
      t.true(freeBytes(mount) < CAPACITY_BYTES - USABLE_BYTES);
      const data = readFileSync(mount.at('big'));
      for (let at = 0; at + MiB <= data.length; at += MiB) {
        t.true(data.subarray(at, at + MiB).equals(piece), `at ${at} in round ${round}`);
      }
      unlinkSync(mount.at('big'));
      t.true(await waitForFree(mount, USABLE_BYTES), `${freeBytes(mount)} free`);
    }
    writeFileSync(mount.at('after'), pattern(20 * MiB, 5));
    t.true(readFileSync(mount.at('after')).equals(pattern(20 * MiB, 5)));
  },
  SMALL,
);

mountTest(
  'dd and cp say "No space left on device", and df shows a full mount',
  async (t, mount) => {
    const said = await shFails('dd if=/dev/zero of=zeros bs=64k 2>&1', { cwd: mount.path });
    t.regex(said, /No space left on device/);
    const used = await sh('df -P . | tail -1', { cwd: mount.path });
    const percent = Number(/(\d+)%/.exec(used)?.[1]);
    t.true(percent >= 75, used);
    t.regex(await shFails('cp zeros more 2>&1', { cwd: mount.path }), /No space left on device/);
    await sh('rm zeros more; echo works > again; cat again', { cwd: mount.path });
  },
  SMALL,
);

mountTest(
  'a mount full of small files refuses the next one, keeps all others, and empties again',
  async (t, mount) => {
    const before = freeBytes(mount);
    const data = pattern(4096);
    const limit = (2 * TINY_BYTES) / data.length;
    let count = 0;
    t.throws(
      () => {
        for (; count < limit; count++) writeFileSync(mount.at(`file-${count}`), data);
      },
      { code: 'ENOSPC' },
    );
    t.true(count >= TINY_BYTES / 2 / data.length, `${count} files`);
    for (let i = 0; i < count; i += 97) {
      t.true(readFileSync(mount.at(`file-${i}`)).equals(data), `file-${i}`);
    }
    t.is(statSync(mount.path).isDirectory(), true);
    await sh('ls -f | grep file- | xargs rm', { cwd: mount.path, timeoutMs: 100_000 });
    t.deepEqual(readdirSync(mount.path), []);
    t.true(await waitForFree(mount, before - 2 * MiB), `${freeBytes(mount)} free`);
    writeFileSync(mount.at('after'), pattern(TINY_BYTES / 2));
  },
  { capacity: '16M', notByDefaultOn: ['fuse-native'] },
);

mountTest(
  'truncation, O_TRUNC and replacement give room back, time after time',
  async (t, mount) => {
    const path = mount.at('file');
    for (let round = 0; round < 4; round++) {
      writeFileSync(path, pattern(40 * MiB, round));
      truncateSync(path, round * 1000);
      t.true(await waitForFree(mount, USABLE_BYTES), `${freeBytes(mount)} free`);
      writeFileSync(path, pattern(40 * MiB, round + 10));
      t.true(readFileSync(path).equals(pattern(40 * MiB, round + 10)));
      writeFileSync(path, '');
      await waitForFree(mount, USABLE_BYTES);
      await sh('head -c 30M /dev/zero > new; mv new file; : > file', { cwd: mount.path });
      await waitForFree(mount, USABLE_BYTES);
    }
    t.deepEqual(readdirSync(mount.path), ['file']);
  },
  SMALL,
);

mountTest(
  'a file held open after its unlinking keeps its room until it is closed',
  async (t, mount) => {
    const fd = openSync(mount.at('file'), 'w');
    writeSync(fd, pattern(40 * MiB));
    unlinkSync(mount.at('file'));
    t.true(freeBytes(mount) <= CAPACITY_BYTES - 40 * MiB);
    closeSync(fd);
    t.true(await waitForFree(mount, USABLE_BYTES));
  },
  SMALL,
);

mountTest(
  'holes take no room: files larger than the capacity exist until they are filled',
  (t, mount) => {
    truncateSync(createEmpty(mount.at('hole')), 10 * CAPACITY_BYTES);
    const fd = openSync(mount.at('hole'), 'r+');
    for (let i = 0; i < 20; i++) writeSync(fd, Buffer.from('x'), 0, 1, i * 30 * MiB);
    t.is(statSync(mount.at('hole')).size, 10 * CAPACITY_BYTES);
    closeSync(fd);
    unlinkSync(mount.at('hole'));
  },
  SMALL,
);

mountTest(
  'a write that only overwrites succeeds on a full mount',
  (t, mount) => {
    t.is(fill(mount.at('big'), pattern(256 * 1024)).code, 'ENOSPC');
    const fd = openSync(mount.at('big'), 'r+');
    t.is(writeSync(fd, pattern(3 * MiB, 9), 0, 3 * MiB, MiB + 7), 3 * MiB);
    closeSync(fd);
    const back = readFileSync(mount.at('big')).subarray(MiB + 7, 4 * MiB + 7);
    t.true(back.equals(pattern(3 * MiB, 9)));
  },
  SMALL,
);

function createEmpty(path: string): string {
  writeFileSync(path, '');
  return path;
}
