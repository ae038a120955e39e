/** What mounts of one file system see of each other: close-to-open, and what is atomic across them. */
import test from 'ava';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { withFile } from '../../support/files.ts';
import * as libc from '../../support/libc.ts';
import { skipsMounts } from '../../support/mount.ts';
import { runOk } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;

const SHAPE = { meta: 2, blocks: 2, mounts: 2 };

/** Appends lines that tell who wrote them, each by a write(2) of its own. */
const APPENDER = `
const fs = require('node:fs');
const [path, who, count] = process.argv.slice(1);
const fd = fs.openSync(path, 'a');
for (let i = 0; i < Number(count); i++) {
  const line = Buffer.from(who + ' ' + i + ' ' + 'x'.repeat(i % 97) + '\\n');
  if (fs.writeSync(fd, line) !== line.length) throw new Error('short write');
}
fs.closeSync(fd);
`;

/** Makes one file after the other with O_EXCL, and prints the names that it won. */
const CREATOR = `
const fs = require('node:fs');
const [folder, count] = process.argv.slice(1);
for (let i = 0; i < Number(count); i++) {
  try {
    fs.closeSync(fs.openSync(folder + '/' + i, 'wx'));
    console.log(i);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
}
`;

const RANGE_BYTES = 3 * 1024 * 1024;

function node(script: string, ...args: string[]): Promise<{ stdout: string }> {
  return runOk(process.execPath, ['-e', script, ...args], { timeoutMs: 120_000 });
}

clusterTest('what one mount closes, the other opens: names, contents, sizes', async (t) => {
  await withCluster(t, SHAPE, (cluster) => {
    const here = (name: string): string => cluster.at(0, name);
    const there = (name: string): string => cluster.at(1, name);
    writeFileSync(here('a'), 'one');
    t.is(readFileSync(there('a'), 'utf8'), 'one');
    // Both kernels have pages of it now.
    t.is(readFileSync(here('a'), 'utf8'), 'one');
    writeFileSync(there('a'), 'two, and longer');
    t.is(readFileSync(here('a'), 'utf8'), 'two, and longer');
    const sameSize = 'TWO, AND LONGER';
    writeFileSync(here('a'), sameSize);
    t.is(readFileSync(there('a'), 'utf8'), sameSize);
    truncateSync(there('a'), 3);
    t.is(statSync(here('a')).size, 3);
    t.is(readFileSync(here('a'), 'utf8'), 'TWO');
    mkdirSync(here('d'));
    mkdirSync(there('d/e'));
    renameSync(here('a'), here('d/e/b'));
    t.false(existsSync(there('a')));
    t.is(readFileSync(there('d/e/b'), 'utf8'), 'TWO');
    symlinkSync('d/e/b', there('link'));
    t.is(readlinkSync(here('link')), 'd/e/b');
    t.deepEqual(readdirSync(here('d')), ['e']);
    rmSync(here('d/e/b'));
    rmdirSync(here('d/e'));
    t.deepEqual(readdirSync(there('d')), []);
    return Promise.resolve();
  });
});

clusterTest('a size is there for others after fsync, and after close', async (t) => {
  await withCluster(t, SHAPE, (cluster) => {
    const fd = openSync(cluster.at(0, 'growing'), 'w');
    for (const size of [5, 70_000, 3 * 2 ** 20 + 1]) {
      writeSync(fd, Buffer.alloc(size, size % 251), 0, size, 0);
      fsyncSync(fd);
      t.is(statSync(cluster.at(1, 'growing')).size, size);
      const read = readFileSync(cluster.at(1, 'growing'));
      t.true(read.equals(Buffer.alloc(size, size % 251)), `${size} bytes`);
    }
    writeSync(fd, 'end');
    closeSync(fd);
    t.is(statSync(cluster.at(1, 'growing')).size, 3 * 2 ** 20 + 1);
    t.is(readFileSync(cluster.at(1, 'growing')).subarray(0, 3).toString(), 'end');
    return Promise.resolve();
  });
});

clusterTest('what is written after another mount has truncated stays', async (t) => {
  await withCluster(t, SHAPE, (cluster) => {
    const bytes = Buffer.alloc(8 * 2 ** 20, 'x');
    const here = openSync(cluster.at(0, 'shared'), 'w');
    const there = openSync(cluster.at(1, 'shared'), 'w');
    writeSync(here, bytes);
    closeSync(here);
    closeSync(there);
    for (const mount of [0, 1]) {
      t.true(readFileSync(cluster.at(mount, 'shared')).equals(bytes), `mount ${mount}`);
    }
    return Promise.resolve();
  });
});

clusterTest('four writers on two mounts append 10,000 lines: none is lost or torn', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    const each = 2500;
    const writers = ['a', 'b', 'c', 'd'];
    await Promise.all(
      writers.map((who, index) => node(APPENDER, cluster.at(index % 2, 'log'), who, String(each))),
    );
    for (const mount of [0, 1]) {
      const found = readFileSync(cluster.at(mount, 'log'), 'utf8').split('\n');
      t.is(found.pop(), '');
      t.is(found.length, writers.length * each);
      for (const who of writers) {
        const lines = found.filter((line) => line.startsWith(`${who} `));
        t.deepEqual(
          lines,
          Array.from({ length: each }, (_, i) => `${who} ${i} ${'x'.repeat(i % 97)}`),
          `mount ${mount}, writer ${who}`,
        );
      }
    }
  });
});

clusterTest(
  'of many who create the same names with O_EXCL, each name has one winner',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      mkdirSync(cluster.at(0, 'race'));
      const creators = [0, 1, 0, 1].map((mount) => node(CREATOR, cluster.at(mount, 'race'), '300'));
      const won = (await Promise.all(creators)).flatMap(({ stdout }) => stdout.split('\n'));
      const names = won.filter((name) => name !== '').sort((a, b) => Number(a) - Number(b));
      t.deepEqual(
        names,
        Array.from({ length: 300 }, (_, i) => String(i)),
      );
      t.is(readdirSync(cluster.at(1, 'race')).length, 300);
    });
  },
);

clusterTest('a file unlinked on one mount stays readable where it is open', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    const data = Buffer.alloc(2 ** 21, 'imss');
    writeFileSync(cluster.at(0, 'open'), data);
    const fd = openSync(cluster.at(1, 'open'), 'r+');
    rmSync(cluster.at(0, 'open'));
    t.false(existsSync(cluster.at(1, 'open')));
    const read = Buffer.alloc(data.length);
    t.is(readSync(fd, read, 0, read.length, 0), data.length);
    t.true(read.equals(data));
    t.is(fstatSync(fd).nlink, 0);
    writeSync(fd, 'more', data.length);
    t.is(fstatSync(fd).size, data.length + 4);
    closeSync(fd);
    await freeAgain(t, cluster);
  });
});

/** What nobody has open any more is freed on all block servers. */
async function freeAgain(t: { pass(): void }, cluster: Cluster): Promise<void> {
  for (let waits = 0; waits < 100; waits++) {
    const { stdout } = await runOk('df', ['--output=used', '-B1', cluster.at(0)]);
    if (Number(stdout.split('\n')[1]) < 2 ** 20) {
      t.pass();
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the space of a removed file is not free after 10 s');
}

clusterTest(
  'holes, zeroed ranges and copies by one mount are seen by another that had the pages',
  async (t) => {
    await withCluster(t, SHAPE, (cluster) => {
      const here = cluster.at(0, 'file');
      const there = cluster.at(1, 'file');
      const expected = Buffer.alloc(RANGE_BYTES, 7);
      writeFileSync(here, expected);
      const agree = (what: string): void => {
        t.true(readFileSync(there).equals(expected), what);
        t.is(statSync(there).blocks, statSync(here).blocks, what);
      };
      agree('before');
      const changes: Record<string, (fd: number) => void> = {
        'a hole': (fd) => {
          const range = { offset: 5000, length: 2_000_000 };
          libc.fallocate(fd, libc.FALLOC_FL_PUNCH_HOLE_KEEP_SIZE, range);
          expected.fill(0, 5000, 2_005_000);
        },
        'a zeroed range': (fd) => {
          libc.fallocate(fd, libc.FALLOC_FL_ZERO_RANGE, { offset: 100, length: 50 });
          expected.fill(0, 100, 150);
        },
        'a copy': (fd) => {
          const length = 500_000;
          t.is(
            libc.copyFileRange({ fd, offset: 2_500_000 }, { fd, offset: 100_000 }, length),
            length,
          );
          expected.copy(expected, 100_000, 2_500_000, 3_000_000);
        },
      };
      for (const [what, change] of Object.entries(changes)) {
        withFile(here, 'r+', change);
        agree(what);
      }
      withFile(here, 'r+', (fd) => {
        libc.fallocate(fd, 0, { offset: 0, length: RANGE_BYTES + 10 });
      });
      t.is(statSync(there).size, RANGE_BYTES + 10);
      const name = cluster.at(0, 'named');
      withFile(cluster.at(0), libc.O_TMPFILE | 2, (fd) => {
        writeSync(fd, 'from nowhere');
        libc.linkOpenFile(fd, name);
      });
      t.is(readFileSync(cluster.at(1, 'named'), 'utf8'), 'from nowhere');
      rmSync(cluster.at(1, 'named'));
      t.false(existsSync(name));
      return Promise.resolve();
    });
  },
);
