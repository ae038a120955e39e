/** Memory into which the data of FUSE_WRITE is read. */
import type { BlockLease } from '../../blocks/store.ts';
import { MAX_WRITE_BYTES } from './negotiate.ts';
import type { PayloadSource } from './session.ts';

/** Plain memory, for stores whose blocks no single FUSE_WRITE can fill. Released buffers are used again. */
export class ScratchPayloads implements PayloadSource {
  readonly #free: Buffer[] = [];

  lease(): BlockLease {
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(MAX_WRITE_BYTES);
    let released = false;
    return {
      bytes,
      adopted: false,
      release: () => {
        if (!released) this.#free.push(bytes);
        released = true;
      },
    };
  }
}

/**
 * Free blocks of a store, so that a whole block is adopted where it landed. Without memory for another one, requests
 * are received in a spare that was put aside at the start, so that the mount outlives the shortage.
 */
export class BlockPayloads implements PayloadSource {
  readonly #leaseBlock: () => BlockLease | undefined;
  readonly #spare = new ScratchPayloads();

  /** `leaseBlock` gives nothing when no memory is left at all. */
  constructor(leaseBlock: () => BlockLease | undefined) {
    this.#leaseBlock = leaseBlock;
    this.#spare.lease().release();
  }

  lease(): BlockLease {
    return this.#leaseBlock() ?? this.#spare.lease();
  }
}
