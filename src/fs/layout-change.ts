/**
 * Changes of the layout of a file that may be open. Invariant: data is written only where the record will say that it is.
 */
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { Layout, MetaStore } from '../meta/store.ts';
import { type Task, wait } from '../task.ts';
import type { OpenFile } from './handles.ts';

/** Finds the shared state of an inode that this mount has open. */
export type FindOpenFile = (inode: InodeId) => OpenFile | undefined;

/** EEXIST for a file with data, also if only this mount knows of the data yet; EINVAL for what has no layout. */
export function* changeLayout(
  { meta, openFile }: { meta: MetaStore; openFile: FindOpenFile },
  inode: InodeId,
  change: Partial<Layout>,
): Task<void> {
  const before = openFile(inode);
  if (before !== undefined && hasData(before)) {
    throw new FsError('EEXIST', 'the layout of a file with data is fixed');
  }
  const record = yield* wait(meta.setLayout(inode, change));
  const file = openFile(inode);
  if (file === undefined) return;
  file.record = record;
  file.view = { ...file.view, layout: record.layout };
}

/** The metadata server hears of it when the file is closed. */
function hasData({ born, notes, known }: OpenFile): boolean {
  return born || notes.pending || (known?.sizeBytes ?? 0) > 0;
}
