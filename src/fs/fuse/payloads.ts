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
