import test from 'ava';
import fc from 'fast-check';
import { extentAt } from '../../../src/fs/extents.ts';

test('data begins at block 1', (t) => {
  t.like(extentAt(0, 10, 100), { block: 1, offset: 0, length: 10 });
  t.like(extentAt(100, 10, 100), { block: 2, offset: 0, length: 10 });
});

test('an extent ends at its block', (t) => {
  t.like(extentAt(195, 10, 100), { block: 2, offset: 95, length: 5 });
});

test('the extents of a range are adjacent and cover it', (t) => {
  const ranges = fc.record({
    offset: fc.integer({ min: 0, max: 1e6 }),
    length: fc.integer({ min: 1, max: 50_000 }),
    blockSizeBytes: fc.integer({ min: 4096, max: 9000 }),
  });
  t.notThrows(() => {
    fc.assert(
      fc.property(ranges, ({ offset, length, blockSizeBytes }) => {
        let done = 0;
        while (done < length) {
          const extent = extentAt(offset + done, length - done, blockSizeBytes);
          const start = (extent.block - 1) * blockSizeBytes + extent.offset;
          if (start !== offset + done || extent.length < 1) return false;
          if (extent.offset + extent.length > blockSizeBytes) return false;
          done += extent.length;
        }
        return done === length;
      }),
    );
  });
});
