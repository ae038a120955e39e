/** What unstored bytes read as. */

/** Shared by all readers, who only read. */
const ZEROS = Buffer.alloc(1 << 20);

/** Adds `length` zero bytes to `slices`. */
export function pushZeros(slices: Buffer[], length: number): void {
  for (let left = length; left > 0; left -= ZEROS.length) {
    slices.push(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
  }
}
