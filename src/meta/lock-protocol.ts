/** The operations for locks on the wire (docs/protocol.md). None carries a tag: to repeat one in its order is harmless. */
import type { InodeId } from '../ids.ts';
import {
  array,
  type Codec,
  flag,
  nothing,
  oneOf,
  optional,
  struct,
  text,
  tuple,
  u53,
} from '../net/codec.ts';
import type { Operation } from '../net/operation.ts';
import type { Lock, LockKind, LockOwner, LockProcess, LockRange, LockType } from './lock-store.ts';
import type { InSession } from './protocol.ts';

/** What becomes of a request for a lock. */
const LOCK_ANSWERS = [
  'granted',
  /** Others are in the way, and the request does not wait. */
  'blocked',
  /** Not yet: to be asked again at once. */
  'waiting',
  /** To wait would be to wait for ever. */
  'deadlock',
  /** Somebody has cancelled the wait. */
  'cancelled',
] as const;
export type LockAnswer = (typeof LOCK_ANSWERS)[number];

export interface LockRequest {
  readonly inode: InodeId;
  readonly owner: LockOwner;
  readonly lock: Lock;
  /** The client's number for this wait, never used before; undefined for a request that does not wait. */
  readonly wait: number | undefined;
}

export interface UnlockRequest {
  readonly inode: InodeId;
  readonly owner: LockOwner;
  readonly range: LockRange;
}

/** A lock that a client has, or wants to know of. */
export type OwnedLock = Omit<LockRequest, 'wait'>;

const inode = u53<InodeId>();
const owner = struct<LockOwner>({
  kind: oneOf<LockKind>(['posix', 'flock']),
  low: u53(),
  high: u53(),
});
const range = struct<LockRange>({ start: u53(), end: u53() });
const process = struct<LockProcess>({ pid: u53(), place: u53() });
const lock = struct<Lock>({
  start: u53(),
  end: u53(),
  type: oneOf<LockType>(['read', 'write']),
  process,
});
const ownedLock = struct<OwnedLock>({ inode, owner, lock });

function inSession<Q, A>(
  code: number,
  name: string,
  request: Codec<Q>,
  reply: Codec<A>,
): Operation<InSession<Q>, A> {
  const codec = struct<InSession<Q>>({ session: u53(), request });
  return { code, name, mutates: false, request: codec, reply };
}

export const LockOperation = {
  LOCK: inSession(
    110,
    'lock',
    struct<LockRequest>({ inode, owner, lock, wait: optional(u53()) }),
    oneOf<LockAnswer>(LOCK_ANSWERS),
  ),
  UNLOCK: inSession(111, 'unlock', struct<UnlockRequest>({ inode, owner, range }), nothing),
  /** The first lock that is in the way of this one. */
  TEST_LOCK: inSession(112, 'testLock', ownedLock, optional(lock)),
  /** True if the wait was under way, and is no more. */
  CANCEL_LOCK: inSession(113, 'cancelLock', u53(), flag),
  /** All locks that the client has, at the beginning of a connection: others that the server knows go. */
  SYNC_LOCKS: inSession(114, 'syncLocks', array(ownedLock), array(flag)),
} as const;

/** An owner of some client, and those that are in its way. */
export type WaitEdges = readonly [owner: string, blockers: string[]];

/** Between metadata servers: for whom do these owners wait at the server that is asked? Owners that do not are left out. */
export const LOCK_WAITS: Operation<string[], WaitEdges[]> = {
  code: 140,
  name: 'lockWaits',
  mutates: false,
  request: array(text),
  reply: array(tuple(text, array(text))),
};
