/**
 * The key-value interface on one lmdb file. Reads outside a transaction always see the last commit; nothing is
 * synced before {@link LmdbKeyValue.close}, so commits survive the process but not a power cut.
 */
import { open, type RootDatabase } from 'lmdb';
import { invariant } from '../invariant.ts';
import { runSync, type Task } from '../task.ts';
import { FileRoom, type RoomUse } from './file-room.ts';
import {
  type KeyRange,
  type KeyValue,
  KeyValueError,
  type KeyValueReader,
  type KeyValueTransaction,
} from './kv.ts';

/** Address space taken at first, not disk or memory; lmdb takes more by itself when the file outgrows it. */
const FIRST_MAP_BYTES = 2 ** 30;

/** ENOSPC of Linux, and MDB_MAP_FULL of lmdb.h: no room on disk, or in the address space. */
const NO_SPACE_CODES: readonly unknown[] = [28, -30792, 'ENOSPC'];

/** Some versions of lmdb throw the system's error text with no usable code. */
const NO_SPACE_TEXT = /no space left|disk quota|MDB_MAP_FULL/i;

/** MDB_APPEND: a page that is full is left so, where otherwise it would be split in halves. */
const APPEND = { append: true };

/** lmdb's types do not tell that it says whether it has stored what it was given. */
type PutSync = (key: Buffer, value: Buffer, options: typeof APPEND) => boolean;

export interface DatabaseUsage {
  /** Bytes of the file that hold pages in use. */
  usedBytes: number;
  /** Bytes of the file that have ever held pages; later commits may reuse them. */
  fileBytes: number;
}

function asKeyValueError(error: unknown): KeyValueError {
  const code = (error as { code?: unknown } | undefined)?.code;
  const full =
    NO_SPACE_CODES.includes(code) || (error instanceof Error && NO_SPACE_TEXT.test(error.message));
  return new KeyValueError(full ? 'ENOSPC' : 'EIO', error);
}

export class LmdbKeyValue implements KeyValueReader {
  readonly #database: RootDatabase<Buffer, Buffer>;
  readonly #transaction: KeyValueTransaction;
  readonly #room: FileRoom;
  #closed = false;

  private constructor(database: RootDatabase<Buffer, Buffer>, path: string) {
    this.#database = database;
    this.#room = new FileRoom({ path, usedBytes: () => this.usage().usedBytes });
    const putSync = database.putSync.bind(database) as unknown as PutSync;
    this.#transaction = {
      get: (key) => this.get(key),
      range: (range) => this.range(range),
      put: (key, value) => {
        this.#guard(() => {
          database.putSync(key, value);
        });
      },
      append: (key, value) => {
        const appended = this.#guard(() => putSync(key, value, APPEND));
        invariant(appended, 'a key that was appended is not above all others');
      },
      remove: (key) => {
        this.#guard(() => {
          database.removeSync(key);
        });
      },
    };
  }

  /**
   * Opens or makes the file at `path` and, beside it, `<path>-lock`. The caller has made sure that the file is
   * empty or an lmdb file (lmdb's native code divides by zero on others), and that nobody else has it open.
   */
  static open(path: string, options: { mapBytes?: number } = {}): LmdbKeyValue {
    try {
      return new LmdbKeyValue(
        open<Buffer, Buffer>({
          path,
          noSubdir: true,
          noSync: true,
          overlappingSync: false,
          noMemInit: true,
          keyEncoding: 'binary',
          encoding: 'binary',
          maxDbs: 1,
          mapSize: options.mapBytes ?? FIRST_MAP_BYTES,
        }),
        path,
      );
    } catch (error) {
      throw asKeyValueError(error);
    }
  }

  #guard<T>(access: () => T): T {
    try {
      return access();
    } catch (error) {
      throw asKeyValueError(error);
    }
  }

  get(key: Buffer): Buffer | undefined {
    try {
      const shared = this.#database.getBinaryFast(key);
      // lmdb reuses one larger buffer whose `length` it redefines; a view of its own behaves as a Buffer should.
      return shared?.subarray(0, shared.length);
    } catch (error) {
      throw asKeyValueError(error);
    }
  }

  range(range: KeyRange): KeyValue[] {
    return this.#guard(() => {
      const pairs: KeyValue[] = [];
      for (const { key, value } of this.#database.getRange({ ...range })) {
        pairs.push({ key, value });
      }
      return pairs;
    });
  }

  /** Number of keys in a range. */
  count(range: KeyRange): number {
    return this.#guard(() => this.#database.getKeysCount({ ...range }));
  }

  /**
   * Runs `operation` in one transaction and commits it; if it throws, nothing of it remains. The operation
   * must not wait. ENOSPC when the disk has no room for it; what adds no names may use the
   * `reserve`, so that a full disk does not keep anybody from removing files.
   */
  transact<T>(
    operation: (transaction: KeyValueTransaction) => Task<T>,
    use: RoomUse = 'growth',
  ): T {
    if (!this.#guard(() => this.#room.take(use))) throw new KeyValueError('ENOSPC', 'disk full');
    const progress = { inOperation: false };
    try {
      return this.#database.transactionSync(() => {
        progress.inOperation = true;
        const result = runSync(operation(this.#transaction));
        progress.inOperation = false;
        return result;
      });
    } catch (error) {
      // What the operation threw is its own; only beginning and committing fail as a database.
      if (!progress.inOperation || isNativeError(error)) throw asKeyValueError(error);
      throw error;
    }
  }

  usage(): DatabaseUsage {
    const stats = this.#database.getStats() as {
      pageSize: number;
      lastPageNumber: number;
      treeBranchPageCount: number;
      treeLeafPageCount: number;
      overflowPages: number;
    };
    const pages = stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages;
    return {
      usedBytes: pages * stats.pageSize,
      fileBytes: (stats.lastPageNumber + 1) * stats.pageSize,
    };
  }

  /** Ends all use of the file; its holder syncs it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#database.close();
    this.#room.close();
  }
}

/** lmdb throws plain errors that carry its own or the system's number. */
function isNativeError(error: unknown): boolean {
  return (
    error instanceof Error &&
    !(error instanceof KeyValueError) &&
    typeof (error as { code?: unknown }).code === 'number'
  );
}
