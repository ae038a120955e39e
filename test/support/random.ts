/** Numbers that look random and are the same for the same seed. */

/** Returns a function of numbers in [0, 1): a linear congruential generator, its constants from POSIX's drand48(3). */
export function random(seed: number): () => number {
  let state = (BigInt(seed) << 16n) | 0x330en;
  return () => {
    state = (state * 0x5deece66dn + 0xbn) & 0xffff_ffff_ffffn;
    return Number(state) / 2 ** 48;
  };
}
