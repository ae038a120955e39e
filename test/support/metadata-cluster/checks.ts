/** What must hold of a cluster's databases after any run: against the plain model, and of themselves. */
import type { InodeId } from '../../../src/ids.ts';
import { metaServerOf } from '../../../src/ids.ts';
import { listDecisions, listPrepared } from '../../../src/meta/distributed/transaction-records.ts';
import { firstNumber, secondNumber, Table, tableRange } from '../../../src/meta/keys.ts';
import type { Database } from '../../../src/meta/kv.ts';
import {
  decodeEntry,
  decodeInode,
  decodeListing,
  type StoredEntry,
  type StoredInode,
} from '../../../src/meta/records.ts';
import { fileTypeOf } from '../../../src/stat.ts';
import { runSync } from '../../../src/task.ts';
import type { Committed, Sighting } from './cluster.ts';
import { NamespaceModel, ROOT } from './namespace-model.ts';

const ENTRY_HEAD_BYTES = 9;

/** Runs the history on a model, in its order; problems are what the model would have answered otherwise. */
export function replay(
  history: readonly Committed[],
  observers: readonly (readonly Sighting[])[],
): { model: NamespaceModel; problems: string[] } {
  const model = new NamespaceModel();
  const problems: string[] = [];
  const states = [entriesOf(model)];
  for (const [index, { operation, result, inode }] of history.entries()) {
    const expected = model.apply(operation, inode);
    if (expected !== result) {
      problems.push(`${index}: ${JSON.stringify(operation)} was ${result}, should be ${expected}`);
    }
    states.push(entriesOf(model));
  }
  for (const sightings of observers) problems.push(...impossible(sightings, states));
  return { model, problems };
}

/** Inode by directory and name. */
function entriesOf(model: NamespaceModel): Map<string, number> {
  const entries = new Map<string, number>();
  for (const [parent, node] of model.nodes) {
    for (const [name, inode] of node.entries) entries.set(`${parent}/${name}`, inode);
  }
  return entries;
}

/** What an observer saw must have been so while it looked, and never before what it saw earlier. */
function impossible(
  sightings: readonly Sighting[],
  states: readonly ReadonlyMap<string, number>[],
): string[] {
  let earliest = 0;
  for (const { place, inode, from, to } of sightings) {
    const path = `${place.parent}/${place.name}`;
    let at = Math.max(earliest, from);
    while (at <= to && states[at]?.get(path) !== inode) at++;
    if (at > to) return [`${path} was seen as ${inode ?? 'nothing'} between ${from} and ${to}`];
    earliest = at;
  }
  return [];
}

interface Contents {
  inodes: Map<number, StoredInode>;
  entries: Map<string, StoredEntry>;
  listings: Map<string, string>;
  orphans: Set<number>;
  problems: string[];
}

function contentsOf(databases: readonly Database[]): Contents {
  const contents: Contents = {
    inodes: new Map(),
    entries: new Map(),
    listings: new Map(),
    orphans: new Set(),
    problems: [],
  };
  for (const [server, database] of databases.entries()) {
    const own = (inode: number): void => {
      if (metaServerOf(inode as InodeId) !== server) {
        contents.problems.push(`server ${server} keeps something of inode ${inode}`);
      }
    };
    for (const { key, value } of database.range(tableRange(Table.INODES))) {
      const inode = firstNumber(key);
      own(inode);
      contents.inodes.set(inode, decodeInode(inode as InodeId, value));
    }
    for (const { key, value } of database.range(tableRange(Table.ENTRIES))) {
      own(firstNumber(key));
      const name = key.subarray(ENTRY_HEAD_BYTES).toString();
      contents.entries.set(`${firstNumber(key)}/${name}`, decodeEntry(value));
    }
    for (const { key, value } of database.range(tableRange(Table.LISTING))) {
      const { inode, type, name } = decodeListing(value);
      const line = `${inode} ${type} ${secondNumber(key)}`;
      contents.listings.set(`${firstNumber(key)}/${name.toString()}`, line);
    }
    for (const { key } of database.range(tableRange(Table.ORPHANS))) {
      own(firstNumber(key));
      contents.orphans.add(firstNumber(key));
    }
    contents.problems.push(...leftBehind(server, database));
  }
  return contents;
}

function leftBehind(server: number, database: Database): string[] {
  return [
    ...runSync(listPrepared(database)).map(
      ({ transaction }) => `server ${server} still has ${JSON.stringify(transaction)} prepared`,
    ),
    ...runSync(listDecisions(database)).map(
      ({ number }) => `server ${server} still has decision ${number}`,
    ),
  ];
}

/** Problems of databases in which nothing is under way, beside differences from the model. */
export function inspect(databases: readonly Database[], model: NamespaceModel): string[] {
  const contents = contentsOf(databases);
  return [...contents.problems, ...inspectNames(contents), ...inspectInodes(contents, model)];
}

function inspectNames({ entries, listings, inodes }: Contents): string[] {
  const problems: string[] = [];
  for (const [path, { inode, type, sequence }] of entries) {
    const record = inodes.get(inode);
    if (record === undefined) problems.push(`${path} leads to ${inode}, which is not there`);
    else if (fileTypeOf(record.mode) !== type)
      problems.push(`${path} has another type than its inode`);
    if (listings.get(path) !== `${inode} ${type} ${sequence}`)
      problems.push(`${path} is not listed`);
  }
  for (const path of listings.keys()) {
    if (!entries.has(path)) problems.push(`${path} is listed and not there`);
  }
  return problems;
}

function inspectInodes({ entries, inodes, orphans }: Contents, model: NamespaceModel): string[] {
  const problems: string[] = [];
  const expect = (what: string, is: unknown, should: unknown): void => {
    if (is !== should) problems.push(`${what} is ${String(is)}, should be ${String(should)}`);
  };
  expect('the number of inodes', inodes.size, model.nodes.size);
  let names = 0;
  for (const [inode, node] of model.nodes) {
    const record = inodes.get(inode);
    if (record === undefined) {
      problems.push(`inode ${inode} is missing`);
      continue;
    }
    expect(`nlink of ${inode}`, record.nlink, node.nlink);
    expect(`orphan mark of ${inode}`, orphans.has(inode), node.nlink === 0);
    expect(`type of ${inode}`, record.directory !== undefined, node.directory);
    if (!node.directory) continue;
    if (node.nlink > 0) expect(`parent of ${inode}`, record.parent, node.parent);
    expect(`entries of ${inode}`, record.directory?.entries, node.entries.size);
    names += node.entries.size;
    for (const [name, child] of node.entries) {
      expect(`${inode}/${name}`, entries.get(`${inode}/${name}`)?.inode, child);
      const directory = inodes.get(child)?.directory;
      if (directory !== undefined) expect(`name of ${child}`, directory.name.toString(), name);
    }
  }
  expect('the number of names', entries.size, names);
  return [...problems, ...unreachable(model)];
}

/** Inodes that no name leads to from the root, although they are no orphans. */
function unreachable(model: NamespaceModel): string[] {
  const reached = new Set<number>();
  const open = [ROOT];
  for (let inode = open.pop(); inode !== undefined; inode = open.pop()) {
    if (reached.has(inode)) continue;
    reached.add(inode);
    open.push(...(model.nodes.get(inode)?.entries.values() ?? []));
  }
  return [...model.nodes]
    .filter(([inode, { nlink }]) => nlink > 0 && !reached.has(inode))
    .map(([inode]) => `inode ${inode} cannot be reached`);
}
