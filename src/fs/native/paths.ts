/**
 * From the path strings of the package to directories and names of ours. The package decodes names as UTF-8, whatever
 * they are, so a replacement character may stand for bytes that are lost: such names are refused, never guessed.
 */
import { isUtf8 } from 'node:buffer';
import { FsError } from '../../errno.ts';
import type { InodeId } from '../../ids.ts';
import type { EntryName } from '../../meta/store.ts';
import type { Task } from '../../task.ts';
import type { Entry } from '../types.ts';
import type { Vfs } from '../vfs.ts';

const REPLACEMENT = '\uFFFD';

/** The bytes of a name, symlink target or attribute name. EILSEQ where they cannot be known. */
export function toBytes(text: string): Buffer {
  if (text.includes(REPLACEMENT)) throw new FsError('EILSEQ', 'a name that is not UTF-8');
  return Buffer.from(text);
}

/** The text that the package turns into exactly these bytes, and back; undefined if there is none. */
export function toText(bytes: Buffer): string | undefined {
  if (!isUtf8(bytes)) return undefined;
  const text = bytes.toString();
  return text.includes(REPLACEMENT) ? undefined : text;
}

/** The inode at `path`, which begins with a slash; symlinks are not followed, the kernel has done that. */
export function* resolve(vfs: Vfs, path: string): Task<Entry> {
  const names = namesOf(path);
  const last = names.pop();
  if (last === undefined) return { inode: vfs.root, stat: yield* vfs.getattr(vfs.root) };
  return yield* vfs.lookup(yield* descend(vfs, names), last);
}

/** The directory that holds `path`, and its name there. */
export function* resolveName(vfs: Vfs, path: string): Task<EntryName> {
  const names = namesOf(path);
  const name = names.pop();
  // The kernel refuses to make, remove or rename the root of a mount.
  if (name === undefined) throw new FsError('EBUSY', 'the root of the mount');
  return { parent: yield* descend(vfs, names), name };
}

function* descend(vfs: Vfs, names: readonly Buffer[]): Task<InodeId> {
  let inode = vfs.root;
  for (const name of names) inode = (yield* vfs.lookup(inode, name)).inode;
  return inode;
}

function namesOf(path: string): Buffer[] {
  return path
    .split('/')
    .filter((name) => name !== '')
    .map(toBytes);
}
