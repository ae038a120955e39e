import test from 'ava';
import type { EntrySequence, InodeId } from '../../../src/ids.ts';
import { SessionExpiredError } from '../../../src/meta/exactly-once.ts';
import { META_FAILURES, MetaOperation } from '../../../src/meta/protocol.ts';
import type { InodeRecord } from '../../../src/meta/store.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import { OPERATION_CODES } from '../../../src/net/operation.ts';

const RECORD: InodeRecord = {
  inode: 5 as InodeId,
  mode: 0o100644,
  nlink: 1,
  uid: 2,
  gid: 3,
  rdev: 0,
  sizeBytes: 10,
  storedBytes: 4096,
  atime: { seconds: -1, nanoseconds: 5 },
  mtime: { seconds: 1, nanoseconds: 6 },
  ctime: { seconds: 2, nanoseconds: 7 },
  dataVersion: 8,
  generation: 1,
  truncatedBytes: 9,
  unborn: false,
  unsettled: true,
  layout: { policy: 'HASH', blockSizeBytes: 4096, replication: 2 },
  mapEpoch: 3,
  home: 1,
  uri: 'imss://a',
  target: undefined,
  parent: 0,
  acls: undefined,
};

/** As docs/protocol.md lists the fields. */
const RAW_RECORD = [
  5,
  0o100644,
  1,
  2,
  3,
  0,
  10,
  4096,
  [-1, 5],
  [1, 6],
  [2, 7],
  8,
  1,
  9,
  false,
  true,
  ['HASH', 4096, 2],
  3,
  1,
  'imss://a',
  null,
  0,
  null,
];

test('a record travels as an array of its fields', (t) => {
  const { reply } = MetaOperation.INODE;
  t.deepEqual(reply.encode(RECORD), RAW_RECORD);
  t.deepEqual(reply.decode(RAW_RECORD), RECORD);
});

test('a record has the ACLs that there are', (t) => {
  const { reply } = MetaOperation.INODE;
  const access = Buffer.from('x');
  const raw = RAW_RECORD.with(-1, [access, null] as never);
  t.deepEqual(reply.encode({ ...RECORD, acls: { access } }), raw);
  t.deepEqual(reply.decode(raw), { ...RECORD, acls: { access, default: undefined } });
});

test('a change of an ACL names it, and sets or removes it', (t) => {
  const { request } = MetaOperation.SET_ATTRIBUTES;
  const value = Buffer.from('x');
  const nothingElse = [null, null, null, null, null, null];
  for (const [acl, raw] of [
    [{ kind: 'default', value, dropSetGid: true }, ['default', value, true]],
    [{ kind: 'access', value: undefined, dropSetGid: undefined }, ['access', null, null]],
  ] as const) {
    const sent = [1, [5, [...nothingElse, raw]]];
    const change = { session: 1, request: [5 as InodeId, { acl }] as const };
    t.deepEqual(request.encode(change), sent);
    t.deepEqual(request.decode(sent), change);
  }
});

test('a record that lacks a field, or has one of another type, is refused', (t) => {
  const { reply } = MetaOperation.INODE;
  t.throws(() => reply.decode(RAW_RECORD.slice(1)), { instanceOf: ProtocolError });
  RAW_RECORD.forEach((_field, index) => {
    const raw: unknown[] = RAW_RECORD.with(index, { not: 'a field' } as never);
    t.throws(() => reply.decode(raw), { instanceOf: ProtocolError });
  });
});

test('a lookup tells a record, or where it is kept', (t) => {
  const { reply } = MetaOperation.LOOKUP;
  t.is(reply.encode(7 as InodeId), 7);
  t.is(reply.decode(7), 7 as InodeId);
  t.deepEqual(reply.decode(RAW_RECORD), RECORD);
});

test('a mutation names its session, and what it leaves out is absent again', (t) => {
  const name = Buffer.from([0xff]);
  const entry = { parent: 1 as InodeId, name };
  const spec = { mode: 1, uid: 2, gid: 3 };
  const { request } = MetaOperation.CREATE;
  const raw = [9, [[1, name], [1, 2, 3, null, null, null, null], 'write']];
  t.deepEqual(request.encode({ session: 9, request: [entry, spec, 'write'] }), raw);
  t.deepEqual(request.decode(raw), { session: 9, request: [entry, spec, 'write'] });
  t.throws(() => request.decode([9, [[1, name], [1, 2, 3, null, null, null, null], 'more']]), {
    instanceOf: ProtocolError,
  });
  const change = MetaOperation.SET_ATTRIBUTES.request;
  t.deepEqual(change.decode([1, [5, [null, 7, null, null, null, null, null]]]), {
    session: 1,
    request: [5 as InodeId, { uid: 7 }],
  });
});

test('an entry of a listing has a record only where it was found', (t) => {
  const { reply } = MetaOperation.LIST;
  const name = Buffer.from('n');
  const raw = [
    RAW_RECORD,
    4,
    [
      [name, 5, 1, 3, null],
      [name, 5, 1, 4, RAW_RECORD],
    ],
    true,
  ];
  const line = { name, inode: 5 as InodeId, type: 1 };
  t.deepEqual(reply.decode(raw), {
    directory: RECORD,
    upTo: 4 as EntrySequence,
    entries: [
      { ...line, sequence: 3 as EntrySequence },
      { ...line, sequence: 4 as EntrySequence, record: RECORD },
    ],
    isLast: true,
  });
  t.deepEqual(reply.encode(reply.decode(raw)), raw);
});

test('each operation has a code of its own within those of the metadata', (t) => {
  const [first, last] = OPERATION_CODES.meta;
  const codes = Object.values(MetaOperation).map(({ code }) => code);
  t.is(new Set(codes).size, codes.length);
  t.true(codes.every((code) => code >= first && code <= last));
});

test('a lapsed session arrives as what it is', (t) => {
  const [codec] = META_FAILURES;
  const error = new SessionExpiredError('session 3 has expired');
  t.true(codec?.matches(error));
  const arrived = codec?.decode(codec.encode(error));
  t.true(arrived instanceof SessionExpiredError);
  t.is(arrived?.message, error.message);
  t.throws(() => codec?.decode(7), { instanceOf: ProtocolError });
});
