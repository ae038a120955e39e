/** Data for tests: repeatable bytes and repeatable chance. */

/** Bytes in which every position differs from its neighbours at block distances, so misplaced data shows. */
export function pattern(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++)
    words[i] = Math.imul(i + seed * 7919, 0x9e3779b1) ^ (i >>> 3);
  return Buffer.from(words.buffer, 0, length);
}

/** A generator of integers in [0, limit), the same for the same seed (mulberry32). */
export function chance(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
