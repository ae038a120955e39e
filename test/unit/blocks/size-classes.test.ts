import test from 'ava';
import fc from 'fast-check';
import { PAGE_BYTES, SizeClasses, floorLog2 } from '../../../src/blocks/size-classes.ts';

test('a class is at least as large as asked, and at most a quarter larger above 64 bytes', (t) => {
  const sizes = new SizeClasses();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (bytes) => {
      const slot = sizes.slotBytes[sizes.fit(bytes, 2 ** 41)] ?? 0;
      return slot >= bytes && (bytes <= 64 ? slot === 64 : slot <= bytes * 1.25);
    }),
  );
  t.is(sizes.slotBytes[sizes.fit(160, 2 ** 20)], 160);
  t.is(sizes.slotBytes[sizes.fit(161, 2 ** 20)], 192);
});

test('the whole block size is a class, also when it is not regular', (t) => {
  const sizes = new SizeClasses();
  for (const block of [4096, 5000, 1_000_000, 1 << 20, 100_000_007]) {
    const sizeClass = sizes.fit(block, block);
    t.is(sizes.slotBytes[sizeClass], block);
    t.is(sizes.fit(block, block), sizeClass);
  }
  t.is(sizes.slotBytes[sizes.fit(4097, 5000)], 5000);
  t.is(sizes.slotBytes[sizes.fit(4096, 5000)], 4096);
});

test('no slot exceeds the ceiling while exact classes last, and thousands of block sizes still work', (t) => {
  const sizes = new SizeClasses();
  for (let block = 100_001; block < 102_100; block++) {
    t.true((sizes.slotBytes[sizes.fit(block, block)] ?? 0) >= block);
  }
  t.true(sizes.slotBytes.length < 1500);
});

test('spans hold their slots and waste little', (t) => {
  const sizes = new SizeClasses();
  sizes.fit(1_000_000, 1_000_000);
  sizes.slotBytes.forEach((bytes, sizeClass) => {
    const slots = sizes.slotCounts[sizeClass] ?? 0;
    const spanBytes = (sizes.spanPages[sizeClass] ?? 0) * PAGE_BYTES;
    t.true(slots * bytes <= spanBytes);
    t.true((spanBytes - slots * bytes) / spanBytes < 0.02, `${bytes}`);
  });
});

test('the binary logarithm is exact at powers of two up to 2^53', (t) => {
  for (let log2 = 1; log2 <= 52; log2++) {
    t.is(floorLog2(2 ** log2), log2);
    t.is(floorLog2(2 ** log2 - 1), log2 - 1);
  }
});
