/**
 * The package's class, put right where its callbacks lose or garble what libfuse says. Each override names what it
 * mends; all else is the package's own. Invariant: no request is ever answered by a timer.
 */
import { endianness } from 'node:os';
import { Errno } from '../../errno.ts';
import type {
  Fuse,
  FuseConstructor,
  Handler,
  Operations,
  PackageStat,
  Result,
  Signal,
} from './fuse-native.d.ts';

/** Number of `utimens` in the C half's table, which is also its index in `_handlers`. */
const OP_UTIMENS = 12;

/**
 * The C half passes the access time twice. Its record of the request, the handlers' first argument, has both, as
 * 64-bit milliseconds: `atime` and `mtime` of `fuse_thread_locals_t`, the same on all 64-bit machines.
 */
const ATIME_OFFSET = 104;
const MTIME_OFFSET = 112;

/** Attributes are so many 32-bit words, `st_mode` and `st_ino` at these places (`populate_stat()`). */
const STAT_WORDS = 18;
const STAT_MODE = 0;
const STAT_INO = 7;

const WORD = 2 ** 32;

export interface EngineFuseSettings {
  /** What libfuse gets as its arguments; see mount-options.ts. */
  optionText: string;
  /** Called for an exception that a handler lets through, which would otherwise leave its caller without an answer. */
  onBug: (error: unknown) => void;
  /** Called when the modification time of a utimens cannot be found. */
  onUnknownRecord: () => void;
  /** Called when libfuse has started another thread, with how many there have been. */
  onThread: (count: number) => void;
  /** Called when there is no memory for a thread. Must end the process: the C half goes on with what it has not got. */
  onNoThread: (error: unknown) => never;
}

/** Makes the mount that the engine uses out of the package's class. */
export function makeEngineFuse(
  Base: FuseConstructor,
  mountPoint: string,
  operations: Operations,
  settings: EngineFuseSettings,
): Fuse {
  class EngineFuse extends Base {
    /** The package takes its options from an object that lacks most of libfuse's, and does not escape commas. */
    override _fuseOptions(): string {
      return settings.optionText;
    }

    /** The record of a thread, which the package keeps for ever; that of a thread that has ended, too. */
    override _malloc(sizeBytes: number): Buffer {
      let record: Buffer;
      try {
        record = super._malloc(sizeBytes);
      } catch (error) {
        return settings.onNoThread(error);
      }
      settings.onThread(this._threads.size);
      return record;
    }

    /** The package asks by path, which a file that has lost its name has not. */
    override _op_fgetattr(signal: Signal, path: string, fd: number): void {
      const operations: Pick<Operations, 'getattr'> = {
        getattr: (path, done) => {
          this.ops.fgetattr(path, fd, done);
        },
      };
      // Its encoding of attributes is out of reach but through its own getattr.
      const encoder = Object.create(this, { ops: { value: operations } }) as Fuse;
      encoder._op_getattr(signal, path);
    }

    /** The package makes huge positive numbers of times before 1970. */
    override _op_utimens(signal: Signal, path: string, ...words: number[]): void {
      const [atimeLow, atimeHigh, mtimeLow, mtimeHigh] = words;
      if (mtimeLow === undefined || mtimeHigh === undefined) {
        settings.onUnknownRecord();
        signal(-Errno.EOPNOTSUPP);
        return;
      }
      const atimeMs = signed(atimeLow, atimeHigh);
      this.ops.utimens(path, atimeMs, signed(mtimeLow, mtimeHigh), (result) => {
        signal(result);
      });
    }

    /** The package makes an array outside of the heap for each entry: hundreds of megabytes for a large folder. */
    override _op_readdir(signal: Signal, path: string): void {
      this.ops.readdir(path, (result, names = [], entries = []) => {
        if (result === 0) signal(0, names, entryRecords(entries));
        else signal(result);
      });
    }

    /** The package says that a value has arrived which is longer than the room for it. */
    override _op_getxattr(
      signal: Signal,
      path: string,
      name: string,
      room: Buffer,
      position: number,
    ): void {
      this.ops.getxattr(path, name, position, (result, value) => {
        signal(result === 0 ? fillRoom(room, value) : result, room.buffer);
      });
    }

    /** As with getxattr; and the size that the package answers to a caller without room is 128 bytes too large. */
    override _op_listxattr(signal: Signal, path: string, room: Buffer): void {
      this.ops.listxattr(path, (result, list) => {
        signal(result === 0 ? fillRoom(room, list) : result, room.buffer);
      });
    }
  }

  const fuse: Fuse = new EngineFuse(mountPoint, operations, { timeout: false });
  fuse._handlers = fuse._handlers.map((handler, operation) =>
    guarded(operation === OP_UTIMENS ? withModificationTime(handler) : handler, settings.onBug),
  );
  return fuse;
}

/** Node-API swallows what a handler throws, or gives it to the process, where nobody knows of the request. */
function guarded(handler: Handler, onBug: (error: unknown) => void): Handler {
  return (record, operation, ...parameters) => {
    try {
      handler(record, operation, ...parameters);
    } catch (error) {
      onBug(error);
    }
  };
}

/** Passes the modification time out of the request's record; none if the record is not what we know. */
function withModificationTime(handler: Handler): Handler {
  return (record, operation, path, atimeLow, atimeHigh) => {
    const isKnown =
      endianness() === 'LE' &&
      record.length >= MTIME_OFFSET + 8 &&
      record.readUInt32LE(ATIME_OFFSET) === atimeLow &&
      record.readUInt32LE(ATIME_OFFSET + 4) === atimeHigh;
    const mtime = isKnown
      ? [record.readUInt32LE(MTIME_OFFSET), record.readUInt32LE(MTIME_OFFSET + 4)]
      : [];
    handler(record, operation, path, atimeLow, atimeHigh, ...mtime);
  };
}

/** Attributes of entries as the C half reads them, all in one array; of others than these two it makes no use. */
function entryRecords(entries: readonly Pick<PackageStat, 'mode' | 'ino'>[]): Uint32Array[] {
  const words = new Uint32Array(entries.length * STAT_WORDS);
  return entries.map(({ mode, ino }, index) => {
    const record = words.subarray(index * STAT_WORDS, (index + 1) * STAT_WORDS);
    record[STAT_MODE] = mode;
    record[STAT_INO] = ino;
    return record;
  });
}

/** A signed 64-bit number out of its words. */
function signed(low = 0, high = 0): number {
  return (high | 0) * WORD + low;
}

/** Number of bytes, without room for them too; ERANGE when they do not fit. */
function fillRoom(room: Buffer, bytes: Buffer = Buffer.alloc(0)): Result {
  if (room.length === 0) return bytes.length;
  if (bytes.length > room.length) return -Errno.ERANGE;
  bytes.copy(room);
  return bytes.length;
}
