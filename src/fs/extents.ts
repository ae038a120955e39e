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
