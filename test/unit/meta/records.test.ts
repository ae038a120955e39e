import test from 'ava';
import { ShortBufferError } from '../../../src/bytes.ts';
import { FsError } from '../../../src/errno.ts';
import type { InodeId } from '../../../src/ids.ts';
import { decodeIdentity, encodeIdentity } from '../../../src/meta/identity.ts';
import {
  decodeEntry,
  decodeInode,
  decodeListing,
  decodeNumber,
  encodeEntry,
  encodeInode,
  encodeListing,
  encodeNumber,
  type StoredInode,
} from '../../../src/meta/records.ts';
import { FileType } from '../../../src/stat.ts';

const hex = (...parts: string[]): Buffer => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex');
const INODE = 0x0102 as InodeId;

const NEW_FILE: StoredInode = {
  inode: INODE,
  mode: FileType.REGULAR | 0o644,
  nlink: 1,
  uid: 1000,
  gid: 2000,
  rdev: 0,
  ctime: { seconds: 1, nanoseconds: 2 },
  atime: { seconds: 1, nanoseconds: 2 },
  mtime: { seconds: 1, nanoseconds: 2 },
  sizeBytes: 0,
  storedBytes: 0,
  dataVersion: 0,
  generation: 0,
  truncatedBytes: 0,
  home: 0,
  unborn: true,
  layout: { policy: 'HASH', replication: 2, blockSizeBytes: 0x100000 },
  mapEpoch: 3,
  uri: 'imss://a/b',
  target: undefined,
  parent: 0,
  directory: undefined,
  hasWriters: false,
};
const HEAD = 'a481 01000000 e8030000 d0070000 00000000 0100000000000000 02000000';
const PLACEMENT = '02 02 0000100000000000 0300000000000000 0300 612f62';

const INODE_CASES: { what: string; record: StoredInode; bytes: Buffer }[] = [
  {
    what: 'a new file',
    record: NEW_FILE,
    bytes: hex('01 01', HEAD, PLACEMENT),
  },
  {
    what: 'a born file with times of its own',
    record: {
      ...NEW_FILE,
      unborn: false,
      atime: { seconds: -1, nanoseconds: 5 },
      mtime: { seconds: 7, nanoseconds: 0 },
      sizeBytes: 2 ** 40,
      storedBytes: 16,
      dataVersion: 9,
    },
    bytes: hex(
      '01 06',
      HEAD,
      'ffffffffffffffff 05000000 0700000000000000 00000000',
      '0000000000010000 1000000000000000 0900000000000000',
      PLACEMENT,
    ),
  },
  {
    what: 'a symlink',
    record: {
      ...NEW_FILE,
      mode: FileType.SYMLINK | 0o777,
      sizeBytes: 2,
      target: Buffer.from('xy'),
    },
    bytes: hex(
      '01 05 ffa1',
      HEAD.slice(4),
      '0200000000000000 0000000000000000 0000000000000000',
      PLACEMENT,
      '0200 7879',
    ),
  },
  {
    what: 'a directory',
    record: {
      ...NEW_FILE,
      mode: FileType.DIRECTORY | 0o755,
      sizeBytes: 80,
      parent: 1 as InodeId,
      directory: { name: Buffer.from('b'), lastSequence: 5, entries: 2 },
    },
    bytes: hex(
      '01 05 ed41',
      HEAD.slice(4),
      '5000000000000000 0000000000000000 0000000000000000',
      PLACEMENT,
      '0100000000000000 0500000000000000 0200000000000000 01 62',
    ),
  },
  {
    what: 'a file with an access ACL',
    record: { ...NEW_FILE, acls: { access: Buffer.from('xy') } },
    bytes: hex('01 41', HEAD, PLACEMENT, '0200 7879 0000'),
  },
  {
    what: 'a directory with both ACLs',
    record: {
      ...NEW_FILE,
      mode: FileType.DIRECTORY | 0o755,
      sizeBytes: 80,
      parent: 1 as InodeId,
      directory: { name: Buffer.from('b'), lastSequence: 5, entries: 2 },
      acls: { access: Buffer.from('x'), default: Buffer.from('yz') },
    },
    bytes: hex(
      '01 45 ed41',
      HEAD.slice(4),
      '5000000000000000 0000000000000000 0000000000000000',
      PLACEMENT,
      '0100000000000000 0500000000000000 0200000000000000 01 62',
      '0100 78 0200 797a',
    ),
  },
];

for (const { what, record, bytes } of INODE_CASES) {
  test(`the record of ${what} has its fixed layout`, (t) => {
    t.is(encodeInode(record).toString('hex'), bytes.toString('hex'));
    t.deepEqual(decodeInode(INODE, bytes), record);
  });

  test(`the record of ${what} is refused when cut anywhere`, (t) => {
    for (let length = 0; length < bytes.length; length++) {
      t.throws(() => decodeInode(INODE, bytes.subarray(0, length)), {
        instanceOf: ShortBufferError,
      });
    }
  });

  test(`the record of ${what} may have fields added at its end`, (t) => {
    t.deepEqual(decodeInode(INODE, Buffer.concat([bytes, hex('aabb')])), record);
  });
}

const SMALL_CASES: {
  what: string;
  bytes: Buffer;
  value: unknown;
  encode: () => Buffer;
  decode: (bytes: Buffer) => unknown;
}[] = [
  {
    what: 'entry',
    bytes: hex('01 0201000000000000 0080 0700000000000000'),
    value: { inode: INODE, type: FileType.REGULAR, sequence: 7 },
    encode: () => encodeEntry({ inode: INODE, type: FileType.REGULAR, sequence: 7 }),
    decode: decodeEntry,
  },
  {
    what: 'listing',
    bytes: hex('01 0201000000000000 0040 02 ff61'),
    value: { inode: INODE, type: FileType.DIRECTORY, name: hex('ff61') },
    encode: () => encodeListing({ inode: INODE, type: FileType.DIRECTORY, name: hex('ff61') }),
    decode: decodeListing,
  },
  {
    what: 'number',
    bytes: hex('01 0500000001000000'),
    value: 2 ** 32 + 5,
    encode: () => encodeNumber(2 ** 32 + 5),
    decode: decodeNumber,
  },
];

for (const { what, bytes, value, encode, decode } of SMALL_CASES)
  test(`the ${what} record has its fixed layout, and is refused when cut anywhere`, (t) => {
    t.is(encode().toString('hex'), bytes.toString('hex'));
    t.deepEqual(decode(bytes), value);
    for (let length = 0; length < bytes.length; length++) {
      t.throws(() => decode(bytes.subarray(0, length)), { instanceOf: ShortBufferError });
    }
  });

test('a record of a later version or an unknown policy is EIO', (t) => {
  const bytes = Buffer.from(INODE_CASES[0]?.bytes ?? []);
  bytes[0] = 2;
  t.is(t.throws(() => decodeInode(INODE, bytes), { instanceOf: FsError }).code, 'EIO');
  bytes[0] = 1;
  bytes[2 + HEAD.replaceAll(' ', '').length / 2] = 99;
  t.is(t.throws(() => decodeInode(INODE, bytes), { instanceOf: FsError }).code, 'EIO');
});

test('an identity has its fixed layout, and anything else is not one', (t) => {
  const clusterId = Buffer.alloc(16, 0xcd);
  const bytes = hex(
    Buffer.from('imssfs-meta\0').toString('hex'),
    '07000000',
    'cd'.repeat(16),
    '0300',
  );
  t.is(
    encodeIdentity({ formatVersion: 7, clusterId, server: 3 }).toString('hex'),
    bytes.toString('hex'),
  );
  t.deepEqual(decodeIdentity(bytes), { formatVersion: 7, clusterId, server: 3 });
  t.is(decodeIdentity(Buffer.alloc(bytes.length)), undefined);
  for (let length = 0; length < bytes.length; length++) {
    t.is(decodeIdentity(bytes.subarray(0, length)), undefined);
  }
});
