import test from 'ava';
import * as inner from '../../../src/blocks/inner.ts';
import type { InnerPlace } from '../../../src/blocks/inner.ts';
import type { InodeId } from '../../../src/ids.ts';
import type { Stat } from '../../../src/stat.ts';

const STAT: Stat = {
  inode: (5 * 2 ** 40 + 0x11223344) as InodeId,
  mode: 0o100644,
  nlink: 2,
  uid: 1000,
  gid: 4_000_000_000,
  rdev: 0x0801,
  sizeBytes: 0x1_0000_0203,
  storedBytes: 1025,
  blockSizeBytes: 1_000_000,
  atime: { seconds: 1, nanoseconds: 2 },
  mtime: { seconds: -1, nanoseconds: 999_999_999 },
  ctime: { seconds: 0x1_0000_0000, nanoseconds: 0 },
};

/** As `struct stat` of x86-64 has it: annotated with its members. */
const GOLDEN = [
  '0000000000000000', // st_dev
  '4433221100050000', // st_ino
  '0200000000000000', // st_nlink
  'a4810000', // st_mode
  'e8030000', // st_uid
  '00286bee', // st_gid
  '00000000', // padding
  '0108000000000000', // st_rdev
  '0302000001000000', // st_size
  '40420f0000000000', // st_blksize
  '0300000000000000', // st_blocks: 1,025 bytes take three sectors
  '0100000000000000' + '0200000000000000', // st_atim
  'ffffffffffffffff' + 'ffc99a3b00000000', // st_mtim
  '0000000001000000' + '0000000000000000', // st_ctim
  '0000000000000000', // reserved: data version
  '0000000000000000', // reserved: truncate generation
  '0000000000000000', // reserved: truncated size
  '494d5353', // IMSS
  '0100', // format
  'ff01', // 3 * 512 - 1,025
  '03000000', // target length
  '00000000', // length of extended attributes
  '612f62', // target
].join('');

function place(at = 32): InnerPlace {
  const buffer = Buffer.alloc(4096, 0xee);
  return { buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length), at };
}

function bytesOf(spot: InnerPlace): string {
  const end = spot.at + inner.innerBytes(spot.view, spot.at);
  return spot.buffer.toString('hex', spot.at, end);
}

test('a new block 0 begins with a struct stat', (t) => {
  const spot = place();
  const seed = { stat: STAT, target: Buffer.from('a/b') };
  inner.writeSeed(spot, seed);
  t.is(bytesOf(spot), GOLDEN);
  t.is(inner.seedBytes(seed), GOLDEN.length / 2);
  t.is(spot.buffer[spot.at - 1], 0xee);
  t.is(spot.buffer[spot.at + inner.seedBytes(seed)], 0xee);
});

test('what was written is read back, negative times and large numbers included', (t) => {
  const spot = place(0);
  inner.writeSeed(spot, { stat: STAT, target: Buffer.from('a/b') });
  t.deepEqual(inner.readAttributes(spot.view, 0), {
    sizeBytes: STAT.sizeBytes,
    storedBytes: STAT.storedBytes,
    atime: STAT.atime,
    mtime: STAT.mtime,
    ctime: STAT.ctime,
    dataVersion: 0,
    generation: 0,
    truncatedBytes: 0,
  });
  t.is(inner.readTarget(spot).toString(), 'a/b');
  inner.writeSize(spot.view, 0, Number.MAX_SAFE_INTEGER);
  t.is(inner.readSize(spot.view, 0), Number.MAX_SAFE_INTEGER);
});

test('the words that struct stat reserves hold data version, truncate generation and truncated size', (t) => {
  const spot = place(0);
  inner.writeSeed(spot, { stat: STAT });
  inner.raiseDataVersion(spot.view, 0);
  inner.raiseDataVersion(spot.view, 0);
  t.is(inner.raiseGeneration(spot.view, 0, 0x1_0000_0007), 1);
  t.is(spot.buffer.toString('hex', 120, 144), '020000000000000001000000000000000700000001000000');
});

test('stored bytes are exact though st_blocks counts sectors', (t) => {
  const spot = place(0);
  inner.writeSeed(spot, { stat: STAT });
  for (const bytes of [0, 1, 511, 512, 513, 2 ** 45 + 1]) {
    inner.writeStored(spot.view, 0, bytes);
    t.is(inner.readStored(spot.view, 0), bytes);
    t.is(Number(spot.buffer.readBigUInt64LE(64)), Math.ceil(bytes / 512));
  }
});

test('extended attributes follow the target: two lengths, name, value', (t) => {
  const spot = place(0);
  inner.writeSeed(spot, { stat: STAT, target: Buffer.from('x') });
  const set = (name: string, value: string): void => {
    const entry = inner.findXattr(spot, Buffer.from(name));
    inner.writeXattr(spot, entry, { name: Buffer.from(name), value: Buffer.from(value) });
  };
  set('user.a', '1');
  set('user.b', '');
  t.is(
    bytesOf(spot).slice(161 * 2),
    '0600000001000000757365722e6131' + '0600000000000000757365722e62',
  );
  set('user.a', '333');
  t.deepEqual(inner.xattrNames(spot).map(String), ['user.a', 'user.b']);
  t.is(inner.xattrValue(spot, inner.findXattr(spot, Buffer.from('user.a'))).toString(), '333');
  t.is(inner.findXattr(spot, Buffer.from('user')), -1);
  inner.eraseXattr(spot, inner.findXattr(spot, Buffer.from('user.a')));
  t.is(bytesOf(spot).slice(161 * 2), '0600000000000000757365722e62');
  t.is(spot.buffer.readUInt32LE(156), 14);
});
