/** Footprints of transactions: checking that what was read still holds, and carrying out what is to be written. */
import type { InodeId } from '../../ids.ts';
import { type Task, wait } from '../../task.ts';
import { firstNumber, Table } from '../keys.ts';
import type { KeyValue, KeyValueReader, KeyValueTransaction } from '../kv.ts';
import { decodeInode } from '../records.ts';
import type { Holds } from './lock-table.ts';
import type { Footprint, KeyWrite } from './participant.ts';

export function emptyFootprint(): Footprint {
  return { reads: [], ranges: [], writes: [] };
}

/** The keys alone. */
export function holdsOfFootprint(footprint: Footprint): Holds {
  return {
    reads: footprint.reads.map(({ key }) => key),
    ranges: footprint.ranges.map(({ range }) => range),
    writes: footprint.writes.map(({ key }) => key),
  };
}

function same(a: Buffer | undefined, b: Buffer | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.equals(b);
}

function samePairs(a: readonly KeyValue[], b: readonly KeyValue[]): boolean {
  return (
    a.length === b.length &&
    a.every((pair, index) => same(pair.key, b[index]?.key) && same(pair.value, b[index]?.value))
  );
}

/** Whether all that the transaction read is still so. */
export function* holdsStill(kv: KeyValueReader, footprint: Footprint): Task<boolean> {
  for (const { key, value } of footprint.reads) {
    if (!same(yield* wait(kv.get(key)), value)) return false;
  }
  for (const { range, pairs } of footprint.ranges) {
    if (!samePairs(yield* wait(kv.range(range)), pairs)) return false;
  }
  return true;
}

/** What others may have to know of writes. */
export interface AppliedChange {
  /** By how many inodes there are more now. */
  inodes: number;
  /** A directory has another name or parent. */
  moved: boolean;
}

export function* applyWrites(
  kv: KeyValueTransaction,
  writes: readonly KeyWrite[],
): Task<AppliedChange> {
  const change = { inodes: 0, moved: false };
  for (const { key, value } of writes) {
    if (key[0] === Table.INODES) {
      const before = yield* wait(kv.get(key));
      change.inodes += (value === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
      if (before !== undefined && value !== undefined) {
        change.moved ||= isMove(firstNumber(key) as InodeId, before, value);
      }
    }
    if (value === undefined) yield* wait(kv.remove(key));
    else yield* wait(kv.put(key, value));
  }
  return change;
}

function isMove(inode: InodeId, before: Buffer, after: Buffer): boolean {
  const was = decodeInode(inode, before);
  const is = decodeInode(inode, after);
  if (was.directory === undefined || is.directory === undefined) return false;
  return was.parent !== is.parent || !was.directory.name.equals(is.directory.name);
}
