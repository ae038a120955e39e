/** Figures of several rounds boiled down. Pure. */

/** The middle figure, or the mean of the two in the middle; NaN of none. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

/** A median with the range that it comes from. */
export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Undefined of no figures. */
export function spreadOf(figures: readonly number[]): Spread | undefined {
  if (figures.length === 0) return undefined;
  return {
    median: median(figures),
    lowest: Math.min(...figures),
    highest: Math.max(...figures),
  };
}

/**
 * Ratio of two targets, taken round by round: what slows a whole round down is in both figures, and cancels.
 * Rounds in which either has no figure are left out; undefined if none remains.
 */
export function ratioOf(
  figures: readonly (number | null)[],
  base: readonly (number | null)[],
): Spread | undefined {
  const ratios: number[] = [];
  for (const [round, figure] of figures.entries()) {
    const under = base[round] ?? null;
    if (figure !== null && under !== null && under > 0) ratios.push(figure / under);
  }
  return spreadOf(ratios);
}

/** Which of `items` comes first changes from round to round, so that none always follows the same other. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const first = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
