/**
 * Memory that begins at a chosen place within a page. What programs read and write mostly begins with a page, and some
 * processors copy up to a third slower if places within pages differ by malloc's 16 bytes (ADR 16, `npm run bench:copies`).
 */
import { pipeCalls } from './calls.ts';

/** The largest page that Linux has on machines which imssfs runs on (arm64). */
export const LARGEST_PAGE_BYTES = 64 * 1024;

/**
 * Memory that begins `offsetBytes` behind the beginning of a page, and has the pages that it lies in for itself; where koffi has
 * no binary, it lies anywhere. Throws a RangeError when the system has no more.
 */
export function allocatePlaced(lengthBytes: number, offsetBytes: number): Buffer {
  const table = pipeCalls();
  if (table === null) return Buffer.allocUnsafeSlow(lengthBytes);
  const pages = Math.ceil((offsetBytes + lengthBytes) / LARGEST_PAGE_BYTES);
  const whole = Buffer.allocUnsafeSlow((pages + 1) * LARGEST_PAGE_BYTES);
  const start = Number(-table.address(whole) & BigInt(LARGEST_PAGE_BYTES - 1)) + offsetBytes;
  return whole.subarray(start, start + lengthBytes);
}
