/**
 * Branded identifiers. All are plain numbers below 2^53, because bigint costs too much per request;
 * the brands keep one kind from being passed where another is meant.
 */

/** Identifies a dataset (file, directory, symlink, …) for ever; never reused. */
export type InodeId = number & { readonly __brand: 'InodeId' };

/** Position of an entry in its directory's history; rises with each new entry, never reused. */
export type EntrySequence = number & { readonly __brand: 'EntrySequence' };

/** Index of a data block within its dataset, from 1; block 0 is the inner metadata. */
export type BlockIndex = number & { readonly __brand: 'BlockIndex' };

/** Identifies an open file or directory of one mount. */
export type HandleId = number & { readonly __brand: 'HandleId' };

/** Inode number of the root of the whole file system. */
export const ROOT_INODE = 1 as InodeId;

/** An inode number is `server * 2^40 + counter`: 13 bits of server, 40 bits of counter. */
const COUNTER_SPAN = 2 ** 40;

/** Highest metadata server number that fits above the counter. */
export const MAX_META_SERVER = 2 ** 13 - 1;

/** Builds the inode number that metadata server `server` gives to its `counter`-th inode. */
export function makeInodeId(server: number, counter: number): InodeId {
  return (server * COUNTER_SPAN + counter) as InodeId;
}

/** Number of the metadata server that made `inode`, and that keeps its record. */
export function metaServerOf(inode: InodeId): number {
  return Math.floor(inode / COUNTER_SPAN);
}
