/**
 * What one owner has locked of one file: segments in ascending order that neither overlap nor, where they are of one
 * type, touch. Pure.
 */
import type { Lock, LockRange } from './lock-store.ts';

export type Segments = readonly Lock[];

/** True if the two have a byte in common. */
export function overlap(one: LockRange, two: LockRange): boolean {
  return one.start <= two.end && two.start <= one.end;
}

/** What of `segments` lies within `range`, cut to it. */
export function within(segments: Segments, range: LockRange): Lock[] {
  return segments
    .filter((segment) => overlap(segment, range))
    .map((segment) => ({
      ...segment,
      start: Math.max(segment.start, range.start),
      end: Math.min(segment.end, range.end),
    }));
}

/** `segments` without what lies within `range`. */
export function without(segments: Segments, range: LockRange): Lock[] {
  const left: Lock[] = [];
  for (const segment of segments) {
    if (!overlap(segment, range)) {
      left.push(segment);
      continue;
    }
    if (segment.start < range.start) left.push({ ...segment, end: range.start - 1 });
    if (segment.end > range.end) left.push({ ...segment, start: range.end + 1 });
  }
  return left;
}

/** `segments` with `lock` in place of what lies within its range. */
export function withLock(segments: Segments, lock: Lock): Lock[] {
  const rest = without(segments, lock);
  const at = rest.findIndex(({ start }) => start > lock.end);
  const split = at === -1 ? rest.length : at;
  const before = rest.slice(0, split);
  const after = rest.slice(split);
  let merged = lock;
  const previous = before.at(-1);
  if (previous?.type === lock.type && previous.end + 1 === lock.start) {
    merged = { ...merged, start: previous.start };
    before.pop();
  }
  const next = after[0];
  if (next?.type === lock.type && lock.end + 1 === next.start) {
    merged = { ...merged, end: next.end };
    after.shift();
  }
  return [...before, merged, ...after];
}
