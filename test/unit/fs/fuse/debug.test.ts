import test from 'ava';
import {
  describeNotification,
  describeExchange,
  describeReply,
  describeRequest,
} from '../../../../src/fs/fuse/debug.ts';
import {
  createReply,
  dataReply,
  emptyReply,
  errorReply,
  notifyDelete,
  notifyInvalEntry,
  notifyInvalInode,
} from '../../../../src/fs/fuse/reply.ts';
import { decodeRequest } from '../../../../src/fs/fuse/request.ts';
import { GOLDEN_REPLIES } from './golden-replies.ts';
import { GOLDEN_HEADER, GOLDEN_REQUESTS } from './golden-requests.ts';
import { NEGOTIATED, decodeAs, messageOf } from './messages.ts';

const CALLER = 'nodeid=4490906366 uid=1000 gid=100 pid=8080';
const { unique } = GOLDEN_HEADER;

test('a name is printed with its unprintable bytes escaped', (t) => {
  const request = decodeAs('LOOKUP', GOLDEN_REQUESTS.LOOKUP.bytes);
  t.is(describeRequest(request), `unique=8030895842 LOOKUP ${CALLER} "na\\xffme"`);
  const names = [Buffer.from('a"b\\c\n\x7f')] as const;
  t.true(describeRequest({ ...request, names }).endsWith(' "a\\"b\\\\c\\x0a\\x7f"'));
});

test('data are told by their length', (t) => {
  t.is(
    describeRequest(decodeAs('WRITE', GOLDEN_REQUESTS.WRITE.bytes)),
    `unique=8030895842 WRITE ${CALLER} fh=73588229205 offset=4294975488 size=5 ` +
      'write_flags=0x5 lock_owner=0xfeedfacedeadbeef flags=0x8801 data=5 bytes',
  );
});

test('modes are octal, flags and masks hexadecimal', (t) => {
  t.is(
    describeRequest(decodeAs('CREATE', GOLDEN_REQUESTS.CREATE.bytes)),
    `unique=8030895842 CREATE ${CALLER} flags=0x8801 mode=0100644 umask=022 open_flags=0x1 "na\\xffme"`,
  );
  const access = describeRequest(decodeAs('ACCESS', GOLDEN_REQUESTS.ACCESS.bytes));
  t.true(access.endsWith(' mask=0x6'));
});

test('nested structures stand in braces', (t) => {
  const line = describeRequest(decodeAs('SETLK', GOLDEN_REQUESTS.SETLK.bytes));
  t.true(line.includes(' lk={start=4294975488 end=4294979583 type=1 pid=8080} lk_flags=0x1'));
});

test('an interrupted request is named as it names itself', (t) => {
  const line = describeRequest(decodeAs('INTERRUPT', GOLDEN_REQUESTS.INTERRUPT.bytes));
  t.is(line, `unique=8030895842 INTERRUPT ${CALLER} unique=8030895840`);
});

test('an unknown request is told by its number', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.STATFS.bytes);
  bytes.writeUInt32LE(99, 4);
  const request = decodeRequest(messageOf(bytes), NEGOTIATED);
  t.is(describeRequest(request), `unique=8030895842 opcode=99 ${CALLER}`);
});

test('every request is one line', (t) => {
  for (const [op, { bytes }] of Object.entries(GOLDEN_REQUESTS)) {
    const line = describeRequest(decodeRequest(messageOf(bytes), NEGOTIATED));
    t.true(line.startsWith(`unique=8030895842 ${op} `), op);
    t.regex(line, /^[\x20-\x7e]+$/, op);
  }
});

test('an error is told by its name', (t) => {
  const request = decodeAs('LOOKUP', GOLDEN_REQUESTS.LOOKUP.bytes);
  t.is(describeReply(request, errorReply(unique, 2)), 'ENOENT');
});

test('a request and what became of it are one line', (t) => {
  const request = decodeAs('LOOKUP', GOLDEN_REQUESTS.LOOKUP.bytes);
  const line = describeExchange(request, errorReply(unique, 2));
  t.is(line, `${describeRequest(request)} -> ENOENT`);
});

test("a reply's structures are told field by field", (t) => {
  const write = decodeAs('WRITE', GOLDEN_REQUESTS.WRITE.bytes);
  t.is(describeReply(write, GOLDEN_REPLIES.write.bytes), 'ok size=4096');
  const create = decodeAs('CREATE', GOLDEN_REQUESTS.CREATE.bytes);
  const { entry, open } = GOLDEN_REPLIES;
  const line = describeReply(create, createReply(unique, entry.values, open.values));
  t.regex(line, /^ok nodeid=8785873662 .* attr=\{.* mode=0100644 .*\} fh=/);
  t.true(line.endsWith(' fh=73588229205 open_flags=0x43 backing_id=-1'));
});

test('an empty reply is just ok', (t) => {
  const request = decodeAs('FLUSH', GOLDEN_REQUESTS.FLUSH.bytes);
  t.is(describeReply(request, emptyReply(unique)), 'ok');
});

test("a reply's data are told by their length, all slices together", (t) => {
  const read = decodeAs('READ', GOLDEN_REQUESTS.READ.bytes);
  const reply = dataReply(unique, [Buffer.from('secret'), Buffer.from('s')]);
  t.is(describeReply(read, reply), 'ok data=7 bytes');
});

test('the value of an attribute is not taken for its size', (t) => {
  const value = dataReply(unique, [Buffer.from('8 bytes.')]);
  const asked = decodeAs('GETXATTR', GOLDEN_REQUESTS.GETXATTR.bytes);
  t.is(describeReply(asked, value), 'ok data=8 bytes');
  const bytes = Buffer.from(GOLDEN_REQUESTS.GETXATTR.bytes);
  bytes.writeUInt32LE(0, 40);
  const probe = decodeAs('GETXATTR', bytes);
  t.is(describeReply(probe, GOLDEN_REPLIES.getxattr.bytes), 'ok size=4096');
});

test('a structure in a slice of its own is found', (t) => {
  const request = decodeAs('IOCTL', GOLDEN_REQUESTS.IOCTL.bytes);
  const reply = dataReply(unique, [
    GOLDEN_REPLIES.ioctl.bytes.subarray(16),
    Buffer.from('out'),
    Buffer.from('put'),
  ]);
  t.is(describeReply(request, reply), 'ok result=-5 flags=0x0 in_iovs=1 out_iovs=2 data=6 bytes');
});

test('notifications are told with their name', (t) => {
  const name = Buffer.from('n\n');
  t.is(
    describeNotification(notifyInvalInode({ nodeid: 2, offset: 0, lengthBytes: -1 })),
    'notify INVAL_INODE ino=2 off=0 len=-1',
  );
  t.is(
    describeNotification(notifyInvalEntry({ parent: 1, name })),
    'notify INVAL_ENTRY parent=1 namelen=2 flags=0x0 "n\\x0a"',
  );
  t.is(
    describeNotification(notifyDelete({ parent: 1, child: 2, name })),
    'notify DELETE parent=1 child=2 namelen=2 "n\\x0a"',
  );
});
