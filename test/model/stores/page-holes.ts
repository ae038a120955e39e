/** Which pages within what is stored of a block hold no data, as plain as can be. */
const PAGE = 4096;

/** Notes a write of bytes `[start, end)` to a block of which `stored` bytes were stored. */
export function noteWrite(
  holes: Set<number>,
  { start, end }: { start: number; end: number },
  stored: number,
): void {
  for (let page = Math.ceil(stored / PAGE); (page + 1) * PAGE <= start; page++) holes.add(page);
  for (let page = Math.floor(start / PAGE); page * PAGE < end; page++) holes.delete(page);
}

/** How many of `stored` bytes are left where holes at the end are not kept. */
export function withoutHolesAtEnd(holes: ReadonlySet<number>, stored: number): number {
  let kept = Math.max(0, stored);
  while (kept > 0 && holes.has(Math.ceil(kept / PAGE) - 1))
    kept = (Math.ceil(kept / PAGE) - 1) * PAGE;
  return kept;
}

/** What counts as stored. */
export function dataBytes(holes: ReadonlySet<number>, stored: number): number {
  let bytes = 0;
  for (let page = 0; page * PAGE < stored; page++) {
    if (!holes.has(page)) bytes += Math.min(stored, (page + 1) * PAGE) - page * PAGE;
  }
  return bytes;
}
