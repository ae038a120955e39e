/**
 * Tells the kernel to look up anew what a request may have changed that was answered before it was done. The kernel takes it
 * for not done, and would go on to answer from what it keeps: above all, that a new name is not there.
 */
import { Errno, errnoName } from '../../errno.ts';
import type { Logger } from '../../log.ts';
import type { Device } from './device.ts';
import { type NameInNode, namesChangedBy } from './names-given-up.ts';
import { notifyInvalEntry, notifyInvalInode } from './reply.ts';
import type { Request } from './request.ts';

/** Of the four threads that libuv has for all that may block. */
const MOST_AT_ONCE = 2;

export interface NameNotifierOptions {
  readonly device: Pick<Device, 'write' | 'writeLater'>;
  readonly logger: Logger;
}

export class NameNotifier {
  readonly #options: NameNotifierOptions;
  readonly #waiting: NameInNode[] = [];
  #runningCount = 0;

  constructor(options: NameNotifierOptions) {
    this.#options = options;
  }

  /**
   * To be called right before the request is answered: the kernel takes a name's directory from the caller as soon as that
   * lets go of it (`fuse_reverse_inval_entry` locks it), before others come to look, unless they queue for it already. The
   * attributes of a directory need no lock.
   */
  forget(request: Request): void {
    const names = namesChangedBy(request);
    for (const nodeid of new Set(names.map(({ parent }) => parent))) {
      this.#options.device.write([notifyInvalInode({ nodeid, offset: -1, lengthBytes: 0 })]);
    }
    this.#waiting.push(...names);
    this.#begin();
  }

  #begin(): void {
    while (this.#runningCount < MOST_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#runningCount++;
      void this.#tell(next).finally(() => {
        this.#runningCount--;
        this.#begin();
      });
    }
  }

  async #tell(entry: NameInNode): Promise<void> {
    const { device, logger } = this.#options;
    const errno = await device.writeLater(notifyInvalEntry(entry));
    // ENOENT: the kernel knows nothing of the name. ENOTDIR: nor of the directory. ENODEV: there is no mount any more.
    if ([0, Errno.ENOENT, Errno.ENOTDIR, Errno.ENODEV].includes(errno)) return;
    logger.error({ errno: errnoName(errno) }, 'the kernel refused to forget a name');
  }
}
