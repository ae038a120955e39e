/** Small helpers for tests that look at files one by one. */
import type { ExecutionContext } from 'ava';
import { closeSync, lstatSync, openSync, readdirSync } from 'node:fs';

/** Opens (creating with mode 0644 if the flags say so), and closes whatever happens. */
export function withFile<T>(path: string, flags: string | number, use: (fd: number) => T): T {
  const fd = openSync(path, flags, 0o644);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Asserts equal bytes; says the first place that differs instead of printing megabytes. */
export function sameBytes(
  t: ExecutionContext,
  actual: Buffer,
  expected: Buffer,
  what: string,
): void {
  t.is(actual.length, expected.length, `${what}: length`);
  if (actual.equals(expected)) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  t.fail(`${what}: byte ${at} is ${String(actual[at])}, not ${String(expected[at])}`);
}

/** Of the entry itself, a symlink too. */
export function inode(path: string): number {
  return lstatSync(path).ino;
}

/** Link count of the entry itself. */
export function links(path: string): number {
  return lstatSync(path).nlink;
}

/** Whether the entry is there, be it a dangling symlink. */
export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Sorted names in a folder. */
export function entries(folder: string): string[] {
  return readdirSync(folder).sort();
}
