import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readvSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { sameBytes, withFile } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { run } from '../support/run.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
/** Lengths on both sides of a page, of a default block, and of several blocks. */
const LENGTHS = [0, 1, 4095, 4096, 4097, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB + 17];

mountTest(
  'create makes an empty file of the caller, and O_EXCL refuses one that exists',
  (t, mount) => {
    const path = mount.at('new');
    closeSync(openSync(path, 'wx', 0o640));
    const stat = statSync(path);
    t.true(stat.isFile());
    t.is(stat.size, 0);
    t.is(stat.nlink, 1);
    t.is(stat.uid, process.geteuid?.() ?? -1);
    t.is(stat.gid, process.getegid?.() ?? -1);
    t.throws(() => openSync(path, 'wx'), { code: 'EEXIST' });
    t.throws(() => openSync(mount.path, 'wx'), { code: 'EEXIST' });
  },
);

mountTest('opening what is missing or of the wrong kind fails as open(2) says', (t, mount) => {
  writeFileSync(mount.at('file'), 'x');
  mkdirSync(mount.at('dir'));
  t.throws(() => openSync(mount.at('missing'), 'r'), { code: 'ENOENT' });
  t.throws(() => openSync(mount.at('missing', 'x'), 'w'), { code: 'ENOENT' });
  t.throws(() => openSync(mount.at('dir'), 'w'), { code: 'EISDIR' });
  t.throws(() => openSync(mount.at('file', 'x'), 'r'), { code: 'ENOTDIR' });
  t.throws(() => openSync(mount.at('file'), constants.O_DIRECTORY), { code: 'ENOTDIR' });
  withFile(mount.at('dir'), 'r', (fd) => {
    t.throws(() => readSync(fd, Buffer.alloc(1)), { code: 'EISDIR' });
  });
});

mountTest('files of every length around block boundaries read back as written', (t, mount) => {
  for (const length of LENGTHS) {
    const path = mount.at(`f${length}`);
    writeFileSync(path, pattern(length, length));
    t.is(statSync(path).size, length);
  }
  for (const length of LENGTHS) {
    sameBytes(t, readFileSync(mount.at(`f${length}`)), pattern(length, length), `f${length}`);
  }
});

mountTest(
  'reads and writes at offsets across a block boundary touch only their bytes',
  (t, mount) => {
    const path = mount.at('file');
    const model = pattern(3 * MiB);
    writeFileSync(path, model);
    withFile(path, 'r+', (fd) => {
      for (const at of [0, 1, MiB - 1, MiB - 4096, 2 * MiB - 3]) {
        const data = pattern(8 * KiB, at + 5);
        t.is(writeSync(fd, data, 0, data.length, at), data.length);
        data.copy(model, at);
        const back = Buffer.alloc(12 * KiB);
        const from = Math.max(0, at - 2 * KiB);
        t.is(readSync(fd, back, 0, back.length, from), back.length);
        sameBytes(t, back, model.subarray(from, from + back.length), `around ${at}`);
      }
    });
    sameBytes(t, readFileSync(path), model, 'whole file');
  },
);

mountTest(
  'a read at or past the end gives nothing, one across the end what is there',
  (t, mount) => {
    writeFileSync(mount.at('file'), pattern(5000));
    withFile(mount.at('file'), 'r', (fd) => {
      const room = Buffer.alloc(100);
      t.is(readSync(fd, room, 0, 100, 5000), 0);
      t.is(readSync(fd, room, 0, 100, 9 * MiB), 0);
      t.is(readSync(fd, room, 0, 100, 4990), 10);
    });
  },
);

mountTest('readv and writev move all their buffers in order', (t, mount) => {
  withFile(mount.at('file'), 'w+', (fd) => {
    const parts = [pattern(10, 1), pattern(MiB, 2), pattern(3, 3)];
    t.is(writevSync(fd, parts, 7), MiB + 13);
    const back = [Buffer.alloc(7), Buffer.alloc(10), Buffer.alloc(MiB), Buffer.alloc(3)];
    t.is(readvSync(fd, back, 0), MiB + 20);
    sameBytes(t, Buffer.concat(back), Buffer.concat([Buffer.alloc(7), ...parts]), 'vectors');
  });
});

mountTest('lines appended by four processes at once all arrive whole', async (t, mount) => {
  const script =
    'i=0; while [ $i -lt 500 ]; do echo "$1 line $i of this writer"; i=$((i+1)); done >> log';
  const writers = ['a', 'b', 'c', 'd'];
  const results = await Promise.all(
    writers.map((name) => run('/bin/sh', ['-c', script, 'sh', name], { cwd: mount.path })),
  );
  t.deepEqual(
    results.map((result) => result.status),
    [0, 0, 0, 0],
  );
  const expected = writers.flatMap((name) =>
    Array.from({ length: 500 }, (_, i) => `${name} line ${i} of this writer`),
  );
  const lines = readFileSync(mount.at('log'), 'utf8').split('\n').slice(0, -1);
  t.deepEqual(lines.sort(), expected.sort());
});

mountTest('a file that a rename replaced stays readable while it is open', (t, mount) => {
  writeFileSync(mount.at('old'), 'old data');
  writeFileSync(mount.at('new'), 'new data');
  withFile(mount.at('old'), 'r', (fd) => {
    renameSync(mount.at('new'), mount.at('old'));
    t.is(fstatSync(fd).nlink, 0);
    t.is(readFileSync(fd, 'utf8'), 'old data');
  });
  t.is(readFileSync(mount.at('old'), 'utf8'), 'new data');
});

mountTest('fsync and fdatasync answer on files and folders', (t, mount) => {
  withFile(mount.at('file'), 'w', (fd) => {
    writeSync(fd, 'data');
    t.notThrows(() => {
      fsyncSync(fd);
    });
    t.notThrows(() => {
      fdatasyncSync(fd);
    });
  });
  withFile(mount.path, 'r', (fd) => {
    t.notThrows(() => {
      fsyncSync(fd);
    });
  });
});

mountTest('one file open a hundred times over shows every handle the same data', (t, mount) => {
  const path = mount.at('file');
  const handles = Array.from({ length: 100 }, () => openSync(path, 'a+'));
  handles.forEach((fd, index) => writeSync(fd, `${index};`));
  const expected = handles.map((_, index) => `${index};`).join('');
  const room = Buffer.alloc(1000);
  for (const fd of handles) {
    t.is(room.toString('utf8', 0, readSync(fd, room, 0, 1000, 0)), expected);
    closeSync(fd);
  }
});
