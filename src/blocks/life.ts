/**
 * Tells holes from losses. A server's memory begins empty: what a dataset of an earlier epoch has not got here may have
 * been lost with the life before, and must not be taken for a hole that reads as zeros.
 */
import { FsError } from '../errno.ts';
import type { Dataset } from '../layout.ts';

export class Life {
  /** Epoch of the server map at which this life began; with 0, nothing can have been lost. */
  bornEpoch = 0;

  /** Whether the dataset may have had blocks in an earlier life. */
  mayHaveLost({ mapEpoch }: Dataset): boolean {
    return mapEpoch < this.bornEpoch;
  }

  /** EIO if `block`, which is not here, may have been lost. */
  requireBlock(dataset: Dataset, block: number): void {
    if (!this.mayHaveLost(dataset)) return;
    throw new FsError(
      'EIO',
      `block ${block} of ${dataset.uri} (inode ${dataset.inode}) was lost when its server ended; remove the file, or restore it`,
    );
  }
}
