import test from 'ava';
import type { InodeId } from '../../../src/ids.ts';
import { LOCK_WAITS, LockOperation, type LockRequest } from '../../../src/meta/lock-protocol.ts';
import { LOCK_END } from '../../../src/meta/lock-store.ts';
import { MetaOperation } from '../../../src/meta/protocol.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import { OPERATION_CODES } from '../../../src/net/operation.ts';

const REQUEST: LockRequest = {
  inode: 5 as InodeId,
  owner: { kind: 'posix', low: 0xffff_ffff, high: 1 },
  lock: { start: 0, end: LOCK_END, type: 'write', process: { pid: 77, place: 88 } },
  wait: undefined,
};

/** As docs/protocol.md lists the fields. */
const RAW = [3, [5, ['posix', 0xffff_ffff, 1], [0, LOCK_END, 'write', [77, 88]], null]];

test('each operation has a code of its own in the range of its service, and no tag', (t) => {
  const [least, most] = OPERATION_CODES.meta;
  const taken = new Set<number>(Object.values(MetaOperation).map(({ code }) => code));
  for (const { code, mutates, name } of Object.values(LockOperation)) {
    t.true(code >= least && code <= most, name);
    t.false(taken.has(code), name);
    t.false(mutates, name);
    taken.add(code);
  }
  const [first, last] = OPERATION_CODES.betweenMetaServers;
  t.true(LOCK_WAITS.code >= first && LOCK_WAITS.code <= last);
});

test('a request for a lock travels as its fields in order', (t) => {
  const { request, reply } = LockOperation.LOCK;
  t.deepEqual(request.encode({ session: 3, request: REQUEST }), RAW);
  t.deepEqual(request.decode(RAW), { session: 3, request: REQUEST });
  t.is(reply.decode('waiting'), 'waiting');
  t.throws(() => reply.decode('perhaps'), { instanceOf: ProtocolError });
});

test('malformed requests for locks are refused', (t) => {
  const { request } = LockOperation.LOCK;
  const lock = [0, 1, 'write', [77, 88]];
  for (const raw of [
    null,
    [3],
    [3, [5, ['posix', 1, 1], lock]],
    [3, [5, ['lease', 1, 1], lock, null]],
    [3, [5, ['posix', -1, 1], lock, null]],
    [3, [5, ['posix', 1, 1], [0, 1.5, 'write', [77, 88]], null]],
    [3, [5, ['posix', 1, 1], [0, 2 ** 53, 'write', [77, 88]], null]],
    [3, [5, ['posix', 1, 1], [0, 1, 'none', [77, 88]], null]],
    [3, [5, ['posix', 1, 1], lock, 'now']],
  ]) {
    t.throws(() => request.decode(raw), { instanceOf: ProtocolError }, JSON.stringify(raw));
  }
});
