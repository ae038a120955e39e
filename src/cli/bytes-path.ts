/**
 * Paths as bytes, from the command line to the screen. Node decodes `process.argv` as UTF-8, which destroys other
 * bytes; /proc/self/cmdline has them whole (proc(5)).
 */
import { readFileSync } from 'node:fs';
import { FailureError, errorCode } from './errors.ts';

/**
 * The arguments of this program as latin1 strings, one character per byte: a parser may cut and compare
 * them, and {@link bytesOf} or {@link textOf} gets back what the shell passed.
 */
export function commandArguments(): string[] {
  const count = process.argv.length - 2;
  if (count <= 0) return [];
  const all = ownCommandLine().toString('latin1').split('\0');
  all.pop();
  return all.slice(-count);
}

function ownCommandLine(): Buffer {
  try {
    return readFileSync('/proc/self/cmdline');
  } catch (error) {
    throw new FailureError(
      `cannot read /proc/self/cmdline (${errorCode(error) ?? 'error'}); as root run: mount -t proc proc /proc`,
      { cause: error },
    );
  }
}

/** The bytes of an argument from {@link commandArguments}. */
export function bytesOf(argument: string): Buffer {
  return Buffer.from(argument, 'latin1');
}

/** An argument from {@link commandArguments} as text. */
export function textOf(argument: string): string {
  return bytesOf(argument).toString('utf8');
}

/** True if `bytes` is UTF-8. */
export function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}

/** `path` without trailing slashes; `/` stays. */
export function trimSlashes(path: Buffer): Buffer {
  let end = path.length;
  while (end > 1 && path[end - 1] === 0x2f) end--;
  return path.subarray(0, end);
}

/** What stands before the last slash: `/a` for `/a/b`, `/` for `/a`, `.` for `a`. */
export function parentOf(path: Buffer): Buffer {
  const slash = path.lastIndexOf(0x2f);
  if (slash < 0) return Buffer.from('.');
  return slash === 0 ? Buffer.from('/') : trimSlashes(path.subarray(0, slash));
}

/** What stands behind the last slash. */
export function lastNameOf(path: Buffer): Buffer {
  return path.subarray(path.lastIndexOf(0x2f) + 1);
}

/** `name` below `directory`. */
export function joinPath(directory: Buffer, name: Buffer): Buffer {
  const slash = directory.at(-1) === 0x2f ? '' : '/';
  return Buffer.concat([directory, Buffer.from(slash), name]);
}
