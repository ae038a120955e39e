/**
 * What opening an existing database has to put right when its datasets' blocks went with the process that held
 * them. Every batch is a transaction of its own, and starting over after a crash in between is harmless.
 */
import type { InodeId } from '../ids.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import { dropEntry, requireDirectory, type StoredDirectory } from './directories.ts';
import { firstNumber, inodeKey, keyAfter, secondNumber, Table, tableRange } from './keys.ts';
import type { KeyRange, KeyValueTransaction } from './kv.ts';
import type { LmdbKeyValue } from './lmdb-kv.ts';
import { decodeInode, decodeListing, type StoredInode } from './records.ts';
import { findInode, putInode } from './tables.ts';

const BATCH = 1000;

/** Where the next batch begins, undefined after the last. */
type Progress = Buffer | undefined;

/**
 * Drops the datasets whose data was in blocks that are gone, with all their names, and returns their number.
 * Directories, symlinks (their record keeps the target) and special files stay, without a block 0 as if unborn.
 */
export function dropDatasetsWithoutBlocks(database: LmdbKeyValue): number {
  inBatches(database, tableRange(Table.LISTING), dropNames);
  let dropped = 0;
  inBatches(database, tableRange(Table.INODES), function* (kv, range) {
    const pairs = yield* wait(kv.range(range));
    for (const { key, value } of pairs) {
      const record = decodeInode(firstNumber(key) as InodeId, value);
      if (record.unborn) continue;
      if (isLost(record)) {
        yield* wait(kv.remove(inodeKey(record.inode)));
        dropped++;
      } else {
        record.unborn = true;
        yield* putInode(kv, record);
      }
    }
    return nextAfter(pairs);
  });
  return dropped;
}

/** Forgets who had what open, and where blocks were: clients and blocks went with the process that served them. */
export function dropOpensAndClaims(database: LmdbKeyValue): void {
  for (const table of [Table.OPENS, Table.BLOCK_SERVERS]) {
    inBatches(database, tableRange(table), dropRows);
  }
}

function inBatches(
  database: LmdbKeyValue,
  table: KeyRange,
  batch: (kv: KeyValueTransaction, range: KeyRange) => Task<Progress>,
): void {
  let start: Progress = table.start;
  while (start !== undefined) {
    const range: KeyRange = { start, end: table.end, limit: BATCH };
    start = database.transact((kv) => batch(kv, range), 'reserve');
  }
}

function nextAfter(pairs: readonly { key: Buffer }[]): Progress {
  const last = pairs[BATCH - 1];
  return last === undefined ? undefined : keyAfter(last.key);
}

function* dropRows(kv: KeyValueTransaction, range: KeyRange): Task<Progress> {
  const pairs = yield* wait(kv.range(range));
  for (const { key } of pairs) yield* wait(kv.remove(key));
  return nextAfter(pairs);
}

function isLost(record: StoredInode): boolean {
  return !record.unborn && fileTypeOf(record.mode) === FileType.REGULAR;
}

/** Removes the names of lost datasets among the listing's lines in `range`. */
function* dropNames(kv: KeyValueTransaction, range: KeyRange): Task<Progress> {
  const pairs = yield* wait(kv.range(range));
  let parent: StoredDirectory | undefined;
  for (const { key, value } of pairs) {
    const { inode, type, name } = decodeListing(value);
    if (type !== FileType.REGULAR) continue;
    const record = yield* findInode(kv, inode);
    if (record !== undefined && !isLost(record)) continue;
    const directory = firstNumber(key) as InodeId;
    if (parent?.inode !== directory) {
      if (parent !== undefined) yield* putInode(kv, parent);
      parent = yield* requireDirectory(kv, directory);
    }
    yield* dropEntry(kv, parent, name, { inode, type, sequence: secondNumber(key) });
  }
  if (parent !== undefined) yield* putInode(kv, parent);
  return nextAfter(pairs);
}
