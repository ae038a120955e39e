/** Memory into which the data of FUSE_WRITE is read. */
import type { BlockLease } from '../../blocks/store.ts';
import { LendablePages } from '../../pipes/lendable-pages.ts';
import type { PipePool } from '../../pipes/pipe.ts';
import { MAX_WRITE_BYTES } from './negotiate.ts';
import type { PayloadSource } from './session.ts';

type Scratch = Pick<BlockLease, 'bytes' | 'pages'>;

/** Plain memory, for stores whose blocks no single FUSE_WRITE can fill. Released buffers are used again. */
export class ScratchPayloads implements PayloadSource {
  readonly #pipes: PipePool | undefined;
  readonly #free: Scratch[] = [];
  /** Whose pages others still have, and cannot be had from them: neither used again nor given back to the system. */
  readonly #lost: Scratch[] = [];

  /** With `pipes`, what is to go to another node may go there without a copy. */
  constructor(pipes?: PipePool) {
    this.#pipes = pipes;
  }

  lease(): BlockLease {
    const scratch = this.#free.pop() ?? this.#allocate();
    let released = false;
    return {
      ...scratch,
      adopted: false,
      release: () => {
        if (released) return;
        released = true;
        if (scratch.pages?.reclaim() === false) this.#lost.push(scratch);
        else this.#free.push(scratch);
      },
    };
  }

  #allocate(): Scratch {
    const pages = this.#pipes && LendablePages.allocate(this.#pipes, MAX_WRITE_BYTES);
    return { bytes: pages?.bytes ?? Buffer.allocUnsafeSlow(MAX_WRITE_BYTES), pages };
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
