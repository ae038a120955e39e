/**
 * The namespace operations but rename, each written once over the key-value interface. An operation makes all
 * its checks before its first write: one that fails has changed nothing even if its transaction is committed.
 */
import { compareTime, type Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import { type EntrySequence, type InodeId, ROOT_INODE } from '../ids.ts';
import { FileType, fileTypeOf, PERMISSION_MASK, TYPE_MASK } from '../stat.ts';
import { type Task, wait } from '../task.ts';
import {
  addEntry,
  checkName,
  dropEntry,
  isDirectory,
  isDirectoryEntry,
  loseName,
  type NamespaceContext,
  NO_ENTRY,
  requireDirectory,
  requireEmpty,
  requireEntry,
  requireInode,
  requireLiveDirectory,
  requireRoomForSubdirectory,
  type StoredDirectory,
  touch,
} from './directories.ts';
import { listingKey, secondNumber } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import { changePermissions, inherit, type InheritedInode } from './permissions.ts';
import { decodeListing, directorySizeBytes, type StoredInode } from './records.ts';
import type {
  AttributeChange,
  EntryName,
  Layout,
  ListedEntry,
  ListingPage,
  NewInode,
  OpenLevel,
} from './store.ts';
import { isWrittenByOthers, openNew } from './opens.ts';
import { endNameless, requireNameable } from './orphans.ts';
import { appendInode, findEntry, findInode, putInode } from './tables.ts';

/** A symlink's target has at most PATH_MAX bytes of `linux/limits.h`, with the NUL that it has elsewhere. */
const MAX_TARGET_BYTES = 4095;

export function* lookup(kv: KeyValueReader, parent: InodeId, name: Buffer): Task<StoredInode> {
  checkName(name);
  const entry = yield* findEntry(kv, parent, name);
  if (entry === undefined) {
    yield* requireDirectory(kv, parent);
    throw NO_ENTRY;
  }
  return yield* requireInode(kv, entry.inode);
}

/** ESTALE. */
export function* getInode(kv: KeyValueReader, inode: InodeId): Task<StoredInode> {
  return yield* requireInode(kv, inode);
}

/** Makes the root if the database has none. `layout` is what everything below inherits. */
export function* makeRoot(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  root: { owner: NewInode; layout: Layout },
): Task<void> {
  if ((yield* findInode(kv, ROOT_INODE)) !== undefined) return;
  const mode = FileType.DIRECTORY | (root.owner.mode & PERMISSION_MASK);
  const record = newRecord(context, ROOT_INODE, { ...root.owner, mode }, root.layout);
  record.parent = ROOT_INODE;
  record.directory = { name: Buffer.alloc(0), lastSequence: 0, entries: 0 };
  yield* putInode(kv, record);
  context.counts.created++;
}

function newRecord(
  context: NamespaceContext,
  inode: InodeId,
  spec: InheritedInode,
  layout: Layout,
): StoredInode {
  const now = context.now();
  const type = fileTypeOf(spec.mode);
  const target = type === FileType.SYMLINK ? spec.target : undefined;
  const directory = type === FileType.DIRECTORY;
  return {
    inode,
    mode: spec.mode & (TYPE_MASK | PERMISSION_MASK),
    nlink: directory ? 2 : 1,
    uid: spec.uid,
    gid: spec.gid,
    rdev: spec.rdev ?? 0,
    ctime: now,
    atime: now,
    mtime: now,
    sizeBytes: directory ? directorySizeBytes(0) : (target?.length ?? 0),
    storedBytes: 0,
    dataVersion: 0,
    generation: 0,
    truncatedBytes: 0,
    unborn: true,
    layout,
    home: layout.policy === 'LOCAL' ? (spec.home ?? 0) : 0,
    mapEpoch: context.mapEpoch,
    uri: 'imss://',
    target: target === undefined ? undefined : Buffer.from(target),
    parent: 0,
    directory: undefined,
    hasWriters: false,
    ...(spec.acls !== undefined && { acls: spec.acls }),
  };
}

const KNOWN_TYPES: readonly number[] = Object.values(FileType);

function checkSpec(spec: NewInode): void {
  const type = fileTypeOf(spec.mode);
  if (!KNOWN_TYPES.includes(type)) throw new FsError('EINVAL', 'unknown file type');
  if (type !== FileType.SYMLINK) return;
  const length = spec.target?.length ?? 0;
  if (length === 0) throw new FsError('ENOENT', 'empty symlink target');
  if (length > MAX_TARGET_BYTES) throw new FsError('ENAMETOOLONG', 'symlink target');
}

export function* create(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  entry: EntryName,
  spec: NewInode,
  level: OpenLevel = 'none',
): Task<StoredInode> {
  checkName(entry.name);
  checkSpec(spec);
  const parent = yield* requireLiveDirectory(kv, entry.parent);
  if ((yield* findEntry(kv, entry.parent, entry.name)) !== undefined) throw new FsError('EEXIST');
  return yield* insertNew(context, kv, parent, entry.name, { ...spec, level });
}

/** The record of a new inode, with what its directory hands on. */
export function recordBelow(
  context: NamespaceContext,
  parent: StoredDirectory,
  inode: InodeId,
  spec: NewInode,
): StoredInode {
  return newRecord(context, inode, inherit(spec, parent), parent.layout);
}

/** Makes an inode under a name that is free. EMLINK. */
function* insertNew(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  parent: StoredDirectory,
  name: Buffer,
  spec: NewInode & { level: OpenLevel },
): Task<StoredInode> {
  const directory = fileTypeOf(spec.mode) === FileType.DIRECTORY;
  if (directory) requireRoomForSubdirectory(context, parent);
  const inode = yield* context.numbers.next(kv, { parent: parent.inode, name, directory });
  const record = recordBelow(context, parent, inode, spec);
  record.uri = yield* context.uris.forNew(kv, parent, name, inode);
  if (directory) {
    record.parent = parent.inode;
    record.directory = { name: Buffer.from(name), lastSequence: 0, entries: 0 };
    parent.nlink++;
  }
  yield* openNew(context, kv, record, spec.level);
  yield* appendInode(kv, record);
  yield* addEntry(kv, parent, name, record);
  touch(parent, record.ctime);
  yield* putInode(kv, parent);
  context.counts.created++;
  return record;
}

export function* directoryAt(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  path: readonly Buffer[],
  owner: NewInode,
): Task<StoredInode> {
  path.forEach(checkName);
  const mode = FileType.DIRECTORY | (owner.mode & PERMISSION_MASK);
  const spec = { ...owner, mode, level: 'none' as const };
  let at = yield* requireLiveDirectory(kv, ROOT_INODE);
  for (const name of path) {
    const entry = yield* findEntry(kv, at.inode, name);
    const next: StoredInode =
      entry === undefined
        ? yield* insertNew(context, kv, at, name, spec)
        : yield* requireInode(kv, entry.inode);
    if (!isDirectory(next)) throw new FsError('ENOTDIR');
    at = next;
  }
  return at;
}

export function* link(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  inode: InodeId,
  entry: EntryName,
): Task<StoredInode> {
  checkName(entry.name);
  const parent = yield* requireLiveDirectory(kv, entry.parent);
  if ((yield* findEntry(kv, entry.parent, entry.name)) !== undefined) throw new FsError('EEXIST');
  const record = yield* requireInode(kv, inode);
  if (isDirectory(record)) throw new FsError('EPERM', 'hard link to a directory');
  if (record.nlink === 0) yield* requireNameable(kv, inode);
  if (record.nlink >= context.limits.links) throw new FsError('EMLINK');
  const now = context.now();
  if (record.nlink === 0) yield* endNameless(context, kv, inode);
  record.nlink++;
  record.ctime = now;
  yield* putInode(kv, record);
  yield* addEntry(kv, parent, entry.name, record);
  touch(parent, now);
  yield* putInode(kv, parent);
  return record;
}

export function* unlink(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  { parent: parentInode, name }: EntryName,
): Task<StoredInode> {
  checkName(name);
  const parent = yield* requireDirectory(kv, parentInode);
  const entry = yield* requireEntry(kv, parentInode, name);
  if (isDirectoryEntry(entry)) throw new FsError('EISDIR');
  const record = yield* requireInode(kv, entry.inode);
  const now = context.now();
  yield* dropEntry(kv, parent, name, entry);
  touch(parent, now);
  yield* putInode(kv, parent);
  yield* loseName(context, kv, record, now);
  return record;
}

export function* rmdir(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  { parent: parentInode, name }: EntryName,
): Task<StoredInode> {
  checkName(name);
  const parent = yield* requireDirectory(kv, parentInode);
  const entry = yield* requireEntry(kv, parentInode, name);
  const record = yield* requireDirectory(kv, entry.inode);
  requireEmpty(record);
  const now = context.now();
  yield* dropEntry(kv, parent, name, entry);
  parent.nlink--;
  touch(parent, now);
  yield* putInode(kv, parent);
  yield* loseName(context, kv, record, now);
  return record;
}

export function* setAttributes(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  inode: InodeId,
  change: AttributeChange,
): Task<StoredInode> {
  const record = yield* requireInode(kv, inode);
  changePermissions(record, change);
  if (change.uid !== undefined) record.uid = change.uid;
  if (change.gid !== undefined) record.gid = change.gid;
  if (change.atime !== undefined) record.atime = change.atime;
  if (change.mtime !== undefined) record.mtime = change.mtime;
  record.ctime = context.now();
  yield* putInode(kv, record);
  return record;
}

/** Writes nothing when the record is born already. */
export function* confirmBorn(kv: KeyValueTransaction, inode: InodeId): Task<void> {
  const record = yield* requireInode(kv, inode);
  if (!record.unborn) return;
  record.unborn = false;
  yield* putInode(kv, record);
}

/** Never moves the access time back. */
export function* touchAtime(kv: KeyValueTransaction, inode: InodeId, atime: Timespec): Task<void> {
  const record = yield* requireInode(kv, inode);
  if (compareTime(atime, record.atime) <= 0) return;
  record.atime = atime;
  yield* putInode(kv, record);
}

/** What a listing is made of; `entries` lack their records. */
export interface StoredPage {
  directory: StoredDirectory;
  upTo: EntrySequence;
  entries: ListedEntry[];
}

export function* list(
  kv: KeyValueReader,
  directory: InodeId,
  page: Omit<ListingPage, 'withRecords'>,
): Task<StoredPage> {
  const record = yield* requireDirectory(kv, directory);
  const upTo = page.upTo ?? (record.directory.lastSequence as EntrySequence);
  if (upTo <= page.after || page.limit <= 0) return { directory: record, upTo, entries: [] };
  const pairs = yield* wait(
    kv.range({
      start: listingKey(directory, page.after + 1),
      end: listingKey(directory, upTo + 1),
      limit: page.limit,
    }),
  );
  const entries = pairs.map(({ key, value }) => {
    const { inode, type, name } = decodeListing(value);
    return { name, inode, type, sequence: secondNumber(key) as EntrySequence };
  });
  return { directory: record, upTo, entries };
}

/** EEXIST for a file with data, EINVAL for what hands on no layout. */
export function* setLayout(
  { client }: Pick<NamespaceContext, 'client'>,
  kv: KeyValueTransaction,
  inode: InodeId,
  change: Partial<Layout>,
): Task<StoredInode> {
  const record = yield* requireInode(kv, inode);
  if (!isDirectory(record)) {
    if (fileTypeOf(record.mode) !== FileType.REGULAR) throw new FsError('EINVAL');
    // A client that has it open for writing may have written, and tells of that when it closes.
    const isWritten = client !== undefined && (yield* isWrittenByOthers(kv, inode, client));
    if (!record.unborn || isWritten) {
      throw new FsError('EEXIST', 'the layout of a file with data is fixed');
    }
  }
  record.layout = { ...record.layout, ...change };
  yield* putInode(kv, record);
  return record;
}
