/** Which metadata server keeps a key: the one whose number is in the inode number that the key begins with. */
import { crc32 } from 'node:zlib';
import { type InodeId, metaServerOf } from '../../ids.ts';
import { entryKey, firstNumber, numberKey, Table } from '../keys.ts';
import type { KeyRange } from '../kv.ts';

/** Tables of which each server has its own. Every other table's keys begin with an inode number. */
const OWN_TABLES: ReadonlySet<number | undefined> = new Set([
  Table.SYSTEM,
  Table.SESSIONS,
  Table.REPLIES,
  Table.CLIENTS,
]);

const NUMBERED_KEY_BYTES = numberKey(Table.INODES, 0).length;

/** Undefined for a key that each server has for itself. */
export function serverOfKey(key: Buffer): number | undefined {
  if (OWN_TABLES.has(key[0])) return undefined;
  return metaServerOf(firstNumber(key) as InodeId);
}

/** As {@link serverOfKey}; a range over a whole table is over what a server has of it. */
export function serverOfRange(range: KeyRange): number | undefined {
  return range.start.length < NUMBERED_KEY_BYTES ? undefined : serverOfKey(range.start);
}

/** Number of the server, one of `servers`, on which a new directory lives: the tree spreads by its names. */
export function serverForDirectory(parent: InodeId, name: Buffer, servers: number): number {
  return crc32(entryKey(parent, name)) % servers;
}
