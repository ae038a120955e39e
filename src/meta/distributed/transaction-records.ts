/**
 * What the database keeps of transactions over several servers. At a participant: `prepared` with all that is to be
 * held and written, then `applied` until the coordinator says that nobody will ask again. At the coordinator: the
 * decision, with those who have not confirmed it.
 */
import { ByteReader, ByteWriter } from '../../bytes.ts';
import { FsError } from '../../errno.ts';
import { type Task, wait } from '../../task.ts';
import { SystemKey, systemNumberAt, systemNumbersKey, systemNumbersRange } from '../keys.ts';
import type { KeyRange, KeyValueReader, KeyValueTransaction } from '../kv.ts';
import { decodeNumber, encodeNumber, RECORD_VERSION } from '../records.ts';
import type { Holds } from './lock-table.ts';
import type { FromCoordinator, KeyWrite, TransactionId } from './participant.ts';

const STATE_PREPARED = 1;
const STATE_APPLIED = 2;

/** Most marks of applied transactions that one transaction takes away. */
const PRUNE_BATCH = 64;

/** A transaction as a participant keeps it until it knows the decision. */
export interface PreparedRecord {
  reads: readonly Buffer[];
  ranges: readonly KeyRange[];
  writes: readonly KeyWrite[];
}

export type ParticipantState = { applied: true } | { applied: false; prepared: PreparedRecord };

export function holdsOf(record: PreparedRecord): Holds {
  return { ...record, writes: record.writes.map(({ key }) => key) };
}

function writeBytes(writer: ByteWriter, bytes: Buffer): void {
  writer.u32(bytes.length).bytes(bytes);
}

/** The bytes are the reader's own: they outlive the database's buffer. */
function readBytes(reader: ByteReader): Buffer {
  return Buffer.from(reader.bytes(reader.u32()));
}

function readList<T>(reader: ByteReader, item: () => T): T[] {
  return Array.from({ length: reader.u32() }, item);
}

export function encodePrepared(record: PreparedRecord): Buffer {
  const writer = new ByteWriter(1024).u8(RECORD_VERSION).u8(STATE_PREPARED);
  writer.u32(record.reads.length);
  for (const key of record.reads) writeBytes(writer, key);
  writer.u32(record.ranges.length);
  for (const { start, end } of record.ranges) {
    writeBytes(writer, start);
    writeBytes(writer, end);
  }
  writer.u32(record.writes.length);
  for (const { key, value } of record.writes) {
    writeBytes(writer, key);
    writer.u8(value === undefined ? 0 : 1);
    if (value !== undefined) writeBytes(writer, value);
  }
  return writer.view();
}

export function encodeApplied(): Buffer {
  return new ByteWriter(2).u8(RECORD_VERSION).u8(STATE_APPLIED).view();
}

export function decodeParticipantState(bytes: Buffer): ParticipantState {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  const state = reader.u8();
  if (version === RECORD_VERSION && state === STATE_APPLIED) return { applied: true };
  if (version !== RECORD_VERSION || state !== STATE_PREPARED) {
    throw new FsError('EIO', `transaction record of unknown version ${version} or state ${state}`);
  }
  const reads = readList(reader, () => readBytes(reader));
  const ranges = readList(reader, () => ({ start: readBytes(reader), end: readBytes(reader) }));
  const writes = readList(reader, () => {
    const key = readBytes(reader);
    return { key, value: reader.u8() === 0 ? undefined : readBytes(reader) };
  });
  return { applied: false, prepared: { reads, ranges, writes } };
}

function participantKey({ coordinator, number }: TransactionId): Buffer {
  return systemNumbersKey(SystemKey.PREPARED, coordinator, number);
}

export function* findParticipantState(
  kv: KeyValueReader,
  transaction: TransactionId,
): Task<ParticipantState | undefined> {
  const bytes = yield* wait(kv.get(participantKey(transaction)));
  return bytes === undefined ? undefined : decodeParticipantState(bytes);
}

export function* putPrepared(
  kv: KeyValueTransaction,
  transaction: TransactionId,
  record: PreparedRecord,
): Task<void> {
  yield* wait(kv.put(participantKey(transaction), encodePrepared(record)));
}

export function* putApplied(kv: KeyValueTransaction, transaction: TransactionId): Task<void> {
  yield* wait(kv.put(participantKey(transaction), encodeApplied()));
}

export function* removeParticipantState(
  kv: KeyValueTransaction,
  transaction: TransactionId,
): Task<void> {
  yield* wait(kv.remove(participantKey(transaction)));
}

/**
 * Takes away some marks of what was applied here and is over everywhere. What is noted in their place is that nothing
 * below that number may ever be prepared again, however late a message comes.
 */
export function* pruneApplied(kv: KeyValueTransaction, from: FromCoordinator): Task<void> {
  const { coordinator } = from.transaction;
  const over = yield* wait(
    kv.range({
      start: systemNumbersKey(SystemKey.PREPARED, coordinator, 0),
      end: systemNumbersKey(SystemKey.PREPARED, coordinator, from.settledBelow),
      limit: PRUNE_BATCH,
    }),
  );
  if (over.length === 0) return;
  for (const { key, value } of over) {
    if (decodeParticipantState(value).applied) yield* wait(kv.remove(key));
  }
  const mark = systemNumbersKey(SystemKey.SETTLED_BELOW, coordinator);
  yield* wait(kv.put(mark, encodeNumber(from.settledBelow)));
}

/** What {@link pruneApplied} noted, by coordinator. */
export function* listSettled(kv: KeyValueReader): Task<Map<number, number>> {
  const pairs = yield* wait(kv.range(systemNumbersRange(SystemKey.SETTLED_BELOW)));
  return new Map(pairs.map(({ key, value }) => [systemNumberAt(key, 0), decodeNumber(value)]));
}

/** All transactions that were prepared here and not decided. */
export function* listPrepared(
  kv: KeyValueReader,
): Task<{ transaction: TransactionId; prepared: PreparedRecord }[]> {
  const pairs = yield* wait(kv.range(systemNumbersRange(SystemKey.PREPARED)));
  return pairs.flatMap(({ key, value }) => {
    const state = decodeParticipantState(value);
    if (state.applied) return [];
    const transaction = { coordinator: systemNumberAt(key, 0), number: systemNumberAt(key, 1) };
    return [{ transaction, prepared: state.prepared }];
  });
}

/** A committed transaction of this server. */
export interface Decision {
  number: number;
  /** Servers that were to apply it. */
  participants: number[];
}

export function* putDecision(kv: KeyValueTransaction, decision: Decision): Task<void> {
  const { number, participants } = decision;
  const writer = new ByteWriter(16).u8(RECORD_VERSION).u32(participants.length);
  for (const server of participants) writer.u32(server);
  yield* wait(kv.put(systemNumbersKey(SystemKey.DECISIONS, number), writer.view()));
}

export function* removeDecision(kv: KeyValueTransaction, number: number): Task<void> {
  yield* wait(kv.remove(systemNumbersKey(SystemKey.DECISIONS, number)));
}

export function* listDecisions(kv: KeyValueReader): Task<Decision[]> {
  const pairs = yield* wait(kv.range(systemNumbersRange(SystemKey.DECISIONS)));
  return pairs.map(({ key, value }) => {
    const reader = new ByteReader(value);
    const version = reader.u8();
    if (version !== RECORD_VERSION) {
      throw new FsError('EIO', `decision record of unknown version ${version}`);
    }
    return { number: systemNumberAt(key, 0), participants: readList(reader, () => reader.u32()) };
  });
}
