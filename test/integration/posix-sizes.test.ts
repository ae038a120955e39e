import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../support/libc.ts';
import { sameBytes, withFile } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { chance, pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

mountTest('chance writes, truncations and reads agree with a buffer in memory', (t, mount) => {
  const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? 20);
  t.log(`IMSSFS_TEST_SEED=${seed}`);
  const next = chance(seed);
  const limit = 4 * MiB;
  let model = Buffer.alloc(0);
  const path = mount.at('file');
  let fd = openSync(path, 'w+');
  const resize = (length: number): void => {
    const grown = Buffer.alloc(length);
    model.copy(grown, 0, 0, Math.min(length, model.length));
    model = grown;
  };
  for (let step = 0; step < 400; step++) {
    const offset = next(limit);
    const length = next(4) === 0 ? next(limit - offset) : next(9000);
    switch (next(5)) {
      case 0:
      case 1: {
        const data = pattern(length, step);
        if (length > 0 && offset + length > model.length) resize(offset + length);
        writeSync(fd, data, 0, length, offset);
        data.copy(model, offset);
        break;
      }
      case 2:
        ftruncateSync(fd, offset);
        resize(offset);
        break;
      case 3: {
        const back = Buffer.alloc(length);
        const count = readSync(fd, back, 0, length, offset);
        sameBytes(
          t,
          back.subarray(0, count),
          model.subarray(offset, offset + length),
          `step ${step}`,
        );
        break;
      }
      default:
        closeSync(fd);
        fd = openSync(path, 'r+');
    }
    t.is(fstatSync(fd).size, model.length, `size after step ${step}`);
  }
  closeSync(fd);
  sameBytes(t, readFileSync(path), model, 'at the end');
});

mountTest(
  'O_APPEND writes at the end, whatever the position and whoever else appends',
  (t, mount) => {
    const path = mount.at('log');
    writeFileSync(path, 'begin ');
    withFile(path, 'a', (first) => {
      withFile(path, 'a', (second) => {
        writeSync(first, 'one ');
        writeSync(second, 'two ');
        writeSync(first, Buffer.from('three '), 0, 6, 0);
        writeSync(second, 'four');
      });
    });
    t.is(readFileSync(path, 'utf8'), 'begin one two three four');
    truncateSync(path, 5);
    withFile(path, 'a', (fd) => writeSync(fd, '!'));
    t.is(readFileSync(path, 'utf8'), 'begin!');
  },
);

mountTest(
  'truncate and ftruncate shrink and grow, and what is grown reads as zeros',
  (t, mount) => {
    const path = mount.at('file');
    for (const cut of [0, 1, 4095, 4097, MiB - 1, MiB, MiB + 1, 2 * MiB]) {
      const whole = pattern(2 * MiB + 100, cut + 1);
      writeFileSync(path, whole);
      truncateSync(path, cut);
      t.is(statSync(path).size, cut);
      sameBytes(t, readFileSync(path), whole.subarray(0, cut), `cut to ${cut}`);
      truncateSync(path, 2 * MiB + 50);
      const zeros = Buffer.alloc(2 * MiB + 50 - cut);
      sameBytes(
        t,
        readFileSync(path),
        Buffer.concat([whole.subarray(0, cut), zeros]),
        `regrown ${cut}`,
      );
    }
    withFile(path, 'r+', (fd) => {
      ftruncateSync(fd, 10);
      ftruncateSync(fd, 20);
      t.is(fstatSync(fd).size, 20);
      writeSync(fd, 'z', 30);
    });
    const expected = Buffer.alloc(31);
    pattern(10, 2 * MiB + 1).copy(expected);
    expected.write('z', 30);
    sameBytes(t, readFileSync(path), expected, 'after ftruncate');
  },
);

mountTest('a file shrunk and extended by a write has zeros between', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, pattern(3 * MiB));
  withFile(path, 'r+', (fd) => {
    ftruncateSync(fd, MiB + 10);
    writeSync(fd, Buffer.from('end'), 0, 3, 2 * MiB + 10);
  });
  const expected = Buffer.alloc(2 * MiB + 13);
  pattern(MiB + 10).copy(expected);
  expected.write('end', 2 * MiB + 10);
  sameBytes(t, readFileSync(path), expected, 'file');
});

mountTest('O_TRUNC empties a file, also while another has it open', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, pattern(2 * MiB));
  withFile(path, 'r', (reader) => {
    closeSync(openSync(path, 'w'));
    t.is(fstatSync(reader).size, 0);
    t.is(readSync(reader, Buffer.alloc(10), 0, 10, 0), 0);
  });
  t.is(statSync(path).size, 0);
});

mountTest(
  'truncation of a folder, of nothing and through a read-only handle is refused',
  (t, mount) => {
    mkdirSync(mount.at('dir'));
    writeFileSync(mount.at('file'), 'data');
    t.throws(
      () => {
        truncateSync(mount.at('dir'), 0);
      },
      { code: 'EISDIR' },
    );
    t.throws(
      () => {
        truncateSync(mount.at('none'), 0);
      },
      { code: 'ENOENT' },
    );
    withFile(mount.at('file'), 'r', (fd) => {
      t.throws(
        () => {
          ftruncateSync(fd, 0);
        },
        { code: 'EINVAL' },
      );
      t.throws(() => writeSync(fd, 'x'), { code: 'EBADF' });
    });
    t.is(readFileSync(mount.at('file'), 'utf8'), 'data');
  },
);

mountTest('a sparse file reads zeros in its holes and takes room only for its data', (t, mount) => {
  const path = mount.at('sparse');
  const end = 2 ** 36;
  withFile(path, 'w+', (fd) => {
    writeSync(fd, Buffer.from('far'), 0, 3, end);
    writeSync(fd, Buffer.from('near'), 0, 4, 5 * MiB);
    const room = Buffer.alloc(MiB, 1);
    t.is(readSync(fd, room, 0, MiB, 2 ** 35 - 7), MiB);
    t.true(room.equals(Buffer.alloc(MiB)));
    t.is(readSync(fd, room, 0, 10, end - 2), 5);
    t.is(room.toString('latin1', 0, 5), '\0\0far');
  });
  const stat = statSync(path);
  t.is(stat.size, end + 3);
  t.true(stat.blocks * 512 <= 8 * MiB, `${stat.blocks} blocks`);
});

mountTest('st_blocks covers the data and falls with truncation', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, pattern(5 * MiB));
  t.true(statSync(path).blocks * 512 >= 5 * MiB);
  truncateSync(path, MiB);
  t.true(statSync(path).blocks * 512 <= 2 * MiB);
  truncateSync(path, 0);
  t.is(statSync(path).blocks, 0);
});

mountTest('SEEK_DATA and SEEK_HOLE together find every byte that was written', (t, mount) => {
  const path = mount.at('sparse');
  const pieces = [0, 3 * MiB + 100, 9 * MiB];
  withFile(path, 'w+', (fd) => {
    for (const at of pieces) writeSync(fd, pattern(5000, at + 1), 0, 5000, at);
    ftruncateSync(fd, 12 * MiB);
    const model = readFileSync(path);
    const rebuilt = Buffer.alloc(model.length);
    for (let at = 0; at < model.length;) {
      let data: number;
      try {
        data = libc.lseek(fd, at, libc.SEEK_DATA);
      } catch (error) {
        t.is((error as { code?: string }).code, 'ENXIO');
        break;
      }
      const hole = libc.lseek(fd, data, libc.SEEK_HOLE);
      t.true(hole > data && hole <= model.length);
      model.copy(rebuilt, data, data, hole);
      at = hole;
    }
    sameBytes(t, rebuilt, model, 'segments');
    t.throws(() => libc.lseek(fd, 12 * MiB, libc.SEEK_DATA), { code: 'ENXIO' });
  });
});

mountTest(
  'fallocate is refused with EOPNOTSUPP, and posix_fallocate does without it',
  (t, mount) => {
    const path = mount.at('file');
    withFile(path, 'w+', (fd) => {
      for (const mode of [0, libc.FALLOC_FL_KEEP_SIZE, libc.FALLOC_FL_PUNCH_HOLE_KEEP_SIZE]) {
        t.throws(
          () => {
            libc.fallocate(fd, mode, { offset: 0, length: 2 * MiB });
          },
          { code: 'EOPNOTSUPP' },
        );
      }
      t.is(fstatSync(fd).size, 0);
      const data = pattern(MiB + 5);
      writeSync(fd, data);
      libc.posixFallocate(fd, { offset: 4096, length: 2 * MiB });
      const expected = Buffer.concat([data], 2 * MiB + 4096);
      sameBytes(t, readFileSync(path), expected, 'after posix_fallocate');
      t.is(fstatSync(fd).size, 2 * MiB + 4096);
    });
  },
  { notOn: ['kernel', 'detached', 'tmpfs'] },
);

mountTest('an unlinked file stays readable and writable while it is open', (t, mount) => {
  const path = mount.at('gone');
  withFile(path, 'w+', (fd) => {
    writeSync(fd, pattern(2 * MiB));
    unlinkSync(path);
    t.false(existsSync(path));
    t.is(fstatSync(fd).nlink, 0);
    t.is(fstatSync(fd).size, 2 * MiB);
    writeFileSync(path, 'a new file of that name');
    writeSync(fd, Buffer.from('more'), 0, 4, 2 * MiB);
    const back = Buffer.alloc(2 * MiB + 4);
    t.is(readSync(fd, back, 0, back.length, 0), back.length);
    sameBytes(t, back, Buffer.concat([pattern(2 * MiB), Buffer.from('more')]), 'unlinked');
    ftruncateSync(fd, 3);
    t.is(fstatSync(fd).size, 3);
  });
  t.is(readFileSync(path, 'utf8'), 'a new file of that name');
});

mountTest(
  'writing and truncating move mtime and ctime; reading moves neither',
  async (t, mount) => {
    const path = mount.at('file');
    writeFileSync(path, 'one');
    const times = (): { mtime: bigint; ctime: bigint } => {
      const stat = statSync(path, { bigint: true });
      return { mtime: stat.mtimeNs, ctime: stat.ctimeNs };
    };
    let before = times();
    for (const change of [
      () => {
        withFile(path, 'r+', (fd) => writeSync(fd, 'two'));
      },
      () => {
        truncateSync(path, 1);
      },
      () => {
        truncateSync(path, 100);
      },
      () => {
        closeSync(openSync(path, 'w'));
      },
    ]) {
      await sleep(20);
      change();
      const after = times();
      t.true(after.mtime > before.mtime, change.toString());
      t.true(after.ctime > before.ctime, change.toString());
      before = after;
    }
    await sleep(20);
    readFileSync(path);
    t.deepEqual(times(), before);
  },
);

mountTest(
  'copies within the mount, by copy_file_range and by cp --sparse, equal their source',
  async (t, mount) => {
    const source = Buffer.concat([pattern(MiB + 5), Buffer.alloc(3 * MiB), pattern(77, 2)]);
    writeFileSync(mount.at('source'), source);
    copyFileSync(mount.at('source'), mount.at('copied'));
    sameBytes(t, readFileSync(mount.at('copied')), source, 'copied');
    await sh(
      'cp --sparse=always source sparse; cp source plain; cmp source sparse; cmp source plain',
      {
        cwd: mount.path,
      },
    );
    sameBytes(t, readFileSync(mount.at('sparse')), source, 'sparse');
  },
);
