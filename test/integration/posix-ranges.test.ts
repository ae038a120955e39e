/** fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range: what they do to a file's bytes, and what of it is stored. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sameBytes, withFile } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { chance, pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';
import { ALICE } from '../support/users.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
/** The largest file: sizes are exact numbers up to here. */
const MOST = Number.MAX_SAFE_INTEGER;

const ALLOCATE = 0;
const { FALLOC_FL_KEEP_SIZE: KEEP_SIZE, FALLOC_FL_PUNCH_HOLE_KEEP_SIZE: PUNCH_HOLE } = libc;
const ZERO_RANGE = libc.FALLOC_FL_ZERO_RANGE;

function storedBytes(path: string): number {
  return statSync(path).blocks * 512;
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** Runs of data as SEEK_DATA and SEEK_HOLE tell them: `[start, end]`. */
function dataOf(fd: number): [number, number][] {
  const runs: [number, number][] = [];
  const { size } = fstatSync(fd);
  for (let at = 0; at < size;) {
    let start: number;
    try {
      start = libc.lseek(fd, at, libc.SEEK_DATA);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENXIO') break;
      throw error;
    }
    const end = libc.lseek(fd, start, libc.SEEK_HOLE);
    runs.push([start, end]);
    at = end;
  }
  return runs;
}

/** Writes until nothing more fits. */
function fillUp(path: string): void {
  withFile(path, 'w', (fd) => {
    for (const length of [MiB, 64 * KiB, 4 * KiB]) {
      const bytes = pattern(length);
      let code: string | undefined;
      while (code === undefined) code = codeOf(() => writeSync(fd, bytes));
      if (code !== 'ENOSPC') throw new Error(code);
    }
  });
}

mountTest(
  'fallocate makes room that reads as zeros, and grows the file unless it is to keep its size',
  (t, mount) => {
    const path = mount.at('file');
    withFile(path, 'w+', (fd) => {
      writeSync(fd, 'data');
      libc.fallocate(fd, KEEP_SIZE, { offset: MiB, length: 2 * MiB + 5 });
      t.is(fstatSync(fd).size, 4);
      t.true(storedBytes(path) >= 2 * MiB + 5);
      libc.fallocate(fd, ALLOCATE, { offset: 1, length: 3 * MiB });
      t.is(fstatSync(fd).size, 3 * MiB + 1);
      t.true(storedBytes(path) >= 3 * MiB);
      sameBytes(t, readFileSync(path), Buffer.concat([Buffer.from('data')], 3 * MiB + 1), 'room');
      libc.fallocate(fd, ALLOCATE, { offset: 0, length: 10 });
      t.is(fstatSync(fd).size, 3 * MiB + 1);
      libc.posixFallocate(fd, { offset: 4 * MiB, length: 100 });
      t.is(fstatSync(fd).size, 4 * MiB + 100);
    });
    truncateSync(path, 0);
    t.is(storedBytes(path), 0);
  },
  { lacks: 'ranges' },
);

mountTest(
  'what fallocate or a zeroed range has reserved can be written when nothing else fits',
  (t, mount) => {
    const path = mount.at('reserved');
    const expected = Buffer.alloc(12 * MiB);
    withFile(path, 'w+', (fd) => {
      const filled = pattern(4 * MiB, 2);
      writeSync(fd, filled, 0, filled.length, 8 * MiB);
      libc.fallocate(fd, KEEP_SIZE, { offset: 0, length: 8 * MiB });
      libc.fallocate(fd, ZERO_RANGE, { offset: 6 * MiB + 100, length: 6 * MiB - 100 });
      fillUp(mount.at('rest'));
      t.is(
        codeOf(() => writeSync(fd, filled, 0, MiB, 20 * MiB)),
        'ENOSPC',
      );
      // In pieces that fit no block, last ones first.
      for (let at = expected.length; at > 0;) {
        const length = Math.min(at, 300_000);
        at -= length;
        t.is(writeSync(fd, pattern(length, at), 0, length, at), length);
        pattern(length, at).copy(expected, at);
      }
      fsyncSync(fd);
    });
    sameBytes(t, readFileSync(path), expected, 'written');
  },
  { capacity: '64M', lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'a fallocate that does not fit fails with ENOSPC and takes no room',
  (t, mount) => {
    const path = mount.at('file');
    writeFileSync(mount.at('other'), pattern(40 * MiB));
    withFile(path, 'w+', (fd) => {
      writeSync(fd, pattern(MiB));
      fsyncSync(fd);
      const before = { free: statfsSync(mount.path).bfree, stored: storedBytes(path) };
      for (const length of [2 ** 50, 100 * MiB, 30 * MiB]) {
        for (const mode of [ALLOCATE, KEEP_SIZE, ZERO_RANGE]) {
          t.is(
            codeOf(() => {
              libc.fallocate(fd, mode, { offset: 0, length });
            }),
            'ENOSPC',
            `${length} bytes, mode ${mode}`,
          );
        }
      }
      t.is(fstatSync(fd).size, MiB);
      t.deepEqual({ free: statfsSync(mount.path).bfree, stored: storedBytes(path) }, before);
      sameBytes(t, readFileSync(path), pattern(MiB), 'as before');
    });
  },
  { capacity: '64M', lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'a punched hole reads as zeros, takes no room, and leaves size and neighbours as they were',
  (t, mount) => {
    const path = mount.at('file');
    const expected = pattern(5 * MiB);
    withFile(path, 'w+', (fd) => {
      writeSync(fd, expected);
      sameBytes(t, readFileSync(path), expected, 'before');
      const punch = (offset: number, length: number): void => {
        libc.fallocate(fd, PUNCH_HOLE, { offset, length });
        expected.fill(0, offset, Math.min(offset + length, expected.length));
        sameBytes(t, readFileSync(path), expected, `${length} bytes at ${offset}`);
      };
      // Of a page at the edge of a hole, no more need be stored than its data.
      const isStored = (bytes: number): void => {
        const stored = storedBytes(path);
        t.true(stored <= bytes && stored > bytes - 4 * KiB, `${stored} of ${bytes}`);
      };
      punch(100, 200);
      isStored(5 * MiB);
      punch(8 * KiB, 4 * KiB);
      isStored(5 * MiB - 4 * KiB);
      punch(MiB + 1, 2 * MiB);
      isStored(3 * MiB);
      punch(4 * MiB + 4 * KiB, MiB);
      isStored(2 * MiB + 4 * KiB);
      t.is(fstatSync(fd).size, 5 * MiB);
      punch(0, 6 * MiB);
      t.is(storedBytes(path), 0);
      t.is(fstatSync(fd).size, 5 * MiB);
      t.deepEqual(dataOf(fd), []);
    });
  },
  { lacks: 'ranges' },
);

mountTest(
  'a zeroed range reads as zeros, keeps its room, and grows the file unless it is to keep its size',
  (t, mount) => {
    const path = mount.at('file');
    const data = pattern(2 * MiB);
    withFile(path, 'w+', (fd) => {
      writeSync(fd, data);
      libc.fallocate(fd, ZERO_RANGE | KEEP_SIZE, { offset: MiB + 10, length: 2 * MiB });
      t.is(fstatSync(fd).size, 2 * MiB);
      data.fill(0, MiB + 10);
      sameBytes(t, readFileSync(path), data, 'size kept');
      t.true(storedBytes(path) >= 3 * MiB);
      libc.fallocate(fd, ZERO_RANGE, { offset: 10, length: 3 * MiB });
      t.is(fstatSync(fd).size, 3 * MiB + 10);
      const expected = Buffer.concat([data.subarray(0, 10)], 3 * MiB + 10);
      sameBytes(t, readFileSync(path), expected, 'grown');
    });
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'fallocate refuses what it cannot do with the errno of its man page',
  async (t, mount) => {
    const path = mount.at('file');
    const all = { offset: 0, length: 4096 };
    const refused = (fd: number, mode: number, range = all): string | undefined =>
      codeOf(() => {
        libc.fallocate(fd, mode, range);
      });
    withFile(path, 'w+', (fd) => {
      writeSync(fd, pattern(16 * KiB));
      t.is(refused(fd, libc.FALLOC_FL_COLLAPSE_RANGE), 'EOPNOTSUPP');
      t.is(refused(fd, libc.FALLOC_FL_INSERT_RANGE), 'EOPNOTSUPP');
      t.is(refused(fd, libc.FALLOC_FL_UNSHARE_RANGE), 'EOPNOTSUPP');
      t.is(refused(fd, PUNCH_HOLE & ~KEEP_SIZE), 'EOPNOTSUPP');
      t.is(refused(fd, PUNCH_HOLE | ZERO_RANGE), 'EOPNOTSUPP');
      t.is(refused(fd, ALLOCATE, { offset: 0, length: 0 }), 'EINVAL');
      t.is(refused(fd, ALLOCATE, { offset: -1, length: 1 }), 'EINVAL');
      for (const mode of [ALLOCATE, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE]) {
        t.is(refused(fd, mode, { offset: MOST, length: 1 }), 'EFBIG');
        t.is(refused(fd, mode, { offset: 2 ** 60, length: 2 ** 60 }), 'EFBIG');
      }
      t.is(fstatSync(fd).size, 16 * KiB);
      sameBytes(t, readFileSync(path), pattern(16 * KiB), 'untouched');
    });
    withFile(path, 'r', (fd) => {
      t.is(refused(fd, ALLOCATE), 'EBADF');
      t.is(refused(fd, PUNCH_HOLE), 'EBADF');
    });
    await sh('mkfifo fifo', { cwd: mount.path });
    withFile(mount.at('fifo'), constants.O_RDWR | constants.O_NONBLOCK, (fd) => {
      t.is(refused(fd, ALLOCATE), 'ESPIPE');
    });
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'data and holes are found page by page, in blocks and across them',
  (t, mount) => {
    const path = mount.at('file');
    const page = pattern(4 * KiB);
    withFile(path, 'w+', (fd) => {
      const runs: [number, number][] = [
        [8 * KiB, 12 * KiB],
        [MiB - 4 * KiB, MiB + 4 * KiB],
        [3 * MiB + 512 * KiB, 3 * MiB + 516 * KiB],
      ];
      for (const [start, end] of runs) {
        for (let at = start; at < end; at += page.length) writeSync(fd, page, 0, page.length, at);
      }
      ftruncateSync(fd, 5 * MiB);
      t.deepEqual(dataOf(fd), runs);
      t.is(storedBytes(path), 16 * KiB);
      t.is(libc.lseek(fd, 9 * KiB, libc.SEEK_DATA), 9 * KiB);
      t.is(libc.lseek(fd, 9 * KiB, libc.SEEK_HOLE), 12 * KiB);
      t.is(libc.lseek(fd, 13 * KiB, libc.SEEK_HOLE), 13 * KiB);
      libc.fallocate(fd, PUNCH_HOLE, { offset: MiB, length: 4 * KiB });
      libc.fallocate(fd, ALLOCATE, { offset: 2 * MiB, length: 64 * KiB });
      runs[1] = [MiB - 4 * KiB, MiB];
      t.deepEqual(dataOf(fd), runs, 'reserved room is no data');
      for (const whence of [libc.SEEK_DATA, libc.SEEK_HOLE]) {
        t.is(
          codeOf(() => libc.lseek(fd, 5 * MiB, whence)),
          'ENXIO',
        );
        t.is(
          codeOf(() => libc.lseek(fd, -1, whence)),
          'ENXIO',
        );
      }
      t.is(
        codeOf(() => libc.lseek(fd, 4 * MiB, libc.SEEK_DATA)),
        'ENXIO',
      );
    });
  },
  { lacks: 'ranges' },
);

mountTest(
  'a file of 2^53 - 1 bytes takes the room of its data, and what lies beyond is EFBIG',
  (t, mount) => {
    const path = mount.at('large');
    withFile(path, 'w+', (fd) => {
      const middle = 2 ** 52;
      writeSync(fd, 'middle', middle);
      writeSync(fd, 'last', MOST - 4);
      t.is(fstatSync(fd).size, MOST);
      t.true(storedBytes(path) <= 2 * MiB);
      const back = Buffer.alloc(10);
      t.is(readSync(fd, back, 0, 10, MOST - 6), 6);
      t.is(back.toString('latin1', 0, 6), '\0\0last');
      t.is(libc.lseek(fd, 0, libc.SEEK_DATA), middle);
      t.is(libc.lseek(fd, middle, libc.SEEK_HOLE), middle + 4 * KiB);
      t.is(libc.lseek(fd, 0, libc.SEEK_HOLE), 0);
      t.is(libc.lseek(fd, middle + 4 * KiB, libc.SEEK_DATA), MOST - 4 * KiB + 1);
      t.is(libc.lseek(fd, MOST - 1, libc.SEEK_HOLE), MOST);
      libc.fallocate(fd, PUNCH_HOLE, { offset: 1, length: MOST - 1 });
      t.is(storedBytes(path), 0);
      t.is(
        codeOf(() => writeSync(fd, 'x', MOST)),
        'EFBIG',
      );
      t.is(
        codeOf(() => writeSync(fd, 'xyz', MOST - 1)),
        'EFBIG',
      );
      t.is(fstatSync(fd).size, MOST);
    });
    withFile(path, 'a', (fd) => {
      t.is(
        codeOf(() => writeSync(fd, 'x')),
        'EFBIG',
      );
    });
    truncateSync(path, 0);
    withFile(mount.at('source'), 'w+', (source) => {
      writeSync(source, 'source');
      withFile(path, 'w+', (fd) => {
        const copy = (offset: number): number =>
          libc.copyFileRange({ fd: source, offset: 0 }, { fd, offset }, 6);
        t.is(
          codeOf(() => copy(MOST)),
          'EFBIG',
        );
        t.is(copy(MOST - 6), 6);
      });
    });
    t.is(statSync(path).size, MOST);
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'copy_file_range copies bytes, keeps holes, and ends where the source ends',
  (t, mount) => {
    const whole = Buffer.alloc(6 * MiB);
    pattern(1_500_000, 3).copy(whole, 300_000);
    pattern(70_000, 4).copy(whole, 4 * MiB + 5);
    const path = mount.at('target');
    withFile(mount.at('source'), 'w+', (source) => {
      writeSync(source, pattern(1_500_000, 3), 0, 1_500_000, 300_000);
      writeSync(source, pattern(70_000, 4), 0, 70_000, 4 * MiB + 5);
      ftruncateSync(source, whole.length);
      for (const shift of [0, MiB, 4 * KiB, 12_345]) {
        withFile(path, 'w+', (target) => {
          const expected = Buffer.concat([pattern(7 * MiB, 5)], whole.length + shift);
          writeSync(target, pattern(7 * MiB, 5).subarray(0, expected.length));
          let copied = 0;
          while (copied < whole.length) {
            const to = { fd: target, offset: shift + copied };
            const length = libc.copyFileRange({ fd: source, offset: copied }, to, 2 ** 40);
            t.true(length > 0);
            copied += length;
          }
          const at = { fd: target, offset: shift + copied };
          t.is(libc.copyFileRange({ fd: source, offset: copied }, at, 10), 0);
          whole.copy(expected, shift);
          sameBytes(t, readFileSync(path), expected, `shifted by ${shift}`);
          const stored = 1_500_000 + 70_000 + shift;
          t.true(storedBytes(path) < stored + 64 * KiB, `stored, shifted by ${shift}`);
        });
      }
    });
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'within one file copy_file_range copies what does not overlap, and else fails with EINVAL',
  (t, mount) => {
    const path = mount.at('file');
    const expected = pattern(3 * MiB);
    withFile(path, 'w+', (fd) => {
      writeSync(fd, expected);
      const copy = (from: number, to: number, length: number): number =>
        libc.copyFileRange({ fd, offset: from }, { fd, offset: to }, length);
      for (const [from, to, length] of [
        [0, 2 * MiB, MiB],
        [100, 5000, 4900],
        [MiB + 5000, 5, 3000],
        [2 * MiB, 3 * MiB, 1000],
      ] as const) {
        t.is(copy(from, to, length), length);
        const part = Buffer.from(expected.subarray(from, from + length));
        if (to < expected.length) part.copy(expected, to);
        else sameBytes(t, readFileSync(path).subarray(to), part, 'behind the end');
      }
      sameBytes(t, readFileSync(path).subarray(0, expected.length), expected, 'copied');
      t.is(
        codeOf(() => copy(0, 4095, 4096)),
        'EINVAL',
      );
      t.is(
        codeOf(() => copy(4095, 0, 4096)),
        'EINVAL',
      );
      sameBytes(t, readFileSync(path).subarray(0, expected.length), expected, 'untouched');
    });
  },
);

mountTest(
  'cp keeps what is sparse sparse',
  async (t, mount) => {
    await sh(
      `truncate -s 5G source
       printf data | dd of=source bs=1 seek=3000000000 conv=notrunc status=none
       fallocate -l 1M -o 100000 source
       cp --reflink=never --sparse=auto source copy
       cmp -n 4096 -i 2999999999 source copy`,
      { cwd: mount.path },
    );
    t.is(statSync(mount.at('copy')).size, 5 * 2 ** 30);
    t.true(storedBytes(mount.at('copy')) <= 2 * MiB);
    t.is(storedBytes(mount.at('source')) > MiB, true);
  },
  { lacks: 'ranges' },
);

mountTest(
  'chance changes of ranges agree with a buffer in memory',
  (t, mount) => {
    const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? 7);
    t.log(`IMSSFS_TEST_SEED=${seed}`);
    const next = chance(seed);
    const limit = 3 * MiB;
    const path = mount.at('file');
    let model = Buffer.alloc(0);
    const grow = (length: number): void => {
      if (length > model.length) model = Buffer.concat([model], length);
    };
    const fd = openSync(path, 'w+');
    for (let step = 0; step < 300; step++) {
      const offset = next(limit);
      const length = 1 + (next(3) === 0 ? next(limit - offset) : next(20_000));
      const end = offset + length;
      const action = next(7);
      if (action === 0) {
        grow(end);
        writeSync(fd, pattern(length, step), 0, length, offset);
        pattern(length, step).copy(model, offset);
      } else if (action === 1) {
        ftruncateSync(fd, offset);
        if (offset < model.length) model = Buffer.from(model.subarray(0, offset));
        grow(offset);
      } else if (action === 2) {
        libc.fallocate(fd, PUNCH_HOLE, { offset, length });
        model.fill(0, Math.min(offset, model.length), Math.min(end, model.length));
      } else if (action === 3) {
        const keeps = next(2) === 0;
        libc.fallocate(fd, keeps ? ZERO_RANGE | KEEP_SIZE : ZERO_RANGE, { offset, length });
        if (!keeps) grow(end);
        model.fill(0, Math.min(offset, model.length), Math.min(end, model.length));
      } else if (action === 4) {
        const keeps = next(2) === 0;
        libc.fallocate(fd, keeps ? KEEP_SIZE : ALLOCATE, { offset, length });
        if (!keeps) grow(end);
      } else if (action === 5) {
        const to = offset < limit / 2 ? end + next(9000) : next(Math.max(1, offset - length));
        const most = Math.max(0, Math.min(length, model.length - offset));
        if (Math.abs(to - offset) >= length) {
          const copied = libc.copyFileRange({ fd, offset }, { fd, offset: to }, length);
          t.is(copied, most, `step ${step}`);
          const part = Buffer.from(model.subarray(offset, offset + most));
          if (most > 0) grow(to + most);
          part.copy(model, to);
        }
      } else {
        const back = Buffer.alloc(length);
        const count = readSync(fd, back, 0, length, offset);
        sameBytes(t, back.subarray(0, count), model.subarray(offset, end), `step ${step}`);
      }
      t.is(fstatSync(fd).size, model.length, `size after step ${step}, action ${action}`);
    }
    const rebuilt = Buffer.alloc(model.length);
    for (const [start, end] of dataOf(fd)) model.copy(rebuilt, start, start, end);
    closeSync(fd);
    sameBytes(t, readFileSync(path), model, 'at the end');
    sameBytes(t, rebuilt, model, 'what is no hole');
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'changes of ranges move mtime and ctime',
  async (t, mount) => {
    const path = mount.at('file');
    writeFileSync(path, pattern(MiB));
    writeFileSync(mount.at('source'), 'source');
    const times = (): bigint[] => {
      const { mtimeNs, ctimeNs } = statSync(path, { bigint: true });
      return [mtimeNs, ctimeNs];
    };
    for (const change of [
      (fd: number) => {
        libc.fallocate(fd, ALLOCATE, { offset: 0, length: 2 * MiB });
      },
      (fd: number) => {
        libc.fallocate(fd, PUNCH_HOLE, { offset: 0, length: 5000 });
      },
      (fd: number) => {
        libc.fallocate(fd, ZERO_RANGE, { offset: 0, length: 5000 });
      },
      (fd: number) => {
        withFile(mount.at('source'), 'r', (source) => {
          libc.copyFileRange({ fd: source, offset: 0 }, { fd, offset: 0 }, 6);
        });
      },
    ]) {
      const before = times();
      await sleep(15);
      withFile(path, 'r+', change);
      for (const [index, time] of times().entries()) {
        t.true(time > (before[index] ?? 0n), `${change.toString()} ${index}`);
      }
    }
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'who is not root loses set-uid and set-gid by write, truncate, fallocate and copy, root keeps them',
  async (t, mount) => {
    mkdirSync(mount.at('d'));
    await sh('chmod 777 d; printf 0123456789 > d/source; chmod 644 d/source', { cwd: mount.path });
    const changes = {
      write: 'os.write(f, b"x")',
      truncate: 'os.ftruncate(f, 3)',
      allocate: 'os.posix_fallocate(f, 0, 100000)',
      punch: 'libc.fallocate(f, 3, ctypes.c_long(0), ctypes.c_long(4096)) and sys.exit(1)',
      copy: 'os.copy_file_range(os.open("source", os.O_RDONLY), f, 10)',
    };
    for (const user of [ALICE, undefined]) {
      for (const [name, change] of Object.entries(changes)) {
        const script = `import ctypes, os, sys
libc = ctypes.CDLL(None)
f = os.open(${JSON.stringify(name)}, os.O_RDWR | os.O_CREAT, 0o755)
os.write(f, b"0123456789")
os.fchmod(f, 0o6755)
os.lseek(f, 0, 0)
${change}
os.close(f)
print(oct(os.stat(${JSON.stringify(name)}).st_mode & 0o7777))
os.unlink(${JSON.stringify(name)})`;
        const shown = await sh('exec python3 -c "$SCRIPT"', {
          cwd: mount.at('d'),
          env: { SCRIPT: script },
          ...user,
        });
        t.is(shown, user === undefined ? '0o6755' : '0o755', name);
      }
    }
  },
  {
    ...{ needsRoot: true, lacks: 'ranges', notOn: ['tmpfs'] },
    mountOptions: 'allow_other,default_permissions,suid',
  },
);

mountTest('O_APPEND with O_TRUNC empties the file and then appends', (t, mount) => {
  const path = mount.at('log');
  writeFileSync(path, 'old contents');
  const { O_APPEND, O_TRUNC, O_WRONLY } = constants;
  withFile(path, O_WRONLY | O_APPEND | O_TRUNC, (fd) => {
    t.is(fstatSync(fd).size, 0);
    writeSync(fd, 'one ');
    writeSync(fd, Buffer.from('two'), 0, 3, 0);
  });
  t.is(readFileSync(path, 'utf8'), 'one two');
});

mountTest('sync, syncfs and fsync of what was changed succeed', async (t, mount) => {
  await sh('printf data > file; sync -f file; sync file; sync -d file; sync .', {
    cwd: mount.path,
  });
  t.is(readFileSync(mount.at('file'), 'utf8'), 'data');
});
