/**
 * What a metadata server's answers must be beyond being of the right type. What a broken server says otherwise would be
 * taken for another inode, or make its asker ask for ever: here it is a {@link ProtocolError}, which fails the request.
 */
import { MIN_BLOCK_SIZE_BYTES } from '../config.ts';
import type { InodeId } from '../ids.ts';
import { ProtocolError } from '../net/errors.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { MAX_NAME_BYTES } from './directories.ts';
import type { InodeRecord, Listing, ListingPage } from './store.ts';

const TYPES: ReadonlySet<number> = new Set(Object.values(FileType));

/** A record as a server can have one: of a known type, in blocks of a size that there is. */
export function possibleRecord(record: InodeRecord): InodeRecord {
  const { inode, mode, layout } = record;
  if (!TYPES.has(fileTypeOf(mode))) {
    throw new ProtocolError(`inode ${inode} is said to be of type ${fileTypeOf(mode)}`);
  }
  if (layout.blockSizeBytes < MIN_BLOCK_SIZE_BYTES) {
    throw new ProtocolError(`inode ${inode} is said to have blocks of ${layout.blockSizeBytes}`);
  }
  return record;
}

/** The record of the inode that was asked for. */
export function recordOf(inode: InodeId, record: InodeRecord): InodeRecord {
  if (record.inode === inode) return record;
  throw new ProtocolError(`inode ${inode} was asked for, ${record.inode} was told`);
}

/** As many answers as there were questions. */
export function oneForEach<T>(questions: readonly unknown[], answers: T[]): T[] {
  if (answers.length === questions.length) return answers;
  throw new ProtocolError(`${questions.length} answers expected, ${answers.length} received`);
}

/** A page that leads on: each entry lies behind the one before, and one that is not the last has entries. */
export function pageOf<P extends Listing & { isLast: boolean }>(asked: ListingPage, page: P): P {
  if (page.entries.length > asked.limit) throw new ProtocolError('more entries than asked for');
  if (page.entries.length === 0 && !page.isLast) throw new ProtocolError('a page without entries');
  let after = asked.after;
  for (const { name, sequence } of page.entries) {
    if (sequence <= after || sequence > page.upTo) {
      throw new ProtocolError(`entry ${sequence} is not between ${after} and ${page.upTo}`);
    }
    if (!isName(name)) throw new ProtocolError('an entry whose name is none');
    after = sequence;
  }
  return page;
}

function isName(name: Buffer): boolean {
  const isLong = name.length > MAX_NAME_BYTES;
  return name.length > 0 && !isLong && !name.includes(0) && !name.includes('/');
}
