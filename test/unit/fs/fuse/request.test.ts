import test from 'ava';
import fc from 'fast-check';
import { NOTHING_NEGOTIATED, OPERATIONS, type OperationName } from '../../../../src/fs/fuse/abi.ts';
import { END_OF_RANGE } from '../../../../src/fs/fuse/layout.ts';
import {
  HEAD_BYTES,
  MalformedRequestError,
  decodeRequest,
  forgetsOf,
  uniqueKeyOf,
} from '../../../../src/fs/fuse/request.ts';
import { InvariantError } from '../../../../src/invariant.ts';
import {
  EXTENDED_CREATE,
  GOLDEN_HEADER,
  GOLDEN_REQUESTS,
  OLD_INIT,
  PLAIN_SETXATTR,
  type GoldenRequest,
} from './golden-requests.ts';
import { NEGOTIATED, decodeAs, messageOf, truncated } from './messages.ts';

interface Case {
  title: string;
  op: OperationName;
  golden: Omit<GoldenRequest<OperationName>, 'input'> & { readonly input: unknown };
  negotiated?: typeof NEGOTIATED;
  totalExtlen?: number;
}

const CASES: readonly Case[] = [
  ...Object.entries(GOLDEN_REQUESTS).map(([op, golden]) => ({
    title: op,
    op: op as OperationName,
    golden,
  })),
  { title: 'INIT before 7.36', op: 'INIT', golden: OLD_INIT, negotiated: NOTHING_NEGOTIATED },
  {
    title: 'SETXATTR without SETXATTR_EXT',
    op: 'SETXATTR',
    golden: PLAIN_SETXATTR,
    negotiated: NOTHING_NEGOTIATED,
  },
  { title: 'CREATE with an extension', op: 'CREATE', golden: EXTENDED_CREATE, totalExtlen: 2 },
];

for (const { title, op, golden, negotiated = NEGOTIATED, totalExtlen = 0 } of CASES) {
  test(`${title} decodes to its parts`, (t) => {
    const request = decodeRequest(messageOf(golden.bytes, 0xff), negotiated);
    t.is(request.op, op);
    const { opcode } = OPERATIONS[op];
    t.deepEqual(request.header, { ...GOLDEN_HEADER, opcode, totalExtlen });
    t.deepEqual(request.input as unknown, golden.input);
    t.deepEqual(
      request.names.map((name) => name.toString('hex')),
      golden.names,
    );
    t.is(request.data.toString('hex'), golden.data);
  });

  test(`${title} cut off anywhere is malformed`, (t) => {
    for (let lengthBytes = 0; lengthBytes < golden.bytes.length; lengthBytes++) {
      // Zeros behind the message would end a name that is read too far, ones would lengthen it.
      for (const filler of [0, 0xff]) {
        const honest = messageOf(truncated(golden.bytes, lengthBytes), filler);
        const error = t.throws(() => decodeRequest(honest, negotiated), {
          instanceOf: MalformedRequestError,
        });
        t.is(error.header?.uniqueKey, lengthBytes < 40 ? undefined : GOLDEN_HEADER.uniqueKey);
        const cut = messageOf(golden.bytes.subarray(0, lengthBytes), filler);
        t.throws(() => decodeRequest(cut, negotiated), { instanceOf: MalformedRequestError });
      }
    }
  });

  test(`${title} keeps nothing of the buffers, a WRITE's data excepted`, (t) => {
    const message = messageOf(golden.bytes);
    const request = decodeRequest(message, negotiated);
    message.head.fill(0xee);
    if (op !== 'WRITE') message.payload.fill(0xee);
    t.deepEqual(request.input as unknown, golden.input);
    t.deepEqual(
      request.names.map((name) => name.toString('hex')),
      golden.names,
    );
    t.is(request.data.toString('hex'), golden.data);
  });
}

test('the head is a header and the arguments of a WRITE', (t) => {
  t.is(HEAD_BYTES, 80);
});

test("a WRITE's data are a view of the payload's beginning", (t) => {
  const message = messageOf(GOLDEN_REQUESTS.WRITE.bytes);
  const { data } = decodeRequest(message, NEGOTIATED);
  t.is(data.buffer, message.payload.buffer);
  t.is(data.byteOffset, message.payload.byteOffset);
  t.is(data.length, 5);
});

test('a message longer than its buffers is malformed', (t) => {
  const bytes = Buffer.concat([GOLDEN_REQUESTS.WRITE.bytes, Buffer.alloc(5000)]);
  bytes.writeUInt32LE(bytes.length, 0);
  t.throws(() => decodeRequest(messageOf(bytes), NEGOTIATED), {
    instanceOf: MalformedRequestError,
  });
});

test('a head of another length is a bug of the caller', (t) => {
  const message = { ...messageOf(GOLDEN_REQUESTS.LOOKUP.bytes), head: Buffer.alloc(96) };
  t.throws(() => decodeRequest(message, NEGOTIATED), { instanceOf: InvariantError });
});

for (const opcode of [0, 7, 19, 54, 4096, 0xffff_ffff]) {
  test(`opcode ${opcode} decodes as unknown`, (t) => {
    const bytes = Buffer.from(GOLDEN_REQUESTS.LOOKUP.bytes);
    bytes.writeUInt32LE(opcode, 4);
    const request = decodeRequest(messageOf(bytes), NEGOTIATED);
    t.is(request.op, 'UNKNOWN');
    t.is(request.header.opcode, opcode);
    t.is(request.header.uniqueKey, GOLDEN_HEADER.uniqueKey);
  });
}

test('a node id at or above 2^53 is malformed, and the request can still be answered', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.GETATTR.bytes);
  bytes.writeBigUInt64LE(2n ** 53n, 16);
  const error = t.throws(() => decodeRequest(messageOf(bytes), NEGOTIATED), {
    instanceOf: MalformedRequestError,
  });
  t.deepEqual(error.header?.unique, GOLDEN_HEADER.unique);
});

test('a file handle at or above 2^53 is malformed, and the request can still be answered', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.WRITE.bytes);
  bytes.writeBigUInt64LE(2n ** 63n, 40);
  const error = t.throws(() => decodeRequest(messageOf(bytes), NEGOTIATED), {
    instanceOf: MalformedRequestError,
    message: /^WRITE: /,
  });
  t.deepEqual(error.header?.unique, GOLDEN_HEADER.unique);
});

test('extensions longer than the request are malformed', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.GETATTR.bytes);
  bytes.writeUInt16LE(3, 36);
  t.throws(() => decodeRequest(messageOf(bytes), NEGOTIATED), {
    instanceOf: MalformedRequestError,
  });
});

test('bytes after the last known field are ignored', (t) => {
  const bytes = Buffer.concat([GOLDEN_REQUESTS.MKDIR.bytes, Buffer.from('more')]);
  bytes.writeUInt32LE(bytes.length, 0);
  const request = decodeAs('MKDIR', bytes);
  t.is(request.names[0].toString('hex'), '6e61ff6d65');
});

test('names may be empty, and as long as the message allows', (t) => {
  for (const length of [0, 1, 39, 40, 255, 3000]) {
    const header = GOLDEN_REQUESTS.LOOKUP.bytes.subarray(0, 40);
    const bytes = Buffer.concat([header, Buffer.alloc(length, 'n'), Buffer.alloc(1)]);
    bytes.writeUInt32LE(bytes.length, 0);
    t.is(decodeAs('LOOKUP', bytes).names[0].toString(), 'n'.repeat(length));
  }
});

test('a lock to the end of the file ends at the end of the range', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.SETLK.bytes);
  bytes.writeBigUInt64LE(2n ** 63n - 1n, 40 + 24);
  t.is(decodeAs('SETLK', bytes).input.lk.end, END_OF_RANGE);
});

test('an lseek may go before the start', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.LSEEK.bytes);
  bytes.writeBigInt64LE(-5n, 40 + 8);
  t.is(decodeAs('LSEEK', bytes).input.offset, -5);
});

test('an INIT of a new kernel cut to the old length is malformed', (t) => {
  const bytes = truncated(GOLDEN_REQUESTS.INIT.bytes, 56);
  t.throws(() => decodeRequest(messageOf(bytes), NOTHING_NEGOTIATED), {
    instanceOf: MalformedRequestError,
  });
});

test('a BATCH_FORGET lists its nodes and counts', (t) => {
  t.deepEqual(forgetsOf(decodeAs('BATCH_FORGET', GOLDEN_REQUESTS.BATCH_FORGET.bytes)), [
    { nodeid: 0x20badcafe, nlookup: 1 },
    { nodeid: 0x30badcafe, nlookup: 0x100000002 },
  ]);
});

test('a BATCH_FORGET of a node at or above 2^53 is malformed', (t) => {
  const bytes = Buffer.from(GOLDEN_REQUESTS.BATCH_FORGET.bytes);
  bytes.writeBigUInt64LE(2n ** 60n, 48);
  const request = decodeAs('BATCH_FORGET', bytes);
  const error = t.throws(() => forgetsOf(request), { instanceOf: MalformedRequestError });
  t.deepEqual(error.header?.unique, GOLDEN_HEADER.unique);
});

test('a request to interrupt names the request by the same key', (t) => {
  const { input } = decodeAs('INTERRUPT', GOLDEN_REQUESTS.INTERRUPT.bytes);
  t.is(uniqueKeyOf(input.unique), 0x1deadbee0);
});

/** Decodes; anything thrown but MalformedRequestError makes the property fail. */
function decodesOrIsMalformed(bytes: Buffer, filler: number): void {
  try {
    const request = decodeRequest(messageOf(bytes, filler), NEGOTIATED);
    if (request.op === 'BATCH_FORGET') forgetsOf(request);
  } catch (error) {
    if (!(error instanceof MalformedRequestError)) throw error;
  }
}

test('random bytes under an honest length decode or are malformed', (t) => {
  const property = fc.property(
    fc.uint8Array({ minLength: 0, maxLength: 300 }),
    fc.nat({ max: 60 }),
    fc.nat({ max: 255 }),
    (random, opcode, filler) => {
      const bytes = Buffer.from(random);
      if (bytes.length >= 8) {
        bytes.writeUInt32LE(bytes.length, 0);
        bytes.writeUInt32LE(opcode, 4);
      }
      // A node id and extensions in range, so that most cases get as far as the body.
      if (bytes.length >= 40) bytes.fill(0, 20, 24).fill(0, 36, 38);
      decodesOrIsMalformed(bytes, filler);
    },
  );
  t.notThrows(() => {
    fc.assert(property, { numRuns: 3000 });
  });
});

test('requests with any bytes changed decode or are malformed', (t) => {
  const change = fc.record({ at: fc.nat({ max: 200 }), byte: fc.nat({ max: 255 }) });
  const property = fc.property(
    fc.constantFrom(...CASES.map(({ golden }) => golden.bytes)),
    fc.array(change, { minLength: 1, maxLength: 8 }),
    (original, changes) => {
      const bytes = Buffer.from(original);
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
      decodesOrIsMalformed(bytes, 0);
    },
  );
  t.notThrows(() => {
    fc.assert(property, { numRuns: 3000 });
  });
});
