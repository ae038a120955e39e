/**
 * The file that holds a cluster's shared secret: 32 random bytes as 64 hex digits and a newline, readable by its owner
 * alone. It is made at its first use, so nodes that share a home directory agree without a setting.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The secret cannot be had. The message is one line: what is wrong; what to do. */
export class SecretError extends Error {
  override name = 'SecretError';
}

const SECRET_BYTES = 32;
const MAX_FILE_BYTES = 1024;
/** Another process may just be making the file. */
const EMPTY_WAIT_MS = 50;
const EMPTY_WAITS = 40;

/** Where the secret is unless it is said. */
export function defaultSecretPath(home: string = homedir()): string {
  return join(home, '.imssfs', 'secret');
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}

/** The secret in `path`, which is made if there is none. Throws {@link SecretError}. */
export async function loadSecret(path: string = defaultSecretPath()): Promise<Buffer> {
  for (let attempt = 0; attempt < EMPTY_WAITS; attempt++) {
    const text = (await readSecret(path)) ?? (await makeSecret(path));
    if (text !== undefined && text !== '') return parse(text, path);
    await sleep(EMPTY_WAIT_MS);
  }
  throw new SecretError(`the secret file ${path} is empty; remove it, and a new one is made`);
}

function parse(text: string, path: string): Buffer {
  const digits = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(digits)) {
    throw new SecretError(
      `the secret file ${path} does not hold 64 hex digits; write them (openssl rand -hex ${SECRET_BYTES}), or remove it, and a new one is made`,
    );
  }
  return Buffer.from(digits, 'hex');
}

/** Undefined if there is no such file. */
async function readSecret(path: string): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // A FIFO must not hold us up.
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unusable(path, 'read', error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new SecretError(`the secret file ${path} is no file; name another`);
    if ((stat.mode & 0o077) !== 0) {
      throw new SecretError(
        `the secret file ${path} may be used by others than its owner; run chmod 600 on it, and make a new one if others may have read it`,
      );
    }
    const room = Buffer.alloc(MAX_FILE_BYTES);
    const { bytesRead } = await file.read(room, 0, room.length, 0);
    return room.toString('latin1', 0, bytesRead);
  } catch (error) {
    throw error instanceof SecretError ? error : unusable(path, 'read', error);
  } finally {
    await file.close();
  }
}

function unusable(path: string, what: string, error: unknown): SecretError {
  return new SecretError(
    `cannot ${what} the secret file ${path} (${codeOf(error)}); name one that you may use by --secret-file, or give --insecure to all`,
    { cause: error },
  );
}

/** One folder only: where more are missing, the path has been mistyped. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Undefined if somebody else has made it meanwhile. */
async function makeSecret(path: string): Promise<string | undefined> {
  const text = `${randomBytes(SECRET_BYTES).toString('hex')}\n`;
  let file: FileHandle;
  try {
    await makeFolder(dirname(path));
    file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined;
    throw unusable(path, 'make', error);
  }
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw unusable(path, 'write', error);
  } finally {
    await file.close();
  }
  return text;
}
