import test from 'ava';
import fc from 'fast-check';
import { ByteReader, ByteWriter, ShortBufferError } from '../../src/bytes.ts';

const exactInteger = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });

test('fields are little-endian and follow one another without padding', (t) => {
  const bytes = new ByteWriter(1)
    .u8(0x01)
    .u16(0x0302)
    .u32(0x07060504)
    .u64(0x0b_0a09_0807_00)
    .i64(-2)
    .time({ seconds: -1, nanoseconds: 5 })
    .bytes(Buffer.from('ab'))
    .copy();
  t.is(
    bytes.toString('hex'),
    '01' + // u8
      '0203' + // u16
      '04050607' + // u32
      '000708090a0b0000' + // u64
      'feffffffffffffff' + // i64
      'ffffffffffffffff05000000' + // time
      '6162', // bytes
  );
});

test('64-bit numbers come back exactly', (t) => {
  t.notThrows(() => {
    fc.assert(
      fc.property(exactInteger, (value) => {
        const reader = new ByteReader(new ByteWriter().i64(value).copy());
        return Object.is(reader.i64(), value + 0);
      }),
    );
  });
});

test('a field that does not fit throws, whatever the buffer is a view of', (t) => {
  const behind = Buffer.alloc(16, 0xff);
  for (const [field, size] of [
    ['u8', 1],
    ['u16', 2],
    ['u32', 4],
    ['u64', 8],
    ['i64', 8],
    ['time', 12],
  ] as const) {
    for (let length = 0; length < size; length++) {
      t.throws(() => new ByteReader(behind.subarray(0, length))[field](), {
        instanceOf: ShortBufferError,
      });
    }
  }
  t.throws(() => new ByteReader(behind.subarray(0, 3)).bytes(4), { instanceOf: ShortBufferError });
});

test('rest is what no field has taken', (t) => {
  const reader = new ByteReader(Buffer.from('abcd'));
  reader.u8();
  t.is(reader.rest().toString(), 'bcd');
  t.is(reader.remaining, 0);
});

test('a writer can be reset and used again', (t) => {
  const writer = new ByteWriter(4).u32(1);
  t.is(writer.reset().u8(7).view().toString('hex'), '07');
});
