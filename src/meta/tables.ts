/** Typed access to the tables: each reads or writes one record, and knows nothing of file systems. */
import type { InodeId } from '../ids.ts';
import { type Task, wait } from '../task.ts';
import {
  entryKey,
  inodeKey,
  listingKey,
  numberKey,
  openKey,
  systemKey,
  type SystemKey,
} from './keys.ts';
import { Table } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import {
  decodeEntry,
  decodeInode,
  decodeNumber,
  encodeEntry,
  encodeInode,
  encodeListing,
  encodeNumber,
  type StoredEntry,
  type StoredInode,
} from './records.ts';

const NOTHING = Buffer.alloc(1, 1);

/** Row of an orphan that never had a name, and may be given one. */
const NAMELESS = Buffer.alloc(1, 2);

export function* findInode(kv: KeyValueReader, inode: InodeId): Task<StoredInode | undefined> {
  const bytes = yield* wait(kv.get(inodeKey(inode)));
  return bytes === undefined ? undefined : decodeInode(inode, bytes);
}

export function* putInode(kv: KeyValueTransaction, record: StoredInode): Task<void> {
  yield* wait(kv.put(inodeKey(record.inode), encodeInode(record)));
}

/** Writes the record of an inode whose number is the highest ever given out. */
export function* appendInode(kv: KeyValueTransaction, record: StoredInode): Task<void> {
  yield* wait(kv.append(inodeKey(record.inode), encodeInode(record)));
}

export function* findEntry(
  kv: KeyValueReader,
  parent: InodeId,
  name: Buffer,
): Task<StoredEntry | undefined> {
  const bytes = yield* wait(kv.get(entryKey(parent, name)));
  return bytes === undefined ? undefined : decodeEntry(bytes);
}

/** Writes a name's entry and its line in the listing. */
export function* putEntry(
  kv: KeyValueTransaction,
  parent: InodeId,
  name: Buffer,
  entry: StoredEntry,
): Task<void> {
  yield* wait(kv.put(entryKey(parent, name), encodeEntry(entry)));
  const line = encodeListing({ inode: entry.inode, type: entry.type, name });
  yield* wait(kv.put(listingKey(parent, entry.sequence), line));
}

/** Takes away a name's entry and its line in the listing. */
export function* removeEntry(
  kv: KeyValueTransaction,
  parent: InodeId,
  name: Buffer,
  entry: StoredEntry,
): Task<void> {
  yield* wait(kv.remove(entryKey(parent, name)));
  yield* wait(kv.remove(listingKey(parent, entry.sequence)));
}

/** Enters `inode` into a table that holds nothing but numbers. */
export function* mark(kv: KeyValueTransaction, table: Table, inode: InodeId): Task<void> {
  yield* wait(kv.put(numberKey(table, inode), NOTHING));
}

/** Enters an inode that never had a name into the table of orphans. */
export function* markNameless(kv: KeyValueTransaction, inode: InodeId): Task<void> {
  yield* wait(kv.put(numberKey(Table.ORPHANS, inode), NAMELESS));
}

/** Whether `inode` is an orphan that never had a name. */
export function* isNameless(kv: KeyValueReader, inode: InodeId): Task<boolean> {
  return (yield* wait(kv.get(numberKey(Table.ORPHANS, inode))))?.equals(NAMELESS) === true;
}

/** Whether `inode` is in a table that holds nothing but numbers. */
export function* isMarked(kv: KeyValueReader, table: Table, inode: InodeId): Task<boolean> {
  return (yield* wait(kv.get(numberKey(table, inode)))) !== undefined;
}

/** Bits of a row of {@link Table.OPENS}. */
export const OpenBit = {
  READ: 1,
  WRITE: 2,
  /** An orphan that the client needs although it may not have it open. */
  HOLD: 4,
} as const;

export function* getOpenBits(kv: KeyValueReader, inode: InodeId, client: Buffer): Task<number> {
  return (yield* wait(kv.get(openKey(inode, client))))?.[0] ?? 0;
}

export function* putOpenBits(
  kv: KeyValueTransaction,
  inode: InodeId,
  client: Buffer,
  bits: number,
): Task<void> {
  const key = openKey(inode, client);
  yield* wait(bits === 0 ? kv.remove(key) : kv.put(key, Buffer.alloc(1, bits)));
}

export function* addOpenBits(
  kv: KeyValueTransaction,
  inode: InodeId,
  client: Buffer,
  bits: number,
): Task<void> {
  const before = yield* getOpenBits(kv, inode, client);
  if ((before | bits) !== before) yield* putOpenBits(kv, inode, client, before | bits);
}

export function* getSystemNumber(kv: KeyValueReader, which: SystemKey): Task<number | undefined> {
  const bytes = yield* wait(kv.get(systemKey(which)));
  return bytes === undefined ? undefined : decodeNumber(bytes);
}

export function* putSystemNumber(
  kv: KeyValueTransaction,
  which: SystemKey,
  value: number,
): Task<void> {
  yield* wait(kv.put(systemKey(which), encodeNumber(value)));
}
