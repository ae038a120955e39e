/**
 * The operations between metadata servers on the wire. None carries a tag: to ask again is harmless. Structures are
 * arrays in the order of their fields here (docs/protocol.md).
 */
import type { InodeId } from '../../ids.ts';
import {
  array,
  bytes,
  type Codec,
  flag,
  mapped,
  nothing,
  oneOf,
  optional,
  struct,
  tuple,
  u53,
} from '../../net/codec.ts';
import type { Operation } from '../../net/operation.ts';
import type { NumberChunk } from '../inode-numbers.ts';
import type { KeyRange, KeyValue } from '../kv.ts';
import type {
  FinishRequest,
  KeyRead,
  PrepareReply,
  PrepareRequest,
  RangeRead,
  ReadReply,
  ReadRequest,
  ReserveRequest,
  TransactionId,
  TransactionOutcome,
} from './participant.ts';

const key = bytes;

/** A limit that is not there stays absent. */
const range = mapped<KeyRange, readonly [Buffer, Buffer, number | undefined]>(
  tuple(key, key, optional(u53())),
  {
    encode: ({ start, end, limit }) => [start, end, limit],
    decode: ([start, end, limit]) => ({ start, end, ...(limit === undefined ? {} : { limit }) }),
  },
);

const pairs: Codec<KeyValue[]> = array(struct<KeyValue>({ key, value: bytes }));
const transaction = struct<TransactionId>({ coordinator: u53(), number: u53() });
const keyValue = struct<KeyRead>({ key, value: optional(bytes) });

function operation<Q, A>(
  code: number,
  name: string,
  codecs: { request: Codec<Q>; reply: Codec<A> },
): Operation<Q, A> {
  return { code, name, mutates: false, ...codecs };
}

export const TransactionOperation = {
  READ: operation<ReadRequest, ReadReply | undefined>(128, 'read-keys', {
    request: struct<ReadRequest>({ keys: array(key), ranges: array(range) }),
    reply: optional(struct<ReadReply>({ values: array(optional(bytes)), pairs: array(pairs) })),
  }),
  PREPARE: operation<PrepareRequest, PrepareReply>(129, 'prepare', {
    request: struct<PrepareRequest>({
      transaction,
      settledBelow: u53(),
      reads: array(keyValue),
      ranges: array(struct<RangeRead>({ range, pairs })),
      writes: array(keyValue),
      use: oneOf(['growth', 'reserve']),
    }),
    reply: oneOf<PrepareReply>(['prepared', 'conflict']),
  }),
  FINISH: operation<FinishRequest, undefined>(130, 'finish', {
    request: struct<FinishRequest>({ transaction, settledBelow: u53(), commit: flag }),
    reply: nothing,
  }),
  OUTCOME: operation<TransactionId, TransactionOutcome>(131, 'outcome', {
    request: transaction,
    reply: oneOf<TransactionOutcome>(['committed', 'aborted', 'pending']),
  }),
  RESERVE: operation<ReserveRequest, boolean>(132, 'reserve', {
    request: struct<ReserveRequest>({
      transaction,
      reads: array(key),
      ranges: array(range),
      writes: array(key),
    }),
    reply: flag,
  }),
  RESERVE_NUMBERS: operation<number, NumberChunk>(133, 'reserve-numbers', {
    request: u53(),
    reply: struct<NumberChunk>({ first: u53<InodeId>(), count: u53() }),
  }),
} as const;
