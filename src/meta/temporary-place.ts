/**
 * A private folder for a database that nobody wants to keep. What crashed processes left behind is recognised by
 * its name and by nobody holding the lock of the database in it.
 */
import {
  accessSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { MetaOpenError } from './database-file.ts';
import { tryLockFile } from './file-lock.ts';

const PREFIX = 'imssfs-meta-';
const FILE_NAME = 'data';

/** A younger folder may be one whose owner is about to make the database in it, or to lock it. */
const GRACE_MS = 60_000;

/** Makes a folder of mode 0700 below `within`, or where temporary things of this user belong. */
export function makeTemporaryFolder(
  clock: Clock,
  within?: string,
): { folder: string; file: string } {
  const parent = within ?? usableRuntimeDirectory() ?? tmpdir();
  removeLeftovers(parent, clock.now().seconds * 1000);
  const folder = makeFolder(parent);
  return { folder, file: join(folder, FILE_NAME) };
}

function makeFolder(parent: string): string {
  try {
    return mkdtempSync(join(parent, PREFIX));
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new MetaOpenError(
      code === 'ENOSPC' || code === 'EDQUOT' ? 'no-space' : 'not-writable',
      `cannot make a folder for the metadata in ${parent} (${code}): name a file with -M, or a folder with TMPDIR`,
      { cause: error },
    );
  }
}

export function removeTemporaryFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function usableRuntimeDirectory(): string | undefined {
  const directory = process.env['XDG_RUNTIME_DIR'];
  if (directory === undefined || directory === '') return undefined;
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    const stat = statSync(directory);
    // Root may have inherited another user's, which goes when that user logs out.
    return stat.isDirectory() && stat.uid === process.getuid?.() ? directory : undefined;
  } catch {
    return undefined;
  }
}

function removeLeftovers(parent: string, nowMs: number): void {
  let names: string[];
  try {
    names = readdirSync(parent);
  } catch {
    return;
  }
  for (const name of names) {
    if (!name.startsWith(PREFIX)) continue;
    try {
      removeIfDead(join(parent, name), nowMs);
    } catch {
      // Another user's, or another process is removing it at the same time.
    }
  }
}

function removeIfDead(folder: string, nowMs: number): void {
  const stat = statSync(folder);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) return;
  if (nowMs - stat.mtimeMs <= GRACE_MS) return;
  let fd: number;
  try {
    fd = openSync(join(folder, FILE_NAME), 'r');
  } catch {
    removeTemporaryFolder(folder);
    return;
  }
  try {
    if (tryLockFile(fd)) removeTemporaryFolder(folder);
  } finally {
    closeSync(fd);
  }
}
