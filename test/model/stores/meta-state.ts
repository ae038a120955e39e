/** What stands in a metadata database, in a form that goes through JSON, and how it differs from the model. */
import type { InodeId } from '../../../src/ids.ts';
import {
  firstNumber,
  secondNumber,
  SystemKey,
  systemKey,
  Table,
  tableRange,
} from '../../../src/meta/keys.ts';
import type { KeyRange, KeyValue } from '../../../src/meta/kv.ts';
import {
  decodeEntry,
  decodeInode,
  decodeListing,
  decodeNumber,
  type StoredInode,
} from '../../../src/meta/records.ts';
import type { MetaModel } from './meta-lives.ts';
import { type Node, typeBits } from './meta-model.ts';
import { KINDS, NAMES, TARGET } from './meta-operations.ts';

const FILE_TYPE_MASK = 0o170000;

/** A record without what only a directory's has besides. */
type StoredRecord = Omit<StoredInode, 'directory' | 'hasWriters'>;

type Lines = Record<string, string>;

/** One line for each row of each table. */
export interface Dump {
  inodes: Lines;
  entries: Lines;
  listing: Lines;
  orphans: string[];
  toFree: string[];
  sessions: Lines;
  replies: string[];
  highWater: number;
  sessionHighWater: number;
}

type Range = (range: KeyRange) => KeyValue[];

/** Reads all tables. */
export function dumpTables(range: Range): Dump {
  const rows = (table: Table): KeyValue[] => range(tableRange(table));
  const lines = (table: Table, line: (pair: KeyValue) => [string, string]): Lines =>
    Object.fromEntries(rows(table).map(line));
  const number = (which: SystemKey): number => {
    const key = systemKey(which);
    const [pair] = range({ start: key, end: Buffer.concat([key, Buffer.of(0)]) });
    return pair === undefined ? 0 : decodeNumber(pair.value);
  };
  return {
    inodes: lines(Table.INODES, ({ key, value }) => {
      const record = decodeInode(firstNumber(key) as InodeId, value);
      const { directory } = record;
      const own =
        directory === undefined
          ? ''
          : `${directory.name.toString('hex')} ${directory.lastSequence} ${directory.entries}`;
      return [String(record.inode), `${recordLine(record)}${targetPart(record)} [${own}]`];
    }),
    entries: lines(Table.ENTRIES, ({ key, value }) => {
      const { inode, type, sequence } = decodeEntry(value);
      return [
        `${firstNumber(key)}/${key.subarray(9).toString('hex')}`,
        `${inode} ${type} ${sequence}`,
      ];
    }),
    listing: lines(Table.LISTING, ({ key, value }) => {
      const { inode, type, name } = decodeListing(value);
      return [
        `${firstNumber(key)}#${secondNumber(key)}`,
        `${inode} ${type} ${name.toString('hex')}`,
      ];
    }),
    orphans: rows(Table.ORPHANS).map(({ key }) => String(firstNumber(key))),
    toFree: rows(Table.TO_FREE).map(({ key }) => String(firstNumber(key))),
    sessions: lines(Table.SESSIONS, ({ key, value }) => [
      String(firstNumber(key)),
      String(decodeNumber(value)),
    ]),
    replies: rows(Table.REPLIES).map(({ key }) => `${firstNumber(key)}:${secondNumber(key)}`),
    highWater: number(SystemKey.INODE_HIGH_WATER),
    sessionHighWater: number(SystemKey.SESSION_HIGH_WATER) || 1,
  };
}

/** The fields that every inode has; callers see a symlink's target only until it is born. */
export function recordLine(record: StoredRecord): string {
  const { inode, mode, nlink, uid, gid, rdev, ctime, atime, mtime, sizeBytes, storedBytes } =
    record;
  const times = [ctime, atime, mtime]
    .map((time) => `${time.seconds}.${time.nanoseconds}`)
    .join(' ');
  const born = record.unborn ? 'unborn' : 'born';
  return (
    `${inode} mode=${mode.toString(8)} nlink=${nlink} ${uid}:${gid} rdev=${rdev} times=${times} ` +
    `bytes=${sizeBytes}/${storedBytes} version=${record.dataVersion} ${born} ${record.uri} parent=${record.parent}`
  );
}

/** Where a symlink leads: its record keeps that as long as it has a name, for whoever loses block 0. */
function targetPart({ mode, nlink, target }: StoredRecord): string {
  const isNamedSymlink = (mode & FILE_TYPE_MASK) === KINDS.symlink && nlink > 0;
  return isNamedSymlink ? ` -> ${target?.toString('hex') ?? 'nothing'}` : '';
}

/** {@link recordLine} of what the model holds; `ids` are the inode numbers by the order in which inodes were made. */
export function expectedLine(node: Node, inode: number, ids: readonly number[]): string {
  const isDirectory = node.kind === 'directory';
  return recordLine({
    inode: inode as InodeId,
    mode: typeBits(node) | node.permissions,
    nlink: node.nlink,
    uid: node.uid,
    gid: node.gid,
    rdev: node.rdev,
    ctime: { seconds: node.ctime, nanoseconds: 0 },
    atime: { seconds: node.atime, nanoseconds: 0 },
    mtime: { seconds: node.mtime, nanoseconds: 0 },
    sizeBytes: node.sizeBytes,
    storedBytes: node.storedBytes,
    dataVersion: node.dataVersion,
    generation: 0,
    truncatedBytes: 0,
    home: 0,
    unborn: node.unborn,
    layout: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
    mapEpoch: 1,
    uri: node.uri ?? `imss://%00/${inode}`,
    target: undefined,
    parent: (isDirectory ? (ids[node.parent] ?? 0) : 0) as InodeId,
  });
}

/** Every row that the model expects. */
function expectedDump(model: MetaModel, ids: readonly number[]): Omit<Dump, 'highWater'> {
  const dump: Omit<Dump, 'highWater'> = {
    inodes: {},
    entries: {},
    listing: {},
    orphans: [],
    toFree: [...model.state.toFree].sort((a, b) => a - b).map((index) => String(ids[index])),
    sessions: Object.fromEntries(
      [...model.state.sessions].map(([key, value]) => [String(key), String(value)]),
    ),
    replies: [...model.state.replies]
      .sort(([a], [b]) => a - b)
      .flatMap(([session, replies]) =>
        [...replies.keys()].sort((a, b) => a - b).map((one) => `${session}:${one}`),
      ),
    sessionHighWater: model.state.nextSession,
  };
  model.state.nodes.forEach((node, index) => {
    if (node.state === 'gone') return;
    const inode = ids[index] ?? 0;
    const own =
      node.kind === 'directory'
        ? `${nameOf(node.name)} ${node.lastSequence} ${node.entries.size}`
        : '';
    const isNamedSymlink = node.kind === 'symlink' && node.nlink > 0;
    const target = isNamedSymlink ? ` -> ${TARGET.toString('hex')}` : '';
    dump.inodes[inode] = `${expectedLine(node, inode, ids)}${target} [${own}]`;
    if (node.state === 'orphan') dump.orphans.push(String(inode));
    for (const [name, entry] of node.entries) {
      const child = ids[entry.node] ?? 0;
      const type = typeBits(model.node(entry.node));
      dump.entries[`${inode}/${nameOf(name)}`] = `${child} ${type} ${entry.sequence}`;
      dump.listing[`${inode}#${entry.sequence}`] = `${child} ${type} ${nameOf(name)}`;
    }
  });
  return dump;
}

function nameOf(index: number): string {
  return NAMES[index]?.toString('hex') ?? '';
}

/** Every difference, a line each; none if the database is as the model has it. */
export function differences(model: MetaModel, ids: readonly number[], dump: Dump): string[] {
  const expected = expectedDump(model, ids);
  const found: string[] = [];
  const highest = Math.max(...ids);
  if (ids.length > 1 && highest >= dump.highWater)
    found.push(`high water ${dump.highWater} is not above ${highest}`);
  for (const table of Object.keys(expected) as (keyof typeof expected)[]) {
    const want = asLines(expected[table]);
    const have = asLines(dump[table]);
    for (const key of new Set([...Object.keys(want), ...Object.keys(have)])) {
      if (want[key] === have[key]) continue;
      found.push(
        `${table} ${key}: found ${have[key] ?? 'nothing'}, expected ${want[key] ?? 'nothing'}`,
      );
    }
  }
  return found;
}

function asLines(table: Lines | string[] | number): Lines {
  if (typeof table === 'number') return { value: String(table) };
  return Array.isArray(table) ? Object.fromEntries(table.map((line) => [line, 'there'])) : table;
}

/**
 * Inode numbers of what was made in requests that nobody acknowledged: new numbers in the order in which they
 * were given out. Undefined if there are not as many as the model has made.
 */
export function bindNumbers(
  model: MetaModel,
  ids: readonly number[],
  dump: Dump,
): number[] | undefined {
  const known = new Set(ids.map(String));
  const fresh = Object.keys(dump.inodes)
    .filter((inode) => !known.has(inode))
    .map(Number);
  const bound = [...ids];
  for (const node of model.state.nodes.slice(ids.length)) {
    // One that came and went unacknowledged has left no trace; its number is none that can be seen.
    bound.push(node.state === 'gone' ? 0 : (fresh.shift() ?? -1));
  }
  return fresh.length > 0 || bound.includes(-1) ? undefined : bound;
}
