/** Short ways to use files of a VFS over stores in this process. */
import type { Opened } from '../../src/fs/types.ts';
import type { Vfs } from '../../src/fs/vfs.ts';
import { FsError } from '../../src/errno.ts';
import { type HandleId, type InodeId, ROOT_INODE } from '../../src/ids.ts';
import { FileType } from '../../src/stat.ts';
import { runSync, runTask } from '../../src/task.ts';

const SPEC = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };

/** A new file, open for reading and writing. */
export function createFile(vfs: Vfs, name: string): Opened & { inode: InodeId } {
  const entry = { parent: ROOT_INODE, name: Buffer.from(name) };
  return runSync(vfs.create(entry, SPEC, { write: true, truncate: false, exclusive: true }));
}

/** Returns how many bytes were stored. */
export async function writeAt(
  vfs: Vfs,
  handle: HandleId,
  offset: number,
  bytes: Buffer,
): Promise<number> {
  const request = { offset, append: false, payload: { bytes }, dropPrivilegeBits: false };
  return await runTask(vfs.write(handle, request));
}

/** The whole file. */
export async function readAll(vfs: Vfs, handle: HandleId): Promise<Buffer> {
  const { slices } = await runTask(vfs.read(handle, { offset: 0, length: 2 ** 24 }));
  return Buffer.concat(slices);
}

/** What `run` answers, or the errno's name with which it fails. */
export async function outcomeOf<T>(run: () => T | PromiseLike<T>): Promise<T | string> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  }
}
