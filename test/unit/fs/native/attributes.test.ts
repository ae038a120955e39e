import test from 'ava';
import { packageStat, packageStatfs } from '../../../../src/fs/native/attributes.ts';
import { makeInodeId } from '../../../../src/ids.ts';

const TIME = { seconds: 5, nanoseconds: 999_999_999 };
const STAT = {
  inode: makeInodeId(3, 77),
  mode: 0o100644,
  nlink: 2,
  uid: 1,
  gid: 2,
  rdev: 0,
  sizeBytes: 2 ** 40,
  storedBytes: 513,
  blockSizeBytes: 2 ** 25,
  atime: TIME,
  mtime: { seconds: -1, nanoseconds: 5 },
  ctime: TIME,
};

test('inode numbers are cut to 32 bits, times to milliseconds of 1970 and later', (t) => {
  // limit: 'inodeNumbers'
  t.like(packageStat(STAT), { ino: 77, atime: 5999, mtime: 0, size: 2 ** 40, blocks: 2 });
  t.is(packageStat(STAT).blksize, 2 ** 20);
});

test('the figures of a file system of any size fit in 32 bits', (t) => {
  const usage = { capacityBytes: 2 ** 30, freeBytes: 2 ** 29, inodes: 5, freeInodes: 100 };
  t.like(packageStatfs(usage), { bsize: 4096, blocks: 2 ** 18, bavail: 2 ** 17, files: 105 });
  const huge = packageStatfs({
    capacityBytes: 2 ** 50,
    freeBytes: 2 ** 50,
    inodes: 0,
    freeInodes: 2 ** 38,
  });
  t.is(huge.blocks * huge.frsize, 2 ** 50);
  t.true(huge.blocks < 2 ** 32 && huge.files < 2 ** 32);
});
