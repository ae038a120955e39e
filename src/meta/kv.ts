/**
 * The narrow ordered key-value interface that namespace operations are written over. Keys sort by their bytes;
 * a transaction is atomic, and what it reads includes what it wrote.
 */
import { type ErrnoName, FsError } from '../errno.ts';
import type { MaybePromise, Task } from '../task.ts';
import type { RoomUse } from './file-room.ts';

export interface KeyRange {
  /** First key that may be returned. */
  start: Buffer;
  /** First key beyond the range. */
  end: Buffer;
  /** Most pairs that are returned. */
  limit?: number;
}

export interface KeyValue {
  key: Buffer;
  value: Buffer;
}

export interface KeyValueReader {
  /** What is read may turn out never to have been true at one time: nothing of it may be remembered. */
  readonly tentative?: true;
  /** The value is valid until the next call on this object: copy what is kept. */
  get(key: Buffer): MaybePromise<Buffer | undefined>;
  /** Pairs in the order of their keys; they belong to the caller. */
  range(range: KeyRange): MaybePromise<KeyValue[]>;
}

/** Key and value are copied before a call returns; both may be reused. */
export interface KeyValueTransaction extends KeyValueReader {
  put(key: Buffer, value: Buffer): MaybePromise<void>;
  /** As `put`, for a key that is above all that are there; anything else is a bug. */
  append(key: Buffer, value: Buffer): MaybePromise<void>;
  /** Nothing happens when the key is not there. */
  remove(key: Buffer): MaybePromise<void>;
}

/** A database whose transactions run in one turn; what grows may not take the room that is reserved for the rest. */
export interface Database extends KeyValueReader {
  get(key: Buffer): Buffer | undefined;
  range(range: KeyRange): KeyValue[];
  transact<T>(operation: (kv: KeyValueTransaction) => Task<T>, use?: RoomUse): T;
}

/** The database itself failed, not the operation: ENOSPC when its disk is full, EIO otherwise. */
export class KeyValueError extends FsError {
  override name = 'KeyValueError';

  constructor(code: Extract<ErrnoName, 'ENOSPC' | 'EIO'>, cause: unknown) {
    super(code, `metadata database: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}
