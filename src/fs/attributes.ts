/** One `struct stat` out of the two places that keep it, the outer record and block 0, and which of them a change goes to. Pure. */
import type { DataAttributes } from '../blocks/store.ts';
import { type Clock, compareTime, laterOf, type Timespec } from '../clock.ts';
import type { AttributeChange, InodeRecord } from '../meta/store.ts';
import { FileType, fileTypeOf, PERMISSION_MASK, type Stat } from '../stat.ts';
import type { KnownStat, SetAttributes } from './types.ts';

const DAY_SECONDS = 86_400;

/**
 * The outer record decides on all that namespace operations change; block 0, where there is one, on a regular
 * file's size and times. ctime is the later of both, since either side may have seen the last change.
 */
export function mergeStat(record: InodeRecord, inner: DataAttributes | undefined): KnownStat {
  const data = inner !== undefined && fileTypeOf(record.mode) === FileType.REGULAR ? inner : record;
  const stat: KnownStat = {
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
  if (inner !== undefined || record.unsettled) stat.isUnsettled = true;
  return stat;
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

/** The times that a change sets; undefined if it sets none. */
export function requestedTimes(
  { atime, mtime }: SetAttributes,
  clock: Pick<Clock, 'now'>,
): Pick<AttributeChange, 'atime' | 'mtime'> | undefined {
  if (atime === undefined && mtime === undefined) return undefined;
  const now = clock.now();
  return {
    ...(atime !== undefined && { atime: atime === 'now' ? now : atime }),
    ...(mtime !== undefined && { mtime: mtime === 'now' ? now : mtime }),
  };
}

/**
 * The part of a change that the outer record decides on; undefined if there is none. A chown takes set-uid and
 * set-gid from what is no directory (chown(2)); one that changes nothing, of -1 and -1, still moves ctime.
 */
export function outerChange(
  record: InodeRecord,
  change: SetAttributes,
  times: Pick<AttributeChange, 'atime' | 'mtime'> | undefined,
): AttributeChange | undefined {
  const chowned = change.uid !== undefined || change.gid !== undefined;
  const drops =
    (change.dropPrivilegeBits === true || chowned) &&
    fileTypeOf(record.mode) !== FileType.DIRECTORY;
  const outer: AttributeChange = {
    ...(change.permissions !== undefined && { permissions: change.permissions & PERMISSION_MASK }),
    ...(change.uid !== undefined && { uid: change.uid }),
    ...(change.gid !== undefined && { gid: change.gid }),
    ...(change.acl !== undefined && { acl: change.acl }),
    ...(drops && (record.mode & 0o6000) !== 0 && { dropPrivilegeBits: true }),
    ...times,
  };
  const isEmpty = Object.keys(outer).length === 0;
  return isEmpty && Object.keys(change).length > 0 ? undefined : outer;
}
