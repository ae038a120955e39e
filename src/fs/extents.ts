/** Byte ranges of a file cut at block borders. Pure. */
import type { BlockIndex } from '../ids.ts';

/** Part of one data block. */
export interface Extent {
  readonly block: BlockIndex;
  /** Where in the block it begins. */
  readonly offset: number;
  readonly length: number;
}

/** The extent that begins at byte `position` and ends at the block's end or after `maxLength` bytes. */
export function extentAt(position: number, maxLength: number, blockSizeBytes: number): Extent {
  const index = Math.floor(position / blockSizeBytes);
  const offset = position - index * blockSizeBytes;
  return {
    block: (index + 1) as BlockIndex,
    offset,
    length: Math.min(maxLength, blockSizeBytes - offset),
  };
}

/** All extents of a range, each with its position in the file. */
export function extentsOf(
  range: { offset: number; length: number },
  blockSizeBytes: number,
): (Extent & { readonly position: number })[] {
  const extents: (Extent & { position: number })[] = [];
  for (let done = 0; done < range.length;) {
    const position = range.offset + done;
    const extent = extentAt(position, range.length - done, blockSizeBytes);
    extents.push({ ...extent, position });
    done += extent.length;
  }
  return extents;
}
