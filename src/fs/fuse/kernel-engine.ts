/** The `kernel` engine: mounts, serves the session from the event loop, and says how it ended. */
import type { Logger } from '../../log.ts';
import type { Engine, EngineEnd, MountRequest, UnmountMode } from '../engine.ts';
import { endOfMount } from '../mount-state.ts';
import type { Vfs } from '../vfs.ts';
import { KernelDevice } from './device.ts';
import { type FuseMount, mountFuse, setReadAhead } from './mount.ts';
import { type PayloadSource, Session } from './session.ts';
import { statInChild } from './syscall.ts';

/**
 * How far ahead the kernel reads a file. The handshake can only lower the default of 128 KiB; root may raise it, so
 * that a sequential reader has several FUSE_READs of 1 MiB under way.
 */
const READ_AHEAD_BYTES = 4 * 1024 * 1024;

/** A mount that cannot tell of its root in this time is served all the same. */
const FIRST_ANSWER_MS = 5000;

export interface KernelEngineOptions {
  vfs: Vfs;
  payloads: PayloadSource;
  request: MountRequest;
  logger: Logger;
  /** Logs one line for each request. */
  debug: boolean;
  /** How long the session looks for the next request before it sleeps, in milliseconds. */
  busyPollMs: number;
}

export class KernelEngine implements Engine {
  readonly ended: Promise<EngineEnd>;
  readonly #options: KernelEngineOptions;
  readonly #resolveEnded: (end: EngineEnd) => void;
  #mount: FuseMount | undefined;
  #finishing: Promise<void> | undefined;

  constructor(options: KernelEngineOptions) {
    this.#options = options;
    let resolveEnded: (end: EngineEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve;
    });
    this.#resolveEnded = resolveEnded;
  }

  async start(): Promise<void> {
    const mount = await mountFuse(this.#options.request);
    this.#mount = mount;
    const device = new KernelDevice(mount.fd);
    try {
      await this.#serve(device);
    } catch (error) {
      await this.#finish(device, { reason: 'failed', error: asError(error) });
      throw error;
    }
    await setReadAhead(mount.minor, READ_AHEAD_BYTES);
    // The kernel takes root for the owner of the root until it asks (fuse_get_root_inode()), and so would refuse
    // the first chmod of an ordinary user.
    await statInChild(mount.mountPoint, FIRST_ANSWER_MS);
  }

  /** Resolves when the mount answers. */
  #serve(device: KernelDevice): Promise<void> {
    const { logger, request } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const session = new Session(
        { device, ...this.#options, acl: request.acl },
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
  }

  async unmount(mode: UnmountMode): Promise<void> {
    await this.#mount?.unmount(mode);
  }

  /** Leaves no dead mount behind: what is still mounted is detached. */
  #finish(device: KernelDevice, end: EngineEnd): Promise<void> {
    this.#finishing ??= this.#closeAndDetach(device, end).then(this.#resolveEnded);
    return this.#finishing;
  }

  async #closeAndDetach(device: KernelDevice, end: EngineEnd): Promise<EngineEnd> {
    const { logger } = this.#options;
    if (end.reason === 'failed') logger.fatal({ err: end.error }, 'the session cannot go on');
    const mount = this.#mount;
    try {
      await device.close();
      if (end.reason === 'failed') await mount?.unmount('lazy');
      else if (mount !== undefined) return await endOfMount(mount.mountPoint);
    } catch (error) {
      logger.error({ err: error }, 'cleaning up after the session failed');
    }
    return end;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
