/** The `kernel` engine: mounts, serves the session from the event loop, and says how it ended. */
import type { Logger } from '../../log.ts';
import type { Engine, EngineEnd, MountRequest, UnmountMode } from '../engine.ts';
import type { Vfs } from '../vfs.ts';
import { KernelDevice } from './device.ts';
import { type FuseMount, mountFuse, setReadAhead } from './mount.ts';
import { type PayloadSource, Session } from './session.ts';

/**
 * How far ahead the kernel reads a file. The handshake can only lower the default of 128 KiB; root may raise it, so that a sequential reader has several FUSE_READs of 1 MiB under way.
 */
const READ_AHEAD_BYTES = 4 * 1024 * 1024;

export interface KernelEngineOptions {
  vfs: Vfs;
  payloads: PayloadSource;
  request: MountRequest;
  logger: Logger;
  /** Logs one line for each request. */
  debug: boolean;
}

export class KernelEngine implements Engine {
  readonly ended: Promise<EngineEnd>;
  readonly #options: KernelEngineOptions;
  readonly #resolveEnded: (end: EngineEnd) => void;
  #mount: FuseMount | undefined;

  constructor(options: KernelEngineOptions) {
    this.#options = options;
    let resolveEnded: (end: EngineEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve;
    });
    this.#resolveEnded = resolveEnded;
  }

  async start(): Promise<void> {
    const { request, logger } = this.#options;
    const mount = await mountFuse(request);
    this.#mount = mount;
    const device = new KernelDevice(mount.fd);
    await new Promise<void>((resolve, reject) => {
      const session = new Session(
        { device, ...this.#options },
        {
          ready: ({ negotiated }) => {
            logger.info({ negotiated }, 'the kernel and we have agreed on a protocol');
            resolve();
          },
          gone: () => {
            reject(new Error('the mount was taken away before it was ready'));
            void this.#finish(device, { reason: 'unmounted' });
          },
          failed: (error) => {
            reject(error);
            void this.#finish(device, { reason: 'failed', error });
          },
        },
      );
      session.start();
    });
    await setReadAhead(mount.minor, READ_AHEAD_BYTES);
  }

  async unmount(mode: UnmountMode): Promise<void> {
    await this.#mount?.unmount(mode);
  }

  /** Leaves no dead mount behind: what is still mounted after a failure is detached. */
  async #finish(device: KernelDevice, end: EngineEnd): Promise<void> {
    const { logger } = this.#options;
    if (end.reason === 'failed') logger.fatal({ err: end.error }, 'the session cannot go on');
    try {
      await device.close();
      if (end.reason === 'failed') await this.#mount?.unmount('lazy');
    } catch (error) {
      logger.error({ err: error }, 'cleaning up after the session failed');
    }
    this.#resolveEnded(end);
  }
}
