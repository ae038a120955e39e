import test from 'ava';
import { pipeCalls } from '../../../src/pipes/calls.ts';
import { allocatePlaced, LARGEST_PAGE_BYTES } from '../../../src/pipes/placed-memory.ts';

for (const [lengthBytes, offsetBytes] of [
  [1, 0],
  [4096, 512],
  [2 ** 20, 512],
  [2 ** 26, 256],
  [LARGEST_PAGE_BYTES - 512, 512],
  [LARGEST_PAGE_BYTES, 0],
] as const) {
  test(`${lengthBytes} bytes begin ${offsetBytes} bytes behind a page, and have all of their pages`, (t) => {
    const bytes = allocatePlaced(lengthBytes, offsetBytes);
    t.is(bytes.length, lengthBytes);
    const address = pipeCalls()?.address(bytes) ?? 0n;
    t.is(Number(address % BigInt(LARGEST_PAGE_BYTES)), offsetBytes);
    const firstPage = bytes.byteOffset - offsetBytes;
    const pages = Math.ceil((offsetBytes + lengthBytes) / LARGEST_PAGE_BYTES);
    t.true(firstPage >= 0);
    t.true(firstPage + pages * LARGEST_PAGE_BYTES <= bytes.buffer.byteLength);
  });
}
