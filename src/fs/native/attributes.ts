/** From our attributes and figures to the package's, whose numbers have 32 bits and whose times are milliseconds. Pure. */
import type { Timespec } from '../../clock.ts';
import type { Stat } from '../../stat.ts';
import type { FileSystemUsage } from '../types.ts';
import type { PackageStat, PackageStatfs } from './fuse-native.d.ts';

const WORD = 2 ** 32;
const STAT_BLOCK_BYTES = 512;
/** The kernel shows the next lower power of two of what it is told. */
const MAX_BLKSIZE = 2 ** 20;
const SMALLEST_UNIT_BYTES = 4096;
const NAME_MAX_BYTES = 255;

export function packageStat(stat: Stat): PackageStat {
  return {
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.sizeBytes,
    nlink: stat.nlink,
    ino: packageInode(stat.inode),
    rdev: stat.rdev,
    blksize: Math.min(stat.blockSizeBytes, MAX_BLKSIZE),
    blocks: Math.ceil(stat.storedBytes / STAT_BLOCK_BYTES),
    atime: toMilliseconds(stat.atime),
    mtime: toMilliseconds(stat.mtime),
    ctime: toMilliseconds(stat.ctime),
  };
}

/** The low 32 bits. */
export function packageInode(inode: number): number {
  return inode % WORD;
}

/** Times before 1970 become 1970: the C half divides them as unsigned numbers. */
function toMilliseconds({ seconds, nanoseconds }: Timespec): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1e6));
}

/** The unit grows until the number of units fits. */
export function packageStatfs(usage: FileSystemUsage): PackageStatfs {
  let unit = SMALLEST_UNIT_BYTES;
  while (usage.capacityBytes / unit >= WORD) unit *= 2;
  const free = Math.floor(usage.freeBytes / unit);
  const count = (value: number): number => Math.min(value, WORD - 1);
  return {
    bsize: unit,
    frsize: unit,
    blocks: Math.floor(usage.capacityBytes / unit),
    bfree: free,
    bavail: free,
    files: count(usage.inodes + usage.freeInodes),
    ffree: count(usage.freeInodes),
    favail: count(usage.freeInodes),
    namemax: NAME_MAX_BYTES,
  };
}
