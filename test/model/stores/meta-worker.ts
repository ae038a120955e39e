/**
 * The process that dies: owns the metadata database, runs the requests that its input brings, a line each, and
 * acknowledges each by a line. Where a request names a crash point it kills itself there.
 */
import { existsSync, statSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Clock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import { type InodeId, ROOT_INODE } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import type { RoomUse } from '../../../src/meta/file-room.ts';
import type { KeyRange, KeyValue, KeyValueTransaction } from '../../../src/meta/kv.ts';
import { LmdbKeyValue } from '../../../src/meta/lmdb-kv.ts';
import { LocalMetaStore } from '../../../src/meta/local.ts';
import type { AttributeChange, EntryName, InodeRecord, NewInode } from '../../../src/meta/store.ts';
import type { Task } from '../../../src/task.ts';
import { reportOf } from '../../support/datasets.ts';
import {
  type CrashPoint,
  KINDS,
  LIMITS,
  NAMES,
  type Place,
  type ReaperMode,
  type Request,
  TARGET,
} from './meta-operations.ts';
import { ROOT_SECONDS } from './meta-model.ts';
import { dumpTables, type Dump } from './meta-state.ts';

/** How the store under test is broken on purpose, to show that the model would notice. */
export type Fault = 'torn' | 'lost' | 'twice' | 'misled';

export interface OpenCommand {
  path: string;
  /** Inode numbers by the order in which they were made. */
  made: number[];
  reaper: ReaperMode;
  blocksOutliveUs: boolean;
  /** Dies before this write of opening. */
  crash?: CrashPoint;
  fault?: Fault;
}

export type Command =
  { open: OpenCommand } | { request: Request } | { dump: true } | { close: true };

export interface Answer {
  code?: string;
  record?: InodeRecord;
  /** Numbers of the inodes that it made, as far as it can tell. */
  made?: number[];
  session?: number;
  inodes?: number;
  dropped?: number;
  dump?: Dump;
  /** Set when the worker itself is at a loss. */
  broken?: string;
}

const OWNER = { uid: 7, gid: 7, mode: 0o755 };

let crash: CrashPoint | undefined;
let fault: Fault | undefined;
let seconds = ROOT_SECONDS;
let reaper: ReaperMode = 'prompt';
let made: InodeId[] = [];
let waiting: (() => void)[] = [];
let store: LocalMetaStore | undefined;

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

function dieIf(at: CrashPoint['at']): void {
  if (crash?.at !== at) return;
  crash.count--;
  if (crash.count === 0) die();
}

/** Where a torn transaction is asked for, writes stop at the crash point and what is there is committed. */
function counted(kv: KeyValueTransaction, tear: { isTorn: boolean }): KeyValueTransaction {
  const write = (action: () => unknown): void => {
    if (fault === 'torn' && crash?.at === 'write' && crash.count === 1) tear.isTorn = true;
    else dieIf('write');
    if (!tear.isTorn) action();
  };
  return {
    get: (key) => kv.get(key),
    range: (range) => kv.range(range),
    put: (key, value) => {
      write(() => kv.put(key, value));
    },
    append: (key, value) => {
      write(() => kv.append(key, value));
    },
    remove: (key) => {
      write(() => kv.remove(key));
    },
  };
}

// The database tells nobody of its writes, so its one entry is replaced: a crash can then fall between any two.
const database = LmdbKeyValue.prototype;
const transact = Reflect.get(database, 'transact') as (
  this: LmdbKeyValue,
  operation: (kv: KeyValueTransaction) => Task<unknown>,
  use?: RoomUse,
) => unknown;
database.transact = function transactOrDie<T>(
  this: LmdbKeyValue,
  operation: (kv: KeyValueTransaction) => Task<T>,
  use?: RoomUse,
): T {
  const tear = { isTorn: false };
  const result = transact.call(this, (kv) => operation(counted(kv, tear)), use);
  if (tear.isTorn) die();
  return result as T;
};

/** The tables of the open database. */
let rangeOfOpen: (range: KeyRange) => KeyValue[] = () => [];
const openDatabase = LmdbKeyValue.open.bind(LmdbKeyValue);
LmdbKeyValue.open = (path, options) => {
  const opened = openDatabase(path, options);
  rangeOfOpen = (range) => opened.range(range);
  return opened;
};

/** Retries by time are left out: a step asks for them. */
globalThis.setTimeout = (() => ({ unref: () => undefined })) as never;

const clock: Clock = {
  now: () => ({ seconds, nanoseconds: 0 }),
  monotonicMs: () => 0,
};

function free(): void | Promise<void> {
  dieIf('reaper');
  if (reaper === 'prompt') return;
  if (reaper === 'failing') throw new FsError('EIO', 'a block server is down');
  return new Promise((resolve) => waiting.push(resolve));
}

async function open(command: OpenCommand): Promise<Answer> {
  ({ crash, fault } = command);
  reaper = command.reaper;
  made = command.made as InodeId[];
  seconds = ROOT_SECONDS;
  store = await LocalMetaStore.open({
    path: command.path,
    clock,
    reaper: { free },
    defaults: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
    owner: OWNER,
    logger: silentLogger,
    limits: LIMITS,
    blocksOutliveUs: command.blocksOutliveUs,
  });
  crash = undefined;
  if (made.length === 0) made.push(ROOT_INODE);
  return { dropped: store.droppedAtOpen, inodes: store.inodeCount() };
}

/** What the database of a dead process holds, before anybody puts anything right. */
async function look(path: string): Promise<Answer> {
  if (!existsSync(path) || statSync(path).size === 0) return { dump: dumpTables(() => []) };
  const raw = LmdbKeyValue.open(path);
  const dump = dumpTables((range) => raw.range(range));
  await raw.close();
  return { dump };
}

function entryOf([parent, name]: Place): EntryName {
  return { parent: inodeOf(parent), name: NAMES[name] ?? Buffer.alloc(0) };
}

function inodeOf(index: number): InodeId {
  return made[index] ?? (0 as InodeId);
}

function specOf(kind: keyof typeof KINDS, mode: number, owner: number): NewInode {
  return {
    mode: KINDS[kind] | mode,
    uid: owner,
    gid: owner,
    ...(kind === 'device' && { rdev: 5 }),
    ...(kind === 'symlink' && {
      target: fault === 'misled' ? Buffer.alloc(TARGET.length, 'x') : TARGET,
    }),
  };
}

function remember(record: InodeRecord): InodeRecord {
  if (!made.includes(record.inode)) made.push(record.inode);
  return record;
}

async function run(meta: LocalMetaStore, request: Request): Promise<Answer> {
  const { operation } = request;
  const tag = fault === 'twice' ? undefined : request.tag;
  switch (operation.op) {
    case 'create': {
      const spec = specOf(operation.kind, operation.mode, operation.owner);
      return { record: remember(meta.create(entryOf(operation.at), spec, 'none', tag)) };
    }
    case 'link':
      return { record: meta.link(inodeOf(operation.inode), entryOf(operation.at), tag) };
    case 'unlink':
      return meta.unlink(entryOf(operation.at), tag);
    case 'rmdir':
      return meta.rmdir(entryOf(operation.at), tag);
    case 'rename': {
      const flags = {
        noReplace: operation.flags === 'noReplace' || operation.flags === 'both',
        exchange: operation.flags === 'exchange' || operation.flags === 'both',
      };
      return meta.rename(entryOf(operation.at), entryOf(operation.to), flags, tag) ?? {};
    }
    case 'setAttributes': {
      const { mode, owner, mtime, drop } = operation;
      const change: AttributeChange = {
        ...(mode !== undefined && { permissions: mode }),
        ...(owner !== undefined && { uid: owner, gid: owner }),
        ...(mtime !== undefined && { mtime: { seconds: mtime, nanoseconds: 0 } }),
        dropPrivilegeBits: drop,
      };
      return { record: meta.setAttributes(inodeOf(operation.inode), change, tag) };
    }
    case 'directoryAt':
      return directoryAt(meta, operation.path);
    case 'openSession':
      return { session: meta.openSession() };
    default:
      return runQuietly(meta, request);
  }
}

/** The directories that are made on the way are counted from above. */
function directoryAt(meta: LocalMetaStore, path: readonly number[]): Answer {
  const names = path.map((name) => NAMES[name] ?? Buffer.alloc(0));
  const record = meta.directoryAt(names, OWNER);
  let at: InodeId = ROOT_INODE;
  for (const name of names) at = remember(meta.lookup(at, name)).inode;
  return { record };
}

async function runQuietly(meta: LocalMetaStore, { operation }: Request): Promise<Answer> {
  if (operation.op === 'touchAtime') {
    meta.touchAtime(inodeOf(operation.inode), { seconds: operation.seconds, nanoseconds: 0 });
  } else if (operation.op === 'confirmBorn') {
    if (fault !== 'lost') meta.confirmBorn(inodeOf(operation.inode));
  } else if (operation.op === 'reportData') {
    const now = clock.now();
    const sizes = { sizeBytes: operation.bytes, storedBytes: operation.bytes };
    const times = { atime: now, mtime: now, ctime: now };
    const report = reportOf({ ...sizes, ...times, dataVersion: operation.version });
    meta.reportData(inodeOf(operation.inode), report);
  } else if (operation.op === 'reap') {
    // A promise of the slow reaper's is waited for by `settle`.
    void meta.reap(inodeOf(operation.inode));
  } else if (operation.op === 'reaper') {
    reaper = operation.mode;
  } else if (operation.op === 'retryFrees') {
    void meta.retryFrees();
  } else if (operation.op === 'expireSession') {
    meta.expireSession(operation.session);
  } else if (operation.op === 'settle') {
    for (const resolve of waiting.splice(0)) resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {};
}

async function answer(meta: LocalMetaStore, request: Request): Promise<Answer> {
  ({ seconds } = request);
  crash = request.crash === undefined ? undefined : { ...request.crash };
  const before = made.length;
  let result: Answer;
  try {
    result = { code: 'OK', ...(await run(meta, request)) };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    result = { code: error.code };
  }
  dieIf('reply');
  crash = undefined;
  return { ...result, made: made.slice(before), inodes: meta.inodeCount() };
}

async function obey(command: Command & { look?: string }): Promise<Answer> {
  if (command.look !== undefined) return look(command.look);
  if ('open' in command) return open(command.open);
  if (store === undefined) return { broken: 'not open' };
  if ('request' in command) return answer(store, command.request);
  if ('dump' in command) return { dump: dumpTables(rangeOfOpen) };
  waiting = [];
  await store.close();
  return {};
}

async function main(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let result: Answer;
    try {
      result = await obey(JSON.parse(line) as Command);
    } catch (error) {
      result = { broken: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    writeSync(1, `${JSON.stringify(result)}\n`);
  }
}

if (process.argv[2] === 'run') await main();
