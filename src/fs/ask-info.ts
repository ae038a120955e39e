/** Asks a mount about a dataset, from outside: the other end of dataset-info.ts. */
import { Errno, errnoName, type ErrnoName, FsError } from '../errno.ts';
import {
  type BlockInfo,
  blocksAttribute,
  type DatasetInfo,
  INFO_ATTRIBUTE,
} from './dataset-info.ts';
import { cString, libc } from './fuse/libc.ts';

/** XATTR_SIZE_MAX of linux/limits.h. */
const MAX_VALUE_BYTES = 65_536;

/** What the mount tells of the dataset at `path`; the last symlink is not followed. Throws FsError. */
export function askDataset(path: Buffer): DatasetInfo {
  return JSON.parse(attribute(path, INFO_ATTRIBUTE)) as DatasetInfo;
}

/** All blocks of a dataset, a page at a time. Throws FsError. */
export function* askBlocks(path: Buffer, count: number): Generator<BlockInfo> {
  for (let first = 0; first < count;) {
    const page = JSON.parse(attribute(path, blocksAttribute(first))) as BlockInfo[];
    yield* page;
    if (page.length === 0) return;
    first += page.length;
  }
}

function attribute(path: Buffer, name: string): string {
  const value = Buffer.alloc(MAX_VALUE_BYTES);
  const calls = libc();
  const length = calls.lgetxattr(cString(path), cString(name), value);
  if (length < 0) throw failure(calls.errno());
  return value.toString('utf8', 0, length);
}

function failure(errno: number): FsError {
  const name = errnoName(errno);
  return new FsError(Object.hasOwn(Errno, name) ? (name as ErrnoName) : 'EIO');
}
