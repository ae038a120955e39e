import test from 'ava';
import fc from 'fast-check';
import {
  FUSE_ATTR,
  FUSE_DIRENT,
  FUSE_ENTRY_OUT,
  FUSE_IOCTL_OUT,
  InvalEntryFlag,
} from '../../../../src/fs/fuse/abi.ts';
import {
  encodeStruct,
  readStruct,
  type Decoded,
  type Layout,
} from '../../../../src/fs/fuse/layout.ts';
import {
  DirectoryPage,
  MAX_REPLY_SLICES,
  REPLY_HEADER_BYTES,
  attrFromStat,
  createReply,
  dataReply,
  emptyReply,
  errorReply,
  initReply,
  notifyDelete,
  notifyInvalEntry,
  notifyInvalInode,
  structReply,
  type DirectoryEntry,
} from '../../../../src/fs/fuse/reply.ts';
import type { InodeId } from '../../../../src/ids.ts';
import { InvariantError } from '../../../../src/invariant.ts';
import { FileType, type Stat } from '../../../../src/stat.ts';
import { GOLDEN_REPLIES } from './golden-replies.ts';
import { GOLDEN_HEADER, hex } from './golden-requests.ts';

const { unique } = GOLDEN_HEADER;

for (const [name, { layout, values, bytes }] of Object.entries(GOLDEN_REPLIES)) {
  test(`a reply with fuse_${name}_out has these bytes`, (t) => {
    t.deepEqual(structReply(unique, layout, values as never), bytes);
  });

  test(`a reply with fuse_${name}_out reads back`, (t) => {
    t.deepEqual(readStruct<Layout>(layout, bytes, REPLY_HEADER_BYTES), values as Decoded<Layout>);
  });
}

test('an error is sent negative, with nothing else', (t) => {
  const bytes = hex(`
    10000000         // len
    feffffff         // error: -ENOENT
    e2beadde01000000 // unique
  `);
  t.deepEqual(errorReply(unique, 2), bytes);
});

test('an errno that the kernel would not take is a bug', (t) => {
  for (const errno of [0, -2, 512]) {
    t.throws(() => errorReply(unique, errno), { instanceOf: InvariantError });
  }
  t.is(errorReply(unique, 511).readInt32LE(4), -511);
});

test('an empty reply is a header', (t) => {
  const bytes = hex(`
    10000000         // len
    00000000         // error
    e2beadde01000000 // unique
  `);
  t.deepEqual(emptyReply(unique), bytes);
});

test('a unique of 64 bits comes back whole', (t) => {
  const reply = emptyReply({ low: 0xffff_fffe, high: 0x8000_0001 });
  t.is(reply.toString('hex', 8), 'feffffff01000080');
});

test('a reply to CREATE is an entry and an open handle', (t) => {
  const { entry, open } = GOLDEN_REPLIES;
  const bytes = Buffer.concat([entry.bytes, open.bytes.subarray(REPLY_HEADER_BYTES)]);
  bytes.writeUInt32LE(16 + 128 + 16, 0);
  t.deepEqual(createReply(unique, entry.values, open.values), bytes);
});

test('a reply to INIT is as long as the kernel takes', (t) => {
  const { values, bytes } = GOLDEN_REPLIES.init;
  t.deepEqual(initReply(unique, values, 45), bytes);
  for (const [minor, length] of [
    [4, 24],
    [22, 40],
  ] as const) {
    const shorter = Buffer.from(bytes.subarray(0, length));
    shorter.writeUInt32LE(length, 0);
    t.deepEqual(initReply(unique, values, minor), shorter);
  }
});

test('data are sent from where they are', (t) => {
  const slices = [Buffer.from('hello'), Buffer.from(' world')];
  const reply = dataReply(unique, slices);
  const header = hex(`
    1b000000         // len
    00000000         // error
    e2beadde01000000 // unique
  `);
  t.deepEqual(reply, [header, ...slices]);
  t.is(reply[1], slices[0]);
});

test('a reply without data is a header', (t) => {
  t.deepEqual(dataReply(unique, []), [emptyReply(unique)]);
});

test('a structure before the data is a slice like others', (t) => {
  const { values } = GOLDEN_REPLIES.ioctl;
  const reply = dataReply(unique, [encodeStruct(FUSE_IOCTL_OUT, values), Buffer.from('out')]);
  const golden = Buffer.concat([GOLDEN_REPLIES.ioctl.bytes, Buffer.from('out')]);
  golden.writeUInt32LE(golden.length, 0);
  t.deepEqual(Buffer.concat(reply), golden);
});

test('more slices than writev takes are joined', (t) => {
  const slices = Array.from({ length: MAX_REPLY_SLICES }, (_, index) => Buffer.from([index & 255]));
  t.is(dataReply(unique, slices).length, MAX_REPLY_SLICES + 1);
  const joined = dataReply(unique, [...slices, Buffer.from('x')]);
  t.is(joined.length, 2);
  t.is(joined[0]?.readUInt32LE(0), 16 + MAX_REPLY_SLICES + 1);
  t.deepEqual(joined[1], Buffer.concat([...slices, Buffer.from('x')]));
});

test('INVAL_INODE has these bytes', (t) => {
  const bytes = hex(`
    28000000         // len
    02000000         // code in the place of the error
    0000000000000000 // unique
    fecaad0b02000000 // ino
    ffffffffffffffff // off: attributes only
    0010000000000000 // len
  `);
  t.deepEqual(notifyInvalInode({ nodeid: 0x20badcafe, offset: -1, lengthBytes: 4096 }), bytes);
});

test('INVAL_ENTRY has these bytes', (t) => {
  const bytes = hex(`
    26000000         // len
    03000000         // code in the place of the error
    0000000000000000 // unique
    fecaad0b02000000 // parent
    05000000         // namelen, without the NUL
    01000000         // flags: EXPIRE_ONLY
    6e61ff6d6500     // name, with the NUL
  `);
  const name = Buffer.from('6e61ff6d65', 'hex');
  const flags = InvalEntryFlag.EXPIRE_ONLY;
  t.deepEqual(notifyInvalEntry({ parent: 0x20badcafe, name, flags }), bytes);
  t.is(notifyInvalEntry({ parent: 1, name }).readUInt32LE(28), 0);
});

test('DELETE has these bytes', (t) => {
  const bytes = hex(`
    2b000000         // len
    06000000         // code in the place of the error
    0000000000000000 // unique
    0100000000000000 // parent
    fecaad0b02000000 // child
    02000000         // namelen, without the NUL
    00000000         // padding
    746f00           // name, with the NUL
  `);
  t.deepEqual(notifyDelete({ parent: 1, child: 0x20badcafe, name: Buffer.from('to') }), bytes);
});

const FILE: DirectoryEntry = {
  inode: 0x20badcafe,
  offset: 4097,
  type: FileType.REGULAR | 0o644,
  name: Buffer.from('6e61ff6d65', 'hex'),
};

test('a page of READDIR has these bytes', (t) => {
  const page = new DirectoryPage({ limitBytes: 64, plus: false });
  t.true(page.add(FILE));
  t.true(page.add({ ...FILE, type: FileType.DIRECTORY, name: Buffer.from('eightchr') }));
  const bytes = hex(`
    50000000         // len
    00000000         // error
    e2beadde01000000 // unique
    fecaad0b02000000 // ino
    0110000000000000 // off
    05000000         // namelen
    08000000         // type DT_REG
    6e61ff6d65       // name
    000000           // up to a multiple of 8
    fecaad0b02000000 // ino
    0110000000000000 // off
    08000000         // namelen
    04000000         // type DT_DIR
    6569676874636872 // name, which needs no padding
  `);
  t.deepEqual(page.reply(unique), bytes);
});

test('a page of READDIRPLUS has an entry before each record, zeros where there is none', (t) => {
  const page = new DirectoryPage({ limitBytes: 1000, plus: true });
  const { entry } = GOLDEN_REPLIES;
  t.true(page.add({ ...FILE, entry: entry.values }));
  t.true(page.add({ ...FILE, name: Buffer.from('.') }));
  const bytes = Buffer.concat([
    hex(`
      50010000         // len
      00000000         // error
      e2beadde01000000 // unique
    `),
    entry.bytes.subarray(REPLY_HEADER_BYTES),
    hex(`
      fecaad0b02000000 // ino
      0110000000000000 // off
      05000000         // namelen
      08000000         // type
      6e61ff6d65       // name
      000000           // up to a multiple of 8
    `),
    Buffer.alloc(128), // no entry: node 0
    hex(`
      fecaad0b02000000 // ino
      0110000000000000 // off
      01000000         // namelen
      08000000         // type
      2e               // name
      00000000000000   // up to a multiple of 8
    `),
  ]);
  t.deepEqual(page.reply(unique), bytes);
});

test('an empty page is an empty reply', (t) => {
  const page = new DirectoryPage({ limitBytes: 4096, plus: true });
  t.true(page.isEmpty);
  t.deepEqual(page.reply(unique), emptyReply(unique));
});

test('a record that does not fit is refused and leaves the page as it was', (t) => {
  for (const [plus, recordBytes] of [
    [false, 32],
    [true, 160],
  ] as const) {
    const page = new DirectoryPage({ limitBytes: recordBytes * 2 - 1, plus });
    t.true(page.add(FILE));
    t.false(page.add(FILE));
    const alone = new DirectoryPage({ limitBytes: recordBytes, plus });
    t.true(alone.add(FILE));
    t.deepEqual(page.reply(unique), alone.reply(unique));
  }
});

test('a page without room for any record stays empty', (t) => {
  const page = new DirectoryPage({ limitBytes: 0, plus: false });
  t.false(page.add(FILE));
  t.true(page.isEmpty);
});

test('an empty name is a bug', (t) => {
  const page = new DirectoryPage({ limitBytes: 4096, plus: false });
  t.throws(() => page.add({ ...FILE, name: Buffer.alloc(0) }), { instanceOf: InvariantError });
});

test('whatever is added to a page reads back, within the limit', (t) => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 255 });
  const property = fc.property(fc.array(name, { maxLength: 60 }), fc.nat(9000), (names, limit) => {
    const page = new DirectoryPage({ limitBytes: limit, plus: false });
    const added = names.filter((bytes, index) =>
      page.add({ ...FILE, offset: index, name: Buffer.from(bytes) }),
    );
    const reply = page.reply(unique);
    t.true(reply.length <= REPLY_HEADER_BYTES + limit);
    const read: Buffer[] = [];
    for (let at = REPLY_HEADER_BYTES; at < reply.length;) {
      const { namelen } = readStruct(FUSE_DIRENT, reply, at);
      at += FUSE_DIRENT.sizeBytes;
      read.push(reply.subarray(at, at + namelen));
      at = Math.ceil((at + namelen) / 8) * 8;
    }
    t.deepEqual(
      read.map((bytes) => bytes.toString('hex')),
      added.map((bytes) => Buffer.from(bytes).toString('hex')),
    );
  });
  fc.assert(property, { numRuns: 100 });
});

const STAT: Stat = {
  inode: 0x20badcafe as InodeId,
  mode: FileType.REGULAR | 0o4755,
  nlink: 3,
  uid: 1000,
  gid: 100,
  rdev: 0x801,
  sizeBytes: 5_000_000_000,
  storedBytes: 513,
  blockSizeBytes: 65536,
  atime: { seconds: -1, nanoseconds: 999_999_999 },
  mtime: { seconds: 2 ** 33, nanoseconds: 2 },
  ctime: { seconds: 0, nanoseconds: 0 },
};

test("attributes are the stat's", (t) => {
  t.deepEqual(attrFromStat(STAT), {
    ino: 0x20badcafe,
    size: 5_000_000_000,
    blocks: 2,
    atime: -1,
    mtime: 2 ** 33,
    ctime: 0,
    atimensec: 999_999_999,
    mtimensec: 2,
    ctimensec: 0,
    mode: 0o104755,
    nlink: 3,
    uid: 1000,
    gid: 100,
    rdev: 0x801,
    blksize: 65536,
    flags: 0,
  });
  t.is(attrFromStat(STAT, 1).ino, 1);
});

test('times before 1970 reach the kernel in two’s complement', (t) => {
  const bytes = encodeStruct(FUSE_ATTR, attrFromStat(STAT));
  t.is(bytes.readBigInt64LE(24), -1n);
  t.is(bytes.readBigInt64LE(32), 2n ** 33n);
});

test('the preferred size of reads and writes is a megabyte at most', (t) => {
  t.is(attrFromStat({ ...STAT, blockSizeBytes: 2 ** 40 }).blksize, 2 ** 20);
  t.is(attrFromStat({ ...STAT, blockSizeBytes: 1_000_000 }).blksize, 1_000_000);
});

test('nothing stored is no blocks, one byte is one', (t) => {
  t.is(attrFromStat({ ...STAT, storedBytes: 0 }).blocks, 0);
  t.is(attrFromStat({ ...STAT, storedBytes: 1 }).blocks, 1);
  t.is(attrFromStat({ ...STAT, storedBytes: 512 }).blocks, 1);
});

test('replies do not share memory that a later one overwrites', (t) => {
  const first = structReply(unique, FUSE_ENTRY_OUT, GOLDEN_REPLIES.entry.values);
  for (let count = 0; count < 200; count++) errorReply(unique, 5);
  t.deepEqual(first, GOLDEN_REPLIES.entry.bytes);
});
