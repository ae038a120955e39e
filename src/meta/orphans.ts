/** Orphans that may become files with a name: those that were made without one. One that had a name never gets another. */
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { type Task, wait } from '../task.ts';
import type { NamespaceContext } from './directories.ts';
import { numberKey, Table } from './keys.ts';
import type { KeyValueReader, KeyValueTransaction } from './kv.ts';
import { endHold } from './opens.ts';
import { isNameless } from './tables.ts';

/** ENOENT for an orphan that had a name. */
export function* requireNameable(kv: KeyValueReader, inode: InodeId): Task<void> {
  if (!(yield* isNameless(kv, inode))) throw new FsError('ENOENT', 'the file was removed');
}

/** The inode gets a name: it is an orphan no more, and not held as one. The caller puts its record. */
export function* endNameless(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  inode: InodeId,
): Task<void> {
  yield* wait(kv.remove(numberKey(Table.ORPHANS, inode)));
  if (context.client !== undefined) yield* endHold(kv, inode, context.client);
}
