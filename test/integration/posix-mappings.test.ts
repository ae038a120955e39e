/** mmap(2): mappings of files beside reads, writes and truncations of them, and executables, which are mapped, too. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as libc from '../support/libc.ts';
import { dropPages, mapFile, PAGE_BYTES } from '../support/mapping.ts';
import { mountTest } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { describe, run, sh, shFails } from '../support/run.ts';

const MIB = 1024 * 1024;
const TOUCH = fileURLToPath(new URL('../support/touch-mapping.js', import.meta.url));

/** Opens, and closes when `use` has returned. */
function withFile(path: string, flags: number | string, use: (fd: number) => void): void {
  const fd = openSync(path, flags);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

mountTest('what is written to a mapping beyond the end of the file is never in it', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, Buffer.alloc(100, 1));
  withFile(path, 'r+', (fd) => {
    const { bytes, sync, unmap } = mapFile(fd, { offset: 0, length: PAGE_BYTES });
    t.true(bytes.subarray(100).equals(Buffer.alloc(PAGE_BYTES - 100)), 'zeros beyond the end');
    bytes.fill(2, 50);
    sync();
    t.is(fstatSync(fd).size, 100);
    unmap();
    dropPages(fd);
    ftruncateSync(fd, 200);
  });
  const expected = Buffer.concat([Buffer.alloc(50, 1), Buffer.alloc(50, 2), Buffer.alloc(100)]);
  t.true(readFileSync(path).equals(expected));
});

mountTest('a mapping shows zeros where its file was cut and has grown again', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, pattern(3 * MIB));
  withFile(path, 'r+', (fd) => {
    const { bytes, unmap } = mapFile(fd, { offset: MIB, length: MIB });
    t.true(bytes.equals(pattern(3 * MIB).subarray(MIB, 2 * MIB)));
    truncateSync(path, MIB + 5000);
    truncateSync(path, 3 * MIB);
    const expected = Buffer.alloc(MIB);
    pattern(3 * MIB).copy(expected, 0, MIB, MIB + 5000);
    t.true(bytes.equals(expected));
    bytes.write('again', 100_000);
    unmap();
    const room = Buffer.alloc(5);
    readSync(fd, room, 0, 5, MIB + 100_000);
    t.is(room.toString(), 'again');
  });
});

mountTest('a mapped page beyond the end of its file is SIGBUS', async (t, mount) => {
  const path = mount.at('file');
  const touch = async (size: number, at: number): Promise<[string | null, string]> => {
    writeFileSync(path, Buffer.alloc(4 * PAGE_BYTES, 7));
    const result = await run(process.execPath, [TOUCH, path, String(size), String(at)]);
    return [result.signal, result.stdout];
  };
  const cut = 2 * PAGE_BYTES + 1;
  t.deepEqual(await touch(cut, cut - 1), [null, 'mapped 7\nthere 7\n']);
  t.deepEqual(await touch(cut, cut), [null, 'mapped 7\nthere 0\n']);
  t.deepEqual(await touch(cut, 3 * PAGE_BYTES), ['SIGBUS', 'mapped 7\n']);
  t.deepEqual(await touch(0, 0), ['SIGBUS', 'mapped 7\n']);
  t.is(statSync(path).size, 0);
});

mountTest('a private mapping never changes its file', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, pattern(MIB));
  withFile(path, 'r', (fd) => {
    const { bytes, unmap } = mapFile(fd, { offset: 0, length: MIB, kind: 'private' });
    bytes.fill(0, 1000, 5000);
    unmap();
  });
  t.true(readFileSync(path).equals(pattern(MIB)));
});

mountTest('two mappings and a file without a name share one content', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, Buffer.alloc(2 * MIB));
  withFile(path, 'r+', (fd) => {
    const one = mapFile(fd, { offset: 0, length: 2 * MIB });
    const two = mapFile(fd, { offset: MIB, length: MIB });
    unlinkSync(path);
    one.bytes.write('by one', MIB + 10);
    t.is(two.bytes.toString('latin1', 10, 16), 'by one');
    two.bytes.write('by two', 10);
    two.sync();
    const room = Buffer.alloc(6);
    readSync(fd, room, 0, 6, MIB + 10);
    t.is(room.toString(), 'by two');
    one.unmap();
    two.unmap();
  });
});

mountTest(
  'a file that is open for direct I/O can be mapped, and both ways show the same',
  (t, mount) => {
    const path = mount.at('file');
    writeFileSync(path, pattern(2 * MIB));
    withFile(path, constants.O_RDWR | constants.O_DIRECT, (fd) => {
      const { bytes, sync, unmap } = mapFile(fd, { offset: 0, length: 2 * MIB });
      t.true(bytes.equals(pattern(2 * MIB)));
      bytes.write('by the mapping', MIB);
      sync();
      const room = Buffer.alloc(MIB);
      readSync(fd, room, 0, MIB, MIB);
      t.is(room.toString('latin1', 0, 14), 'by the mapping');
      writeSync(fd, Buffer.alloc(MIB, 'direct'), 0, MIB, MIB);
      t.is(bytes.toString('latin1', MIB, MIB + 6), 'direct');
      unmap();
    });
  },
);

mountTest('a mapping of a file that is open for appending changes what is there', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, 'first line\n');
  withFile(path, 'a+', (fd) => {
    const { bytes, sync, unmap } = mapFile(fd, { offset: 0, length: 11 });
    bytes.write('FIRST');
    sync();
    writeSync(fd, 'second line\n');
    unmap();
  });
  t.is(readFileSync(path, 'latin1'), 'FIRST line\nsecond line\n');
});

mountTest('what a mapping has changed is fresher than any open since', (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, Buffer.alloc(3 * PAGE_BYTES));
  const before = statSync(path, { bigint: true }).mtimeNs;
  withFile(path, 'r+', (fd) => {
    const { bytes, sync, unmap } = mapFile(fd, { offset: 0, length: 3 * PAGE_BYTES });
    for (let round = 1; round < 20; round++) {
      bytes.fill(round, PAGE_BYTES - 1, PAGE_BYTES + 1);
      if (round % 2 === 0) sync();
      t.is(readFileSync(path)[PAGE_BYTES], round);
      writeSync(fd, Buffer.of(100 + round), 0, 1, PAGE_BYTES);
      t.is(bytes[PAGE_BYTES], 100 + round);
    }
    unmap();
  });
  t.true(statSync(path, { bigint: true }).mtimeNs > before);
});

mountTest(
  'a running program cannot be written, nor one run that is being written',
  async (t, mount) => {
    await sh('cp "$(command -v sleep)" program; chmod 755 program', { cwd: mount.path });
    const path = mount.at('program');
    const running = spawn(path, ['60']);
    try {
      await once(running, 'spawn');
      t.throws(() => openSync(path, 'r+'), { code: 'ETXTBSY' });
      t.throws(() => { truncateSync(path, 0); }, { code: 'ETXTBSY' }); // prettier-ignore
    } finally {
      running.kill('SIGKILL');
      await once(running, 'exit');
    }
    withFile(path, 'r+', () => undefined);
    const said = await shFails('exec 9<>program; ./program 0', { cwd: mount.path });
    t.regex(said, /busy/);
    const result = await run(path, ['0']);
    t.is(result.status, 0, describe(result));
  },
);

mountTest(
  'what was written to a mapping, and not synchronised, is data to lseek and to cp',
  async (t, mount) => {
    const path = mount.at('file');
    const fd = openSync(path, 'w+');
    ftruncateSync(fd, 4 * MIB);
    const { bytes, unmap } = mapFile(fd, { offset: 0, length: 4 * MIB });
    // As long as it is mapped, it is open.
    closeSync(fd);
    try {
      for (const at of [MIB + 2 * PAGE_BYTES, 3 * MIB]) {
        bytes.write('mapped', at);
        const reader = openSync(path, 'r');
        try {
          const from = at > 2 * MIB ? 2 * MIB : 0;
          t.is(libc.lseek(reader, from, libc.SEEK_DATA), at);
          t.is(libc.lseek(reader, at, libc.SEEK_HOLE), at + PAGE_BYTES);
          t.is(libc.lseek(reader, from, libc.SEEK_HOLE), from);
        } finally {
          closeSync(reader);
        }
      }
      bytes.write('once more', 2 * MIB);
      await sh('cp --sparse=auto file copy', { cwd: mount.path });
      t.true(readFileSync(mount.at('copy')).equals(bytes));
    } finally {
      unmap();
    }
  },
  { lacks: 'ranges' },
);
