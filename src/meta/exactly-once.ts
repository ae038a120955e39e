/**
 * Exactly-once mutations. The reply to a tagged request, or its errno, is recorded in the mutation's own
 * transaction; a retry gets the recorded reply and runs nothing. Sessions bound how long replies are kept.
 */
import { ByteReader, ByteWriter } from '../bytes.ts';
import { Errno, type ErrnoName, errnoName, FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import { type Task, wait } from '../task.ts';
import { numberKey, pairKey, SystemKey, Table } from './keys.ts';
import { KeyValueError, type KeyValueTransaction } from './kv.ts';
import {
  decodeInode,
  decodeNumber,
  encodeInode,
  encodeNumber,
  RECORD_VERSION,
  type StoredInode,
} from './records.ts';
import type { RequestTag } from './store.ts';
import { getSystemNumber, putSystemNumber } from './tables.ts';

/**
 * A tagged request was refused unrun: its session has expired or never was, or it has been acknowledged. ESTALE
 * by number, but not about an inode.
 */
export class SessionExpiredError extends FsError {
  override name = 'SessionExpiredError';
  readonly detail: string;

  constructor(detail: string) {
    super('ESTALE', detail);
    this.detail = detail;
  }
}

/** How a mutation ended. A failure is a result, not an exception, so that its record is committed. */
export type Outcome = { ok: true; record: StoredInode | undefined } | { ok: false; error: FsError };

const REPLY_NOTHING = 0;
const REPLY_INODE = 1;
const REPLY_ERROR = 2;

/** Returns the mutation's result, or throws what it failed with. */
export function unwrap(outcome: Outcome): StoredInode | undefined {
  if (!outcome.ok) throw outcome.error;
  return outcome.record;
}

/** Begins a session; its number was never used before. */
export function* openSession(kv: KeyValueTransaction): Task<number> {
  const session = (yield* getSystemNumber(kv, SystemKey.SESSION_HIGH_WATER)) ?? 1;
  yield* putSystemNumber(kv, SystemKey.SESSION_HIGH_WATER, session + 1);
  yield* wait(kv.put(numberKey(Table.SESSIONS, session), encodeNumber(0)));
  return session;
}

/** Ends a session: its replies go, and whatever still comes under it is refused. */
export function* expireSession(kv: KeyValueTransaction, session: number): Task<void> {
  yield* wait(kv.remove(numberKey(Table.SESSIONS, session)));
  yield* forgetReplies(kv, session, { from: 0, below: Number.MAX_SAFE_INTEGER });
}

function* forgetReplies(
  kv: KeyValueTransaction,
  session: number,
  sequences: { from: number; below: number },
): Task<void> {
  const replies = yield* wait(
    kv.range({
      start: pairKey(Table.REPLIES, session, sequences.from),
      end: pairKey(Table.REPLIES, session, sequences.below),
    }),
  );
  for (const { key } of replies) yield* wait(kv.remove(key));
}

/**
 * Runs `mutation` unless the tagged request was run before. The mutation must not write before it is sure to
 * succeed. Fails with {@link SessionExpiredError}.
 */
export function* once(
  kv: KeyValueTransaction,
  tag: RequestTag,
  mutation: (kv: KeyValueTransaction) => Task<StoredInode | undefined>,
): Task<Outcome> {
  yield* acknowledge(kv, tag);
  const key = pairKey(Table.REPLIES, tag.session, tag.sequence);
  const recorded = yield* wait(kv.get(key));
  if (recorded !== undefined) return decodeReply(recorded);
  const outcome = yield* attempt(kv, mutation);
  yield* wait(kv.put(key, encodeReply(outcome)));
  return outcome;
}

/** Checks the tag and drops the replies that it acknowledges. */
function* acknowledge(kv: KeyValueTransaction, tag: RequestTag): Task<void> {
  const sessionKey = numberKey(Table.SESSIONS, tag.session);
  const bytes = yield* wait(kv.get(sessionKey));
  if (bytes === undefined) throw new SessionExpiredError(`session ${tag.session} has expired`);
  const acknowledged = decodeNumber(bytes);
  if (tag.sequence < Math.max(acknowledged, tag.acknowledgedBelow)) {
    throw new SessionExpiredError(`request ${tag.sequence} was acknowledged before`);
  }
  if (tag.acknowledgedBelow <= acknowledged) return;
  yield* wait(kv.put(sessionKey, encodeNumber(tag.acknowledgedBelow)));
  yield* forgetReplies(kv, tag.session, { from: acknowledged, below: tag.acknowledgedBelow });
}

function* attempt(
  kv: KeyValueTransaction,
  mutation: (kv: KeyValueTransaction) => Task<StoredInode | undefined>,
): Task<Outcome> {
  try {
    return { ok: true, record: yield* mutation(kv) };
  } catch (error) {
    // The database's own failures roll the transaction back: the request has not run, and may be retried.
    if (!(error instanceof FsError) || error instanceof KeyValueError) throw error;
    return { ok: false, error };
  }
}

function encodeReply(outcome: Outcome): Buffer {
  const writer = new ByteWriter().u8(RECORD_VERSION);
  if (!outcome.ok) {
    const { error } = outcome;
    const prefix = `${error.code}: `;
    const detail = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : '';
    return writer.u8(REPLY_ERROR).u32(error.errno).bytes(Buffer.from(detail)).view();
  }
  const { record } = outcome;
  if (record === undefined) return writer.u8(REPLY_NOTHING).view();
  return writer.u8(REPLY_INODE).u64(record.inode).bytes(encodeInode(record)).view();
}

function isErrnoName(name: string): name is ErrnoName {
  return Object.hasOwn(Errno, name);
}

function decodeReply(bytes: Buffer): Outcome {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  const kind = reader.u8();
  if (version === RECORD_VERSION && kind === REPLY_NOTHING) return { ok: true, record: undefined };
  if (version === RECORD_VERSION && kind === REPLY_INODE) {
    return { ok: true, record: decodeInode(reader.u64() as InodeId, reader.rest()) };
  }
  if (version === RECORD_VERSION && kind === REPLY_ERROR) {
    const code = errnoName(reader.u32());
    const detail = reader.rest().toString();
    if (isErrnoName(code)) {
      return { ok: false, error: new FsError(code, detail === '' ? undefined : detail) };
    }
  }
  throw new FsError('EIO', `reply record of unknown version ${version} or kind ${kind}`);
}
