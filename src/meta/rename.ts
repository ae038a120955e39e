/**
 * rename(2) and renameat2(2). The order of the checks is that of do_renameat2() and vfs_rename() in the kernel's
 * fs/namei.c; as everywhere in the namespace, all of them come before the first write.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import { type InodeId, ROOT_INODE } from '../ids.ts';
import type { Task } from '../task.ts';
import {
  addEntry,
  checkName,
  dropEntry,
  isDirectory,
  loseName,
  type NamespaceContext,
  requireEmpty,
  requireEntry,
  requireInode,
  requireLiveDirectory,
  requireRoomForSubdirectory,
  type StoredDirectory,
  touch,
} from './directories.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import type { StoredEntry, StoredInode } from './records.ts';
import type { EntryName, RenameFlags } from './store.ts';
import { findEntry, findInode, putEntry, putInode, removeEntry } from './tables.ts';

/** One of the two names of a rename, with all that it leads to. */
interface Place {
  parent: StoredDirectory;
  name: Buffer;
  entry: StoredEntry;
  record: StoredInode;
}

/** Returns the inode that lost its name, if any did. */
export function* rename(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  names: { from: EntryName; to: EntryName },
  flags: RenameFlags,
): Task<StoredInode | undefined> {
  const { from, to } = names;
  checkName(from.name);
  checkName(to.name);
  if (flags.exchange === true && flags.noReplace === true) throw new FsError('EINVAL');
  const fromParent = yield* requireLiveDirectory(kv, from.parent);
  const toParent: StoredDirectory =
    to.parent === from.parent ? fromParent : yield* requireLiveDirectory(kv, to.parent);
  const fromEntry = yield* requireEntry(kv, from.parent, from.name);
  const toEntry = yield* findEntry(kv, to.parent, to.name);
  if (toEntry !== undefined && flags.noReplace === true) throw new FsError('EEXIST');
  if (toEntry === undefined && flags.exchange === true) throw new FsError('ENOENT');

  const moved = yield* requireInode(kv, fromEntry.inode);
  const across = fromParent !== toParent;
  if (across && isDirectory(moved)) yield* requireOutside(kv, moved, toParent);
  const source = { parent: fromParent, name: from.name, entry: fromEntry, record: moved };
  if (toEntry === undefined) {
    yield* replace(context, kv, source, { parent: toParent, name: to.name });
    return undefined;
  }
  const other = yield* requireInode(kv, toEntry.inode);
  if (across && flags.exchange === true && isDirectory(other)) {
    yield* requireOutside(kv, other, fromParent);
  }
  // rename(2): two names of one file, or the same name twice, and nothing happens.
  if (other.inode === moved.inode) return undefined;
  const target = { parent: toParent, name: to.name, entry: toEntry, record: other };
  if (flags.exchange === true) {
    yield* exchange(context, kv, source, target);
    return undefined;
  }
  yield* replace(context, kv, source, target);
  return other;
}

/** EINVAL if `directory` is `place` or above it: moving it there would cut off a cycle. */
function* requireOutside(
  kv: KeyValueReader,
  directory: StoredDirectory,
  place: StoredDirectory,
): Task<void> {
  let at: StoredInode | undefined = place;
  // Records that were read one after the other from several servers may form a circle; agreeing on them then fails.
  const seen = new Set<InodeId>();
  while (at !== undefined && !seen.has(at.inode)) {
    seen.add(at.inode);
    if (at.inode === directory.inode) {
      throw new FsError('EINVAL', 'a directory cannot move into its own subtree');
    }
    // The root's record changes with each of its entries: what depends on no more than its number does not read it.
    if (at.inode === ROOT_INODE || at.parent === ROOT_INODE) return;
    at = yield* findInode(kv, at.parent as InodeId);
  }
  throw new FsError('EIO', 'a directory does not lead to the root');
}

function* replace(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  source: Place,
  target: Omit<Place, 'entry' | 'record'> & Partial<Place>,
): Task<void> {
  const { record } = source;
  const lost = target.record;
  const across = source.parent !== target.parent;
  if (lost !== undefined) {
    if (isDirectory(record) && !isDirectory(lost)) throw new FsError('ENOTDIR');
    if (!isDirectory(record) && isDirectory(lost)) throw new FsError('EISDIR');
    if (isDirectory(lost)) requireEmpty(lost);
  } else if (across && isDirectory(record)) {
    requireRoomForSubdirectory(context, target.parent);
  }

  const now = context.now();
  yield* dropEntry(kv, source.parent, source.name, source.entry);
  if (lost !== undefined && target.entry !== undefined) {
    // The name stays where it is in its listing: one that was there all the time is missing from none.
    yield* putAt(kv, { ...target, entry: target.entry }, source.entry);
    if (isDirectory(lost)) target.parent.nlink--;
    yield* loseName(context, kv, lost, now);
  } else {
    yield* addEntry(kv, target.parent, target.name, record);
  }
  if (across && isDirectory(record)) {
    source.parent.nlink--;
    target.parent.nlink++;
  }
  yield* putMoved(context, kv, record, target, now);
  yield* putParents(kv, source.parent, target.parent, now);
}

/** Both names stay where they are in their listings; only what they lead to changes places. */
function* exchange(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  one: Place,
  two: Place,
): Task<void> {
  if (one.parent !== two.parent && isDirectory(one.record) !== isDirectory(two.record)) {
    const [loser, winner] = isDirectory(one.record)
      ? [one.parent, two.parent]
      : [two.parent, one.parent];
    requireRoomForSubdirectory(context, winner);
    loser.nlink--;
    winner.nlink++;
  }
  const now = context.now();
  yield* putAt(kv, one, two.entry);
  yield* putAt(kv, two, one.entry);
  yield* putMoved(context, kv, one.record, two, now);
  yield* putMoved(context, kv, two.record, one, now);
  yield* putParents(kv, one.parent, two.parent, now);
}

/** The name at `place` leads to where `entry` leads, and keeps its place in the listing. */
function* putAt(
  kv: KeyValueTransaction,
  place: Omit<Place, 'record'>,
  entry: StoredEntry,
): Task<void> {
  const { inode, type } = entry;
  yield* removeEntry(kv, place.parent.inode, place.name, place.entry);
  yield* putEntry(kv, place.parent.inode, place.name, {
    inode,
    type,
    sequence: place.entry.sequence,
  });
}

function* putMoved(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  record: StoredInode,
  to: { parent: StoredDirectory; name: Buffer },
  now: Timespec,
): Task<void> {
  record.ctime = now;
  if (isDirectory(record)) {
    record.parent = to.parent.inode;
    record.directory.name = to.name;
    context.uris.forget();
  }
  yield* putInode(kv, record);
}

function* putParents(
  kv: KeyValueTransaction,
  one: StoredDirectory,
  two: StoredDirectory,
  now: Timespec,
): Task<void> {
  touch(one, now);
  yield* putInode(kv, one);
  if (two === one) return;
  touch(two, now);
  yield* putInode(kv, two);
}
