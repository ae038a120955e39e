/**
 * What metadata servers ask of each other: to read, and to take part in a transaction over several of them. All
 * of it may be asked again after a lost reply. What gets no answer fails with UnreachableError, in
 * bounded time.
 */
import type { MaybePromise } from '../../task.ts';
import type { RoomUse } from '../file-room.ts';
import type { NumberChunk } from '../inode-numbers.ts';
import type { KeyRange, KeyValue } from '../kv.ts';

/** Never used twice: the number comes from a mark in the coordinator's database. */
export interface TransactionId {
  /** Number of the metadata server that decides. */
  readonly coordinator: number;
  readonly number: number;
}

/** What was found under a key; undefined for nothing. */
export interface KeyRead {
  key: Buffer;
  value: Buffer | undefined;
}

/** What was found in a range. */
export interface RangeRead {
  range: KeyRange;
  pairs: KeyValue[];
}

/** What is to be under a key; undefined for nothing. */
export interface KeyWrite {
  key: Buffer;
  value: Buffer | undefined;
}

/** What a transaction has to do with one server. */
export interface Footprint {
  /** Must be as they were read for the transaction to take place. */
  reads: KeyRead[];
  ranges: RangeRead[];
  writes: KeyWrite[];
}

export interface ReadRequest {
  keys: readonly Buffer[];
  ranges: readonly KeyRange[];
}

export interface ReadReply {
  values: (Buffer | undefined)[];
  pairs: KeyValue[][];
}

/** Every message of a coordinator tells that its transactions below a number are over everywhere. */
export interface FromCoordinator {
  transaction: TransactionId;
  settledBelow: number;
}

export interface PrepareRequest extends FromCoordinator, Footprint {
  use: RoomUse;
}

/** After `prepared`, the server neither changes what was read nor shows what is to be written, until it is told. */
export type PrepareReply = 'prepared' | 'conflict';

export interface FinishRequest extends FromCoordinator {
  commit: boolean;
}

/** `aborted` is also the answer about a transaction that nobody knows any more. */
export type TransactionOutcome = 'committed' | 'aborted' | 'pending';

/** Keys to be kept for a transaction that lost them to others before. */
export interface ReserveRequest {
  transaction: TransactionId;
  reads: readonly Buffer[];
  ranges: readonly KeyRange[];
  writes: readonly Buffer[];
}

/** One metadata server, as another sees it. */
export interface Participant {
  /** Waits while a transaction that may change the keys is undecided. Undefined when that took too long. */
  read(request: ReadRequest): MaybePromise<ReadReply | undefined>;
  /** FsError ENOSPC or EIO if the database failed; then nothing is prepared. */
  prepare(request: PrepareRequest): MaybePromise<PrepareReply>;
  /** Applies or drops what was prepared, and ends a reservation. FsError if the database failed: ask again. */
  finish(request: FinishRequest): MaybePromise<void>;
  /** Of a transaction that this server coordinates. */
  outcome(transaction: TransactionId): MaybePromise<TransactionOutcome>;
  /**
   * Waits until nobody else has the keys, then keeps others from changing them: for a short while, in memory alone.
   * False if that took too long.
   */
  reserve(request: ReserveRequest): MaybePromise<boolean>;
  /** Inode numbers of this server, which the caller alone gives out. */
  reserveNumbers(count: number): MaybePromise<NumberChunk>;
}

/** Names a transaction in maps. */
export function transactionName({ coordinator, number }: TransactionId): string {
  return `${coordinator}.${number}`;
}
