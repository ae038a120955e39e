import { statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FileRoom, RESERVE_BYTES } from '../../../src/meta/file-room.ts';
import { temporaryFolder } from './helpers.ts';

interface Disk {
  /** Bytes of pages in use. */
  usedBytes: number;
  /** Where the disk is full. */
  fullAt: number;
}

function makeRoom(t: ExecutionContext, disk: Disk): { room: FileRoom; path: string } {
  const path = join(temporaryFolder(t), 'data');
  writeFileSync(path, Buffer.alloc(disk.usedBytes, 1));
  const room = new FileRoom({
    path,
    usedBytes: () => disk.usedBytes,
    write: (fd, zeros, position) => {
      const length = Math.min(zeros.length, disk.fullAt - position);
      if (length <= 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      return writeSync(fd, zeros, 0, length, position);
    },
  });
  t.teardown(() => {
    room.close();
  });
  return { room, path };
}

test('before any transaction there are the reserve and room for more beside the pages', (t) => {
  const disk = { usedBytes: 40_960, fullAt: Infinity };
  const { room, path } = makeRoom(t, disk);
  for (let transaction = 0; transaction < 100; transaction++) {
    t.true(room.take('growth'));
    disk.usedBytes += 120 * 1024;
    t.true(statSync(path).size >= disk.usedBytes + RESERVE_BYTES);
  }
});

test('on a full disk growth is refused before it touches the reserve, and the reserve is for the rest', (t) => {
  const disk = { usedBytes: 40_960, fullAt: 3 * 1024 * 1024 };
  const { room, path } = makeRoom(t, disk);
  let grown = 0;
  while (room.take('growth')) {
    disk.usedBytes += 100 * 1024;
    grown++;
  }
  t.true(grown > 15);
  t.true(statSync(path).size - disk.usedBytes >= RESERVE_BYTES);
  t.true(room.take('reserve'));
  t.false(room.take('growth'));
  disk.usedBytes = 1024 * 1024;
  t.true(room.take('growth'));
});

test('a disk that is full from the start has no room for growth', (t) => {
  const { room } = makeRoom(t, { usedBytes: 40_960, fullAt: 40_960 });
  t.false(room.take('growth'));
  t.true(room.take('reserve'));
  t.false(room.take('growth'));
});
