/**
 * The file behind a metadata database: made or checked, locked for one process, and tidied up afterwards. Beside
 * FILE stand, while it is open, `FILE-lock` (lmdb's reader table) and `FILE-open` (the life of the machine in
 * which it was opened); a refusal leaves everything as it was.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { lockHolder, tryLockFile } from './file-lock.ts';

/** Why a database cannot be opened; the message is one line that says what is wrong and what to do. */
export type OpenFailure =
  | 'in-use'
  | 'not-ours'
  | 'other-version'
  | 'damaged'
  | 'no-directory'
  | 'not-writable'
  | 'no-space'
  | 'bad-path'
  | 'failed';

export class MetaOpenError extends Error {
  override name = 'MetaOpenError';
  readonly reason: OpenFailure;

  constructor(reason: OpenFailure, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** Attempts at locking a path under which another process removes or replaces the file. */
const LOCK_ATTEMPTS = 10;

/** What must be free on disk before lmdb gets to see the file. */
const ROOM_BYTES = 256 * 1024;

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** Offsets in an lmdb meta page of data version 2: page header 24 bytes, then MDB_meta of lmdb's mdb.c. */
const LMDB = {
  MAGIC_OFFSET: 24,
  MAGIC: 0xbeef_c0de,
  VERSION_OFFSET: 28,
  VERSION: 2,
  PAGE_SIZE_OFFSET: 48,
  HEADER_BYTES: 160,
} as const;

function errorCode(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : String(error);
}

/** An open, locked file that is empty or looks like a database of lmdb. */
export class DatabaseFile {
  readonly path: string;
  /** Made here: goes again when opening fails. */
  readonly isNew: boolean;
  readonly #fd: number;
  readonly #hadLockFile: boolean;

  private constructor(path: string, state: { fd: number; isNew: boolean }) {
    this.path = path;
    this.isNew = state.isNew;
    this.#fd = state.fd;
    this.#hadLockFile = existsSync(this.#auxiliary('lock'));
  }

  #auxiliary(which: 'lock' | 'open'): string {
    return `${this.path}-${which}`;
  }

  /** Fails with {@link MetaOpenError}. */
  static open(path: string): DatabaseFile {
    for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
      const opened = openOrMake(path);
      if (opened === undefined) continue;
      const { fd } = opened;
      if (!tryLockFile(fd)) {
        const pid = lockHolder(fd);
        closeSync(fd);
        const holder = pid === undefined ? 'another process' : `process ${pid}`;
        throw new MetaOpenError(
          'in-use',
          `${path} is in use by ${holder}: unmount that file system first, or name another file`,
        );
      }
      if (statSync(path, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
        closeSync(fd);
        continue;
      }
      const file = new DatabaseFile(path, opened);
      try {
        file.#check();
        file.#markOpen();
        return file;
      } catch (error) {
        file.abandon();
        throw error;
      }
    }
    throw new MetaOpenError('in-use', `${path} is being replaced by another process: try again`);
  }

  /** lmdb's native code crashes the process on what is not an lmdb file, so that is found out here. */
  #check(): void {
    const stat = fstatSync(this.#fd);
    if (!stat.isFile()) {
      throw new MetaOpenError('not-ours', `${this.path} is not a regular file: name another file`);
    }
    this.#checkBoot();
    if (stat.size === 0) return;
    const header = Buffer.alloc(LMDB.HEADER_BYTES);
    const length = readSync(this.#fd, header, 0, header.length, 0);
    if (
      length < header.length ||
      header.readUInt32LE(LMDB.MAGIC_OFFSET) !== LMDB.MAGIC ||
      header.readUInt32LE(LMDB.VERSION_OFFSET) !== LMDB.VERSION
    ) {
      throw this.notOurs();
    }
    const pageSize = header.readUInt32LE(LMDB.PAGE_SIZE_OFFSET);
    const plausible = pageSize >= 512 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0;
    if (!plausible || stat.size < 2 * pageSize) throw this.damaged();
  }

  notOurs(): MetaOpenError {
    return new MetaOpenError(
      'not-ours',
      `${this.path} is not a metadata database of imssfs: name another file`,
    );
  }

  damaged(cause?: unknown): MetaOpenError {
    return new MetaOpenError(
      'damaged',
      `${this.path} is damaged: remove it or name another file`,
      cause === undefined ? {} : { cause },
    );
  }

  /** Commits are not synced, so a file that was open when the machine went down may hold anything. */
  #checkBoot(): void {
    const openedIn = this.#readMark();
    if (openedIn === undefined || openedIn === '' || openedIn === bootId()) return;
    throw new MetaOpenError(
      'damaged',
      `${this.path} was in use when the machine went down, so it may be damaged: ` +
        `remove it and ${this.path}-open, or name another file`,
    );
  }

  /** The life of the machine that the mark names: its first line, since a killed process may leave more behind it. */
  #readMark(): string | undefined {
    try {
      return readFileSync(this.#auxiliary('open'), 'latin1').split('\n', 1)[0];
    } catch {
      return undefined;
    }
  }

  /**
   * Writes the mark, and more at first: lmdb's native code crashes the process when there is no room for its
   * first pages or for its lock file.
   */
  #markOpen(): void {
    const mark = this.#auxiliary('open');
    const line = Buffer.from(`${bootId()}\n`);
    try {
      writeFileSync(mark, Buffer.concat([line, Buffer.alloc(ROOM_BYTES)]), { mode: 0o600 });
      truncateSync(mark, line.length);
      fsyncPath(mark);
    } catch (error) {
      // Ours, although it may be incomplete: this process holds the database's lock.
      rmSync(mark, { force: true });
      const code = errorCode(error);
      const full = code === 'ENOSPC' || code === 'EDQUOT';
      throw new MetaOpenError(
        full ? 'no-space' : 'not-writable',
        full
          ? `no room on disk for ${this.path}: free some, or name a file elsewhere`
          : `cannot write ${mark} (${code}): name a file elsewhere`,
        { cause: error },
      );
    }
  }

  /** Opening failed later on: removes what was not here before, and unlocks. */
  abandon(): void {
    try {
      if (this.isNew) rmSync(this.path, { force: true });
      if (!this.#hadLockFile) rmSync(this.#auxiliary('lock'), { force: true });
      this.#unmark();
    } catch {
      // What keeps us from tidying up is less than why opening failed, which the caller tells.
    } finally {
      closeSync(this.#fd);
    }
  }

  /** A refused file keeps its mark of a former life of the machine. */
  #unmark(): void {
    if (this.#readMark() === bootId()) rmSync(this.#auxiliary('open'), { force: true });
  }

  /** After the database has been closed: all of it is on disk when this returns. */
  close(): void {
    try {
      fsyncSync(this.#fd);
      this.#unmark();
      rmSync(this.#auxiliary('lock'), { force: true });
    } finally {
      closeSync(this.#fd);
    }
  }
}

/** Undefined if the file came into being in between. */
function openOrMake(path: string): { fd: number; isNew: boolean } | undefined {
  try {
    return { fd: openSync(path, 'r+'), isNew: false };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw explainOpen(path, error);
  }
  try {
    return { fd: openSync(path, 'wx+', 0o600), isNew: true };
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return undefined;
    throw explainOpen(path, error);
  }
}

function explainOpen(path: string, error: unknown): MetaOpenError {
  const code = errorCode(error);
  // The likes of /proc answer ENOENT where nothing can be made.
  const isFolder = statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory() === true;
  if ((code === 'ENOENT' || code === 'ENOTDIR') && !isFolder) {
    return new MetaOpenError(
      'no-directory',
      `${dirname(path)} is not a directory: make it, or name a file elsewhere`,
      { cause: error },
    );
  }
  return new MetaOpenError(
    code === 'EISDIR' ? 'not-ours' : 'not-writable',
    `cannot write ${path} (${code}): name a file elsewhere`,
    { cause: error },
  );
}

function fsyncPath(path: string): void {
  const fd = openSync(path, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

let knownBootId: string | undefined;

/** Changes with each start of the machine; empty where the kernel does not tell. */
function bootId(): string {
  if (knownBootId === undefined) {
    try {
      knownBootId = readFileSync(BOOT_ID_FILE, 'latin1').trim();
    } catch {
      knownBootId = '';
    }
  }
  return knownBootId;
}
