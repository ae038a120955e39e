/**
 * Tells the kernel to forget pages. It waits for pages that requests hold, and so must never be told from inside one that
 * holds any, nor in the event loop's own thread: one notice at a time, from another thread.
 */
import { Errno, errnoName } from '../../errno.ts';
import type { Logger } from '../../log.ts';
import type { Device } from './device.ts';
import { notifyInvalInode } from './reply.ts';

export interface PageNotifierOptions {
  readonly device: Pick<Device, 'writeLater'>;
  readonly logger: Logger;
  /** Resolves when no request holds pages of the node. */
  readonly pagesAreFree: (nodeid: number) => Promise<void>;
}

export class PageNotifier {
  readonly #options: PageNotifierOptions;
  #last: Promise<void> = Promise.resolve();

  constructor(options: PageNotifierOptions) {
    this.#options = options;
  }

  /** Resolves when the kernel has no page of the node that it had before; never rejects. */
  async forget(nodeid: number): Promise<void> {
    await this.#options.pagesAreFree(nodeid);
    const told = this.#last.then(() => this.#tell(nodeid));
    this.#last = told;
    await told;
  }

  async #tell(nodeid: number): Promise<void> {
    const { device, logger } = this.#options;
    const errno = await device.writeLater(notifyInvalInode({ nodeid, offset: 0, lengthBytes: 0 }));
    // ENOENT: the kernel has forgotten the inode altogether. ENODEV: there is no mount any more.
    if (errno === 0 || errno === Errno.ENOENT || errno === Errno.ENODEV) return;
    logger.error({ errno: errnoName(errno), nodeid }, 'the kernel refused to forget pages');
  }
}
