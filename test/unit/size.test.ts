import test from 'ava';
import fc from 'fast-check';
import { formatSize, parseSize } from '../../src/size.ts';

const SIZES: [string, number][] = [
  ['0', 0],
  ['1000000', 1_000_000],
  ['10G', 10 * 1024 ** 3],
  ['10g', 10 * 1024 ** 3],
  ['1MiB', 1024 ** 2],
  ['1Mi', 1024 ** 2],
  ['512k', 512 * 1024],
  ['512KB', 512_000],
  ['2tb', 2e12],
  ['1.5G', 1.5 * 1024 ** 3],
  ['0.1k', 102],
  ['12b', 12],
  ['3 MiB', 3 * 1024 ** 2],
];
for (const [text, bytes] of SIZES) {
  test(`"${text}" is ${bytes} bytes`, (t) => {
    t.is(parseSize(text), bytes);
  });
}

for (const text of [
  '',
  '-1',
  '+1',
  '1_000',
  '1e6',
  '0x10',
  'G',
  '1X',
  '1.G',
  '.5G',
  '1 2',
  '10GG',
  '9e9',
  '99999999999999999999',
  '9007199254740992',
  '8192P',
  'NaN',
  'Infinity',
  '1K1',
  ' 1',
]) {
  // prettier-ignore
  test(`"${text}" is no size`, (t) => {
    t.is(parseSize(text), undefined);
  });
}

test('sizes are shown in the largest binary unit with at most one decimal', (t) => {
  t.is(formatSize(0), '0 bytes');
  t.is(formatSize(1023), '1023 bytes');
  t.is(formatSize(4096), '4 KiB');
  t.is(formatSize(1_000_000), '976.6 KiB');
  t.is(formatSize(12_562_791_629), '11.7 GiB');
  t.is(formatSize(Number.MAX_SAFE_INTEGER), '8 PiB');
});

test('every whole number of bytes is read as itself', (t) => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (bytes) => {
      t.is(parseSize(String(bytes)), bytes);
    }),
  );
});
