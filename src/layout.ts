/** How a dataset's blocks are laid out over servers, and what a block server has to know of a dataset to find them. */
import type { InodeId } from './ids.ts';
import type { PolicyName } from './policy.ts';

/** How a dataset's blocks are placed; kept with the dataset from its creation. */
export interface Layout {
  policy: PolicyName;
  blockSizeBytes: number;
  /** Copies of each block, 1 to 3. */
  replication: number;
}

/** What places a dataset's blocks. Every outer record is one. */
export interface Dataset {
  readonly inode: InodeId;
  /** The URI under which it was created; placement hashes it, so a rename moves no data. */
  readonly uri: string;
  readonly layout: Readonly<Layout>;
  /** Epoch of the server map when it was created: a server that came to life later has lost its blocks. */
  readonly mapEpoch: number;
  /** Number of the block server that keeps block 0 of a LOCAL dataset; 0 for every other policy. */
  readonly home: number;
}
