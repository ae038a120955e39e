/**
 * Directory listings. An entry's offset is its sequence number plus two, after `.` (1) and `..` (2); since
 * numbers are never reused, an offset stays good however the directory changes.
 */
import type { EntrySequence, InodeId } from '../ids.ts';
import type { InodeRecord, Listing, MetaStore } from '../meta/store.ts';
import { FileType } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import type { DirectoryHandle } from './handles.ts';
import type { DirectorySink, KnownStat } from './types.ts';

const DOT_OFFSET = 1;
const DOT_DOT_OFFSET = 2;

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

/** Whose directory is listed, and how. */
export interface DirectoryListing {
  meta: MetaStore;
  directory: DirectoryHandle;
  /** The mount's root, whose `..` is itself. */
  root: InodeId;
  /** Set where entries carry attributes. */
  stats: ((records: readonly InodeRecord[]) => Task<ReadonlyMap<InodeId, KnownStat>>) | undefined;
}

/**
 * Puts entries from `page.offset` on into `sink` until it is full or the listing ends. Returns the directory, or nothing
 * if there was nothing left to ask for.
 */
export function* listDirectory(
  listing: DirectoryListing,
  page: { offset: number; expectedEntries: number },
  sink: DirectorySink,
): Task<InodeRecord | undefined> {
  const { meta, directory, stats } = listing;
  let after = Math.max(0, page.offset - DOT_DOT_OFFSET) as EntrySequence;
  const limit = Math.max(1, page.expectedEntries);
  if (directory.upTo !== undefined && page.offset > DOT_DOT_OFFSET && after >= directory.upTo) {
    return undefined;
  }
  for (let isFirst = true; ; isFirst = false) {
    const range = { after, upTo: directory.upTo, limit, withRecords: stats !== undefined };
    const found = yield* wait(meta.list(directory.inode, range));
    directory.upTo = found.upTo;
    if (isFirst && !addDots(found.directory, listing.root, page.offset, sink)) {
      return found.directory;
    }
    const known = stats === undefined ? undefined : yield* stats(recordsOf(found));
    for (const { name, inode, type, sequence } of found.entries) {
      const stat = known?.get(inode);
      const offset = sequence + DOT_DOT_OFFSET;
      const taken = sink.add({ name, inode, type, offset, ...(stat !== undefined && { stat }) });
      if (!taken) return found.directory;
      after = sequence;
    }
    if (found.entries.length === 0 || after >= found.upTo) return found.directory;
  }
}

function recordsOf({ entries }: Listing): InodeRecord[] {
  return entries.flatMap(({ record }) => (record === undefined ? [] : [record]));
}

/** False when the sink was full before both were in. */
function addDots(record: InodeRecord, root: InodeId, offset: number, sink: DirectorySink): boolean {
  const type = FileType.DIRECTORY;
  if (
    offset < DOT_OFFSET &&
    !sink.add({ name: DOT, inode: record.inode, type, offset: DOT_OFFSET })
  ) {
    return false;
  }
  if (offset >= DOT_DOT_OFFSET) return true;
  const parent = record.inode === root || record.parent === 0 ? record.inode : record.parent;
  return sink.add({ name: DOT_DOT, inode: parent, type, offset: DOT_DOT_OFFSET });
}
