/**
 * Directory listings. An entry's offset is its sequence number plus two, after `.` (1) and `..` (2); since
 * numbers are never reused, an offset stays good however the directory changes.
 */
import type { EntrySequence, InodeId } from '../ids.ts';
import type { InodeRecord, MetaStore } from '../meta/store.ts';
import { FileType, type Stat } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import type { DirectoryHandle } from './handles.ts';
import type { DirectorySink } from './types.ts';

const DOT_OFFSET = 1;
const DOT_DOT_OFFSET = 2;

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

export interface Listing {
  meta: MetaStore;
  directory: DirectoryHandle;
  record: InodeRecord;
  /** The mount's root, whose `..` is itself. */
  root: InodeId;
  /** Set where entries carry attributes; undefined for an entry that has gone meanwhile. */
  stat: ((inode: InodeId) => Task<Stat | undefined>) | undefined;
}

/** Puts entries from `page.offset` on into `sink` until it is full or the listing ends. */
export function* listDirectory(
  listing: Listing,
  page: { offset: number; expectedEntries: number },
  sink: DirectorySink,
): Task<void> {
  if (!addDots(listing, page.offset, sink)) return;
  const { meta, directory } = listing;
  let after = Math.max(0, page.offset - DOT_DOT_OFFSET) as EntrySequence;
  const limit = Math.max(1, page.expectedEntries);
  for (;;) {
    const entries = yield* wait(meta.list(directory.inode, { after, upTo: directory.upTo, limit }));
    for (const entry of entries) {
      const stat = listing.stat === undefined ? undefined : yield* listing.stat(entry.inode);
      const { name, inode, type, sequence } = entry;
      const offset = sequence + DOT_DOT_OFFSET;
      const taken = sink.add({ name, inode, type, offset, ...(stat !== undefined && { stat }) });
      if (!taken) return;
      after = sequence;
    }
    if (entries.length < limit) return;
  }
}

/** False when the sink was full before both were in. */
function addDots(listing: Listing, offset: number, sink: DirectorySink): boolean {
  const { record, root } = listing;
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
