import test from 'ava';
import fc from 'fast-check';
import * as abi from '../../../../src/fs/fuse/abi.ts';
import {
  END_OF_RANGE,
  FieldRangeError,
  encodeStruct,
  layout,
  readStruct,
  writeStruct,
  type Decoded,
  type FieldKind,
  type Layout,
} from '../../../../src/fs/fuse/layout.ts';

const SAMPLE = layout('sample', {
  exact: 'u64',
  position: 'offset',
  signed: 'i64',
  opaque: 'words',
  gap: 'pad4',
  small: 'u16',
  hole: 'pad2',
});

const VALUES = { exact: 1, position: 2, signed: -3, opaque: { low: 4, high: 5 }, small: 6 };

/** SAMPLE with the 64-bit word at `index` replaced. */
function sampleWith(index: number, word: bigint): Buffer {
  const bytes = encodeStruct(SAMPLE, VALUES);
  bytes.writeBigUInt64LE(word, index * 8);
  return bytes;
}

test('padding is skipped when reading and zeroed when writing', (t) => {
  const bytes = Buffer.alloc(SAMPLE.sizeBytes, 0xa5);
  writeStruct(SAMPLE, bytes, 0, VALUES);
  t.is(bytes.toString('hex').slice(64), '00000000' + '0600' + '0000');
  t.deepEqual(readStruct(SAMPLE, Buffer.from(bytes).fill(0xa5, 32, 36), 0), VALUES);
});

test('an exact field takes 2^53 - 1 and refuses 2^53', (t) => {
  t.is(readStruct(SAMPLE, sampleWith(0, 2n ** 53n - 1n), 0).exact, 2 ** 53 - 1);
  t.throws(() => readStruct(SAMPLE, sampleWith(0, 2n ** 53n), 0), { instanceOf: FieldRangeError });
  t.throws(() => readStruct(SAMPLE, sampleWith(0, 2n ** 64n - 1n), 0), {
    instanceOf: FieldRangeError,
  });
});

test('a position at or above 2^53 reads as the end of the range, beyond every safe integer', (t) => {
  t.is(readStruct(SAMPLE, sampleWith(1, 2n ** 53n - 1n), 0).position, Number.MAX_SAFE_INTEGER);
  for (const word of [2n ** 53n, 2n ** 60n, 2n ** 63n - 1n, 2n ** 64n - 1n]) {
    t.is(readStruct(SAMPLE, sampleWith(1, word), 0).position, END_OF_RANGE);
  }
  t.true(END_OF_RANGE > Number.MAX_SAFE_INTEGER);
});

test('the end of the range is written as 2^63 - 1', (t) => {
  const bytes = encodeStruct(SAMPLE, { ...VALUES, position: END_OF_RANGE });
  t.is(bytes.readBigUInt64LE(8), 2n ** 63n - 1n);
});

test('a signed field keeps its sign, and stops at the limits of exact numbers', (t) => {
  t.is(readStruct(SAMPLE, sampleWith(2, 2n ** 64n - 1n), 0).signed, -1);
  t.is(readStruct(SAMPLE, sampleWith(2, 2n ** 63n), 0).signed, Number.MIN_SAFE_INTEGER);
  t.is(readStruct(SAMPLE, sampleWith(2, 2n ** 63n - 1n), 0).signed, Number.MAX_SAFE_INTEGER);
});

test('an opaque field keeps all 64 bits', (t) => {
  const { opaque } = readStruct(SAMPLE, sampleWith(3, 0xfeedface_deadbeefn), 0);
  t.deepEqual(opaque, { low: 0xdeadbeef, high: 0xfeedface });
});

test('a structure that does not fit into the buffer is a bug', (t) => {
  const short = Buffer.alloc(SAMPLE.sizeBytes);
  t.throws(() => readStruct(SAMPLE, short, 1), { instanceOf: RangeError });
  t.throws(
    () => {
      writeStruct(SAMPLE, short, 1, VALUES);
    },
    { instanceOf: RangeError },
  );
});

const WORD = fc.nat({ max: 0xffff_ffff });
const EXACT = fc.maxSafeNat();
const ARBITRARY: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  u16: fc.nat({ max: 0xffff }),
  u32: WORD,
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  u64: EXACT,
  offset: EXACT,
  i64: fc.maxSafeInteger(),
  words: fc.record({ low: WORD, high: WORD }),
};

function valuesOf(of: Layout): fc.Arbitrary<Record<string, unknown>> {
  const fields = Object.entries<FieldKind>(of.fields).flatMap(([name, kind]) => {
    if (typeof kind !== 'string') return [[name, valuesOf(kind)] as const];
    const arbitrary = ARBITRARY[kind];
    return arbitrary === undefined ? [] : [[name, arbitrary] as const];
  });
  return fc.record(Object.fromEntries(fields), { noNullPrototype: true });
}

function isLayout(value: unknown): value is Layout {
  return typeof value === 'object' && value !== null && 'steps' in value;
}

for (const each of Object.values<unknown>(abi).filter(isLayout)) {
  test(`${each.name}: what is written reads back`, (t) => {
    const property = fc.property(valuesOf(each), fc.nat({ max: 9 }), (values, offset) => {
      const bytes = Buffer.alloc(offset + each.sizeBytes, 0xa5);
      writeStruct(each, bytes, offset, values as Decoded<Layout>);
      t.deepEqual(readStruct(each, bytes, offset), values as Decoded<Layout>);
    });
    fc.assert(property, { numRuns: 50 });
    t.pass();
  });
}
