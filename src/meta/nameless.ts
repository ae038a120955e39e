/** Making regular files without a name (O_TMPFILE): orphans from the beginning, which may be given one. */
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import type { Task } from '../task.ts';
import { type NamespaceContext, requireLiveDirectory } from './directories.ts';
import type { KeyValueTransaction } from './kv.ts';
import { recordBelow } from './namespace.ts';
import { openNew } from './opens.ts';
import type { StoredInode } from './records.ts';
import type { NewInode, OpenLevel } from './store.ts';
import { addOpenBits, appendInode, markNameless, OpenBit } from './tables.ts';

/** Kept by the directory's server; the directory itself does not change. ENOENT if that was removed. */
export function* createNameless(
  context: NamespaceContext,
  kv: KeyValueTransaction,
  directory: InodeId,
  spec: NewInode & { level?: OpenLevel },
): Task<StoredInode> {
  if (fileTypeOf(spec.mode) !== FileType.REGULAR) throw new FsError('EINVAL', 'no regular file');
  const parent = yield* requireLiveDirectory(kv, directory);
  const name = Buffer.alloc(0);
  const inode = yield* context.numbers.next(kv, { parent: directory, name, directory: false });
  const record = recordBelow(context, parent, inode, spec);
  record.nlink = 0;
  record.uri = context.uris.ofNameless(inode);
  yield* openNew(context, kv, record, spec.level ?? 'none');
  yield* appendInode(kv, record);
  yield* markNameless(kv, inode);
  if (context.client !== undefined) yield* addOpenBits(kv, inode, context.client, OpenBit.HOLD);
  context.counts.created++;
  return record;
}
