/**
 * The one keyspace of the metadata database: a byte that names the table, then 8-byte big-endian numbers (so
 * that they sort as numbers), then raw name bytes.
 */
import type { InodeId } from '../ids.ts';
import type { KeyRange } from './kv.ts';

/** First byte of a key. The numbers are part of the file format. */
export const Table = {
  /** One of {@link SystemKey}. */
  SYSTEM: 1,
  /** Session → what it has acknowledged. */
  SESSIONS: 2,
  /** Session, sequence → recorded reply. */
  REPLIES: 3,
  /** Inode without a name that may still be open → nothing. */
  ORPHANS: 4,
  /** Inode whose blocks are still to be freed → nothing. */
  TO_FREE: 5,
  /** Directory, name → inode, type, sequence. */
  ENTRIES: 6,
  /** Directory, sequence → inode, type, name. */
  LISTING: 7,
  /** Client → its session. */
  CLIENTS: 8,
  /** Inode, client → what that client has it open for; see `opens.ts`. */
  OPENS: 9,
  /** Inode, chunk of blocks → the servers that hold them; see `block-claims.ts`. */
  BLOCK_SERVERS: 10,
  /** Inode → record. The last table: a new inode's key is then the last of all, which fills pages to the brim. */
  INODES: 64,
} as const;
export type Table = (typeof Table)[keyof typeof Table];

/** Second byte of a key of {@link Table.SYSTEM}. */
export const SystemKey = {
  /** Magic, format version, cluster id, server number. */
  IDENTITY: 1,
  /** First inode counter that was never promised to anyone. */
  INODE_HIGH_WATER: 2,
  /** First session number that was never given out. */
  SESSION_HIGH_WATER: 3,
  /** Epoch of the server map. */
  MAP_EPOCH: 4,
  /** Metadata servers, layout of the root, server map. */
  CLUSTER: 5,
  /** First number of a transaction over several servers that was never used. */
  TRANSACTION_HIGH_WATER: 16,
  /** Coordinator, number → a transaction of another server that was prepared or applied here. */
  PREPARED: 17,
  /** Number → a committed transaction of this server that others have not all applied. */
  DECISIONS: 18,
  /** Coordinator → its transactions below this number are over, and leave no trace here. */
  SETTLED_BELOW: 19,
} as const;
export type SystemKey = (typeof SystemKey)[keyof typeof SystemKey];

/** Bytes that identify a client: one life of a mount, the same on all servers. */
export const CLIENT_ID_BYTES = 16;

const WORD = 2 ** 32;
/** Bytes of a key up to its name or second number. */
const HEAD_BYTES = 9;

function writeNumber(key: Buffer, value: number, offset: number): void {
  const high = Math.floor(value / WORD);
  key.writeUInt32BE(high, offset);
  key.writeUInt32BE(value - high * WORD, offset + 4);
}

function readNumber(key: Buffer, offset: number): number {
  return key.readUInt32BE(offset) * WORD + key.readUInt32BE(offset + 4);
}

export function systemKey(which: SystemKey): Buffer {
  return Buffer.from([Table.SYSTEM, which]);
}

/** Key of what several numbers index under a system key. */
export function systemNumbersKey(which: SystemKey, ...numbers: readonly number[]): Buffer {
  const key = Buffer.allocUnsafe(2 + 8 * numbers.length);
  key[0] = Table.SYSTEM;
  key[1] = which;
  numbers.forEach((value, index) => {
    writeNumber(key, value, 2 + 8 * index);
  });
  return key;
}

/** All keys under a system key. */
export function systemNumbersRange(which: SystemKey): KeyRange {
  return { start: systemKey(which), end: Buffer.from([Table.SYSTEM, which + 1]) };
}

/** The number at `index` of a key of {@link systemNumbersKey}. */
export function systemNumberAt(key: Buffer, index: number): number {
  return readNumber(key, 2 + 8 * index);
}

/** Key of a table that one number indexes. */
export function numberKey(table: Table, value: number): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES);
  key[0] = table;
  writeNumber(key, value, 1);
  return key;
}

/** Key of a table that two numbers index. */
export function pairKey(table: Table, first: number, second: number): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES + 8);
  key[0] = table;
  writeNumber(key, first, 1);
  writeNumber(key, second, HEAD_BYTES);
  return key;
}

/** Key of what a client has open; `client` has {@link CLIENT_ID_BYTES}. */
export function openKey(inode: InodeId, client: Buffer): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES + CLIENT_ID_BYTES);
  key[0] = Table.OPENS;
  writeNumber(key, inode, 1);
  key.set(client, HEAD_BYTES);
  return key;
}

/** The client of a key that {@link openKey} made. Shares its memory. */
export function clientOf(key: Buffer): Buffer {
  return key.subarray(HEAD_BYTES);
}

/** Key of a client's session. */
export function clientKey(client: Buffer): Buffer {
  return Buffer.concat([Buffer.from([Table.CLIENTS]), client]);
}

/** All keys of a table whose first number is `value`. */
export function numberRange(table: Table, value: number): KeyRange {
  return { start: numberKey(table, value), end: numberKey(table, value + 1) };
}

export function inodeKey(inode: InodeId): Buffer {
  return numberKey(Table.INODES, inode);
}

export function entryKey(parent: InodeId, name: Buffer): Buffer {
  const key = Buffer.allocUnsafe(HEAD_BYTES + name.length);
  key[0] = Table.ENTRIES;
  writeNumber(key, parent, 1);
  key.set(name, HEAD_BYTES);
  return key;
}

export function listingKey(parent: InodeId, sequence: number): Buffer {
  return pairKey(Table.LISTING, parent, sequence);
}

/** The first number of a key, as {@link numberKey} and {@link pairKey} wrote it. */
export function firstNumber(key: Buffer): number {
  return readNumber(key, 1);
}

/** The second number of a key, as {@link pairKey} wrote it. */
export function secondNumber(key: Buffer): number {
  return readNumber(key, HEAD_BYTES);
}

/** All keys of a table. */
export function tableRange(table: Table): KeyRange {
  return { start: Buffer.from([table]), end: Buffer.from([table + 1]) };
}

/** The smallest key above `key`. */
export function keyAfter(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.from([0])]);
}
