/** What an outer record is a record of. */
import { FsError } from '../errno.ts';
import type { InodeRecord } from '../meta/store.ts';
import { FileType, fileTypeOf } from '../stat.ts';

export function isRegular(record: InodeRecord): boolean {
  return fileTypeOf(record.mode) === FileType.REGULAR;
}

export function isDirectory(record: InodeRecord): boolean {
  return fileTypeOf(record.mode) === FileType.DIRECTORY;
}

/** EISDIR for a directory, EINVAL for anything else that is no regular file. */
export function requireRegular(record: InodeRecord): void {
  if (isDirectory(record)) throw new FsError('EISDIR');
  if (!isRegular(record)) throw new FsError('EINVAL');
}
