/** One `struct stat` out of the two places that keep it: the outer record and block 0. Pure functions. */
import type { DataAttributes } from '../blocks/store.ts';
import { compareTime, laterOf, type Timespec } from '../clock.ts';
import type { InodeRecord } from '../meta/store.ts';
import { FileType, fileTypeOf, type Stat } from '../stat.ts';

const DAY_SECONDS = 86_400;

/**
 * The outer record decides on all that namespace operations change; block 0, where there is one, on a regular
 * file's size and times. ctime is the later of both, since either side may have seen the last change.
 */
export function mergeStat(record: InodeRecord, inner: DataAttributes | undefined): Stat {
  const data = inner !== undefined && fileTypeOf(record.mode) === FileType.REGULAR ? inner : record;
  return {
    inode: record.inode,
    mode: record.mode,
    nlink: record.nlink,
    uid: record.uid,
    gid: record.gid,
    rdev: record.rdev,
    sizeBytes: data.sizeBytes,
    storedBytes: data.storedBytes,
    blockSizeBytes: record.layout.blockSizeBytes,
    atime: data.atime,
    mtime: data.mtime,
    ctime: inner === undefined ? record.ctime : laterOf(record.ctime, inner.ctime),
  };
}

/** When a read moves a file's access time: never, as `relatime` says, or always. */
export type AtimePolicy = 'noatime' | 'relatime' | 'strictatime';

/**
 * `relatime` as in mount(8): only if the access time is not later than the last change of data or inode, or
 * is a day old.
 */
export function atimeIsDue(
  policy: AtimePolicy,
  stat: Pick<Stat, 'atime' | 'mtime' | 'ctime'>,
  now: Timespec,
): boolean {
  if (policy !== 'relatime') return policy === 'strictatime';
  return (
    compareTime(stat.atime, stat.mtime) <= 0 ||
    compareTime(stat.atime, stat.ctime) <= 0 ||
    now.seconds - stat.atime.seconds >= DAY_SECONDS
  );
}
