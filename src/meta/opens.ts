/**
 * Who has what open, as the database keeps it: a row for each inode and client. `hasWriters` of a record says whether
 * any of its rows is a writer's, so that lookups and listings need not look here.
 */
import { laterOf } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import { type NamespaceContext, requireInode } from './directories.ts';
import {
  CLIENT_ID_BYTES,
  clientOf,
  firstNumber,
  keyAfter,
  numberRange,
  Table,
  tableRange,
} from './keys.ts';
import type { KeyRange, KeyValueReader, KeyValueTransaction } from './kv.ts';
import type { StoredInode } from './records.ts';
import type { DataReport, OpenLevel } from './store.ts';
import {
  addOpenBits,
  findInode,
  getOpenBits,
  isMarked,
  OpenBit,
  putInode,
  putOpenBits,
} from './tables.ts';

/** Stands for all clients that died while they had an inode open for writing; holds nothing back. */
const THE_DEAD = Buffer.alloc(CLIENT_ID_BYTES);

const BITS: Readonly<Record<OpenLevel, number>> = {
  none: 0,
  read: OpenBit.READ,
  write: OpenBit.READ | OpenBit.WRITE,
};

const ALL_BITS = OpenBit.READ | OpenBit.WRITE | OpenBit.HOLD;

/** A new inode is open for whoever makes it; the caller puts the record. */
export function* openNew(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  record: StoredInode,
  level: OpenLevel,
): Task<void> {
  const { client } = context;
  if (client === undefined || level === 'none') return;
  record.hasWriters = level === 'write' && fileTypeOf(record.mode) === FileType.REGULAR;
  yield* putOpenBits(kv, record.inode, client, BITS[level]);
}

/**
 * ESTALE, also for an orphan that the client has neither open nor held. The record is as it was before: that the client
 * itself may write from now on makes it no less true for the client.
 */
export function* openInode(
  kv: KeyValueTransaction,
  inode: InodeId,
  opener: { client: Buffer; level: OpenLevel },
): Task<StoredInode> {
  const { client, level } = opener;
  const record = yield* requireInode(kv, inode);
  if (record.nlink === 0 && (yield* getOpenBits(kv, inode, client)) === 0) {
    throw new FsError('ESTALE', `inode ${inode} was removed`);
  }
  const { hasWriters } = record;
  yield* addOpenBits(kv, inode, client, BITS[level]);
  yield* noteWriter(kv, record, BITS[level]);
  record.hasWriters = hasWriters;
  return record;
}

function* noteWriter(kv: KeyValueTransaction, record: StoredInode, bits: number): Task<void> {
  const isWriter = (bits & OpenBit.WRITE) !== 0 && fileTypeOf(record.mode) === FileType.REGULAR;
  if (!isWriter || record.hasWriters) return;
  record.hasWriters = true;
  yield* putInode(kv, record);
}

/** The client comes back with what it had open. False if the inode is gone; an orphan that is still here is held. */
export function* reopenInode(
  kv: KeyValueTransaction,
  inode: InodeId,
  opener: { client: Buffer; bits: number },
): Task<boolean> {
  const record = yield* findInode(kv, inode);
  if (record === undefined) return false;
  yield* addOpenBits(kv, inode, opener.client, opener.bits & ALL_BITS);
  yield* noteWriter(kv, record, opener.bits);
  return true;
}

/** Lowers what a client has open. True if that leaves an orphan that nobody needs. */
export function* closeInode(
  kv: KeyValueTransaction,
  inode: InodeId,
  closing: { client: Buffer; level: OpenLevel; report: DataReport | undefined },
): Task<boolean> {
  const { client, level, report } = closing;
  const bits = yield* getOpenBits(kv, inode, client);
  const kept = bits & (OpenBit.HOLD | BITS[level]);
  if (kept !== bits) yield* putOpenBits(kv, inode, client, kept);
  const record = yield* findInode(kv, inode);
  if (record === undefined) return false;
  const reported = report !== undefined && applyReport(record, report);
  const settled = yield* settle(kv, record, report !== undefined);
  if (settled || reported) yield* putInode(kv, record);
  return record.nlink === 0 && !(yield* isHeld(kv, inode));
}

/** Takes a report into the record; false if it is an old one. */
function applyReport(record: StoredInode, report: DataReport): boolean {
  if (!record.unborn && report.dataVersion < record.dataVersion) return false;
  record.unborn = false;
  record.dataVersion = Math.max(record.dataVersion, report.dataVersion);
  // Block 0 of anything else holds no more than extended attributes and a copy of what stands here.
  if (fileTypeOf(record.mode) === FileType.REGULAR) {
    record.sizeBytes = report.sizeBytes;
    record.storedBytes = report.storedBytes;
    record.atime = report.atime;
    record.mtime = report.mtime;
    record.generation = report.generation;
    record.truncatedBytes = report.truncatedBytes;
  }
  record.ctime = laterOf(record.ctime, report.ctime);
  return true;
}

/** ESTALE. */
export function* reportData(
  kv: KeyValueTransaction,
  inode: InodeId,
  report: DataReport,
): Task<void> {
  const record = yield* requireInode(kv, inode);
  const changed = applyReport(record, report);
  const settled = yield* settle(kv, record, true);
  if (settled || changed) yield* putInode(kv, record);
}

/** Brings `hasWriters` up to date; a report tells what the dead wrote, too. True if the record is to be put. */
function* settle(kv: KeyValueTransaction, record: StoredInode, reported: boolean): Task<boolean> {
  if (!record.hasWriters) return false;
  if (reported) yield* putOpenBits(kv, record.inode, THE_DEAD, 0);
  const rows = yield* wait(kv.range(numberRange(Table.OPENS, record.inode)));
  record.hasWriters = rows.some(({ value }) => ((value[0] ?? 0) & OpenBit.WRITE) !== 0);
  return !record.hasWriters;
}

/** A client needs an inode no more. True if that leaves an orphan that nobody needs. */
export function* releaseInode(
  kv: KeyValueTransaction,
  inode: InodeId,
  client: Buffer,
): Task<boolean> {
  yield* putOpenBits(kv, inode, client, 0);
  return (yield* isMarked(kv, Table.ORPHANS, inode)) && !(yield* isHeld(kv, inode));
}

/** Whether any living client has the inode open or holds it. */
export function* isHeld(kv: KeyValueReader, inode: InodeId): Task<boolean> {
  // The dead come first.
  const rows = yield* wait(kv.range({ ...numberRange(Table.OPENS, inode), limit: 2 }));
  return rows.some(({ key }) => !clientOf(key).equals(THE_DEAD));
}

/** An orphan that the client held has a name again: it is kept without being held. */
export function* endHold(kv: KeyValueTransaction, inode: InodeId, client: Buffer): Task<void> {
  const bits = yield* getOpenBits(kv, inode, client);
  if ((bits & OpenBit.HOLD) !== 0) yield* putOpenBits(kv, inode, client, bits & ~OpenBit.HOLD);
}

/** Whether somebody else than `client` has the inode open for writing, or had when it died. */
export function* isWrittenByOthers(
  kv: KeyValueReader,
  inode: InodeId,
  client: Buffer,
): Task<boolean> {
  const rows = yield* wait(kv.range(numberRange(Table.OPENS, inode)));
  return rows.some(
    ({ key, value }) => ((value[0] ?? 0) & OpenBit.WRITE) !== 0 && !clientOf(key).equals(client),
  );
}

/** The inode is gone, and with it all rows about it. */
export function* forgetOpens(kv: KeyValueTransaction, inode: InodeId): Task<void> {
  const rows = yield* wait(kv.range(numberRange(Table.OPENS, inode)));
  for (const { key } of rows) yield* wait(kv.remove(key));
}

/** What one step of {@link dropOpens} found. */
export interface DroppedOpens {
  /** What is left of the table; undefined after the last step. */
  rest: KeyRange | undefined;
  /** Orphans that nobody needs now. */
  orphans: InodeId[];
  /** All clients of whom there was a row. */
  clients: Set<string>;
}

const STEP_ROWS = 1000;

/** One step through all opens, dropping those of `client`, who is dead; files that it was writing are marked. */
export function* dropOpens(
  kv: KeyValueTransaction,
  client: Buffer,
  range: KeyRange = tableRange(Table.OPENS),
): Task<DroppedOpens> {
  const rows = yield* wait(kv.range({ ...range, limit: STEP_ROWS }));
  const found: DroppedOpens = { rest: undefined, orphans: [], clients: new Set() };
  for (const { key, value } of rows) {
    const owner = clientOf(key);
    if (!owner.equals(client)) {
      if (!owner.equals(THE_DEAD)) found.clients.add(owner.toString('hex'));
      continue;
    }
    const inode = firstNumber(key) as InodeId;
    yield* wait(kv.remove(key));
    if (((value[0] ?? 0) & OpenBit.WRITE) !== 0) {
      yield* addOpenBits(kv, inode, THE_DEAD, OpenBit.WRITE);
    }
    if ((yield* isMarked(kv, Table.ORPHANS, inode)) && !(yield* isHeld(kv, inode))) {
      found.orphans.push(inode);
    }
  }
  const last = rows[STEP_ROWS - 1];
  if (last !== undefined) found.rest = { start: keyAfter(last.key), end: range.end };
  return found;
}

/** All clients of whom there is a row. */
export function* openers(kv: KeyValueReader): Task<Set<string>> {
  const clients = new Set<string>();
  let start = tableRange(Table.OPENS).start;
  const { end } = tableRange(Table.OPENS);
  for (;;) {
    const rows = yield* wait(kv.range({ start, end, limit: STEP_ROWS }));
    for (const { key } of rows) {
      if (!clientOf(key).equals(THE_DEAD)) clients.add(clientOf(key).toString('hex'));
    }
    const last = rows[STEP_ROWS - 1];
    if (last === undefined) return clients;
    start = keyAfter(last.key);
  }
}
