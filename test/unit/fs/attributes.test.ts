import test from 'ava';
import type { DataAttributes } from '../../../src/blocks/store.ts';
import { atimeIsDue, mergeStat } from '../../../src/fs/attributes.ts';
import type { InodeId } from '../../../src/ids.ts';
import type { InodeRecord } from '../../../src/meta/store.ts';
import { FileType } from '../../../src/stat.ts';

const at = (seconds: number): { seconds: number; nanoseconds: number } => ({
  seconds,
  nanoseconds: 0,
});

const record: InodeRecord = {
  inode: 9 as InodeId,
  mode: FileType.REGULAR | 0o640,
  nlink: 2,
  uid: 3,
  gid: 4,
  rdev: 0,
  sizeBytes: 5,
  storedBytes: 5,
  atime: at(1),
  mtime: at(2),
  ctime: at(10),
  dataVersion: 0,
  generation: 0,
  truncatedBytes: 0,
  home: 0,
  unborn: false,
  unsettled: true,
  layout: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
  mapEpoch: 0,
  uri: 'imss://f',
  target: undefined,
  parent: 0,
};

const inner: DataAttributes = {
  sizeBytes: 50,
  storedBytes: 40,
  atime: at(11),
  mtime: at(12),
  ctime: at(9),
  dataVersion: 1,
  generation: 0,
  truncatedBytes: 0,
};

test('block 0 decides on size and times of a regular file, the outer record on the rest', (t) => {
  const stat = mergeStat(record, inner);
  t.is(stat.sizeBytes, 50);
  t.is(stat.storedBytes, 40);
  t.deepEqual(stat.mtime, at(12));
  t.is(stat.mode, record.mode);
  t.is(stat.nlink, 2);
});

test('ctime is the later of the two', (t) => {
  t.deepEqual(mergeStat(record, inner).ctime, at(10));
  t.deepEqual(mergeStat(record, { ...inner, ctime: at(20) }).ctime, at(20));
});

test('an unborn dataset is described by its record alone', (t) => {
  t.is(mergeStat(record, undefined).sizeBytes, 5);
});

test('a directory keeps its own size and times although its block 0 holds extended attributes', (t) => {
  const directory = { ...record, mode: FileType.DIRECTORY | 0o755 };
  const stat = mergeStat(directory, { ...inner, ctime: at(20) });
  t.is(stat.sizeBytes, 5);
  t.deepEqual(stat.mtime, at(2));
  t.deepEqual(stat.ctime, at(20));
});

test('relatime moves the access time when it is not after the last change, or a day old', (t) => {
  const now = at(100);
  const changed = { atime: at(5), mtime: at(6), ctime: at(1) };
  t.true(atimeIsDue('relatime', changed, now));
  t.true(atimeIsDue('relatime', { atime: at(5), mtime: at(1), ctime: at(6) }, now));
  t.false(atimeIsDue('relatime', { atime: at(7), mtime: at(6), ctime: at(6) }, now));
  t.true(atimeIsDue('relatime', { atime: at(7), mtime: at(6), ctime: at(6) }, at(7 + 86_400)));
  t.false(atimeIsDue('noatime', changed, now));
  t.true(atimeIsDue('strictatime', { atime: at(7), mtime: at(6), ctime: at(6) }, now));
});
