/**
 * The `fuse-native` engine: libfuse 2.9's threads serve the session, and the package's callbacks bring each request
 * to the event loop and the same VFS. What it cannot do stands in limits.ts.
 */
import { invariant } from '../../invariant.ts';
import type { Logger } from '../../log.ts';
import type { Engine, EngineEnd, MountRequest, UnmountMode } from '../engine.ts';
import { setReadAhead, unmountConnection } from '../fuse/mount.ts';
import { MountError } from '../fuse/mount-error.ts';
import { statInChild } from '../fuse/syscall.ts';
import { abortConnection, ownPrivilege } from '../fuse/unmount.ts';
import { endOfMount } from '../mount-state.ts';
import type { Vfs } from '../vfs.ts';
import { callbacksFor } from './callbacks.ts';
import { closeOnExec, deviceClosed } from './device-descriptor.ts';
import { type EngineFuseSettings, makeEngineFuse } from './engine-fuse.ts';
import type { FuseConstructor } from './fuse-native.d.ts';
import { libfuseOptions } from './mount-options.ts';
import { mountByLibfuse, type Place } from './mounting.ts';
import { loadFuseNative } from './package.ts';
import { prepareMountPoint, requireFuse } from './preparation.ts';

/** As with the kernel engine, so that a sequential reader has several requests under way. */
const READ_AHEAD_BYTES = 1024 * 1024;
/** A mount that cannot tell of its root in this time is served all the same. */
const FIRST_ANSWER_MS = 5000;
/** After a failure the process ends without its unmount having come to an end. */
const LAST_UNMOUNT_MS = 3000;
/** So many threads of libfuse are worth one warning. */
const MANY_THREADS = 1000;

export interface NativeEngineOptions {
  vfs: Vfs;
  request: MountRequest;
  logger: Logger;
  /** Logs one line for each request. */
  debug: boolean;
  /** The package's class; replaced in tests. */
  load?: () => FuseConstructor;
}

export class NativeEngine implements Engine {
  readonly ended: Promise<EngineEnd>;
  readonly #options: NativeEngineOptions;
  readonly #resolveEnded: (end: EngineEnd) => void;
  #place: Place | undefined;
  #failure: Error | undefined;
  #finishing: Promise<void> | undefined;

  constructor(options: NativeEngineOptions) {
    this.#options = options;
    let resolveEnded: (end: EngineEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve;
    });
    this.#resolveEnded = resolveEnded;
  }

  /** Rejects with {@link MountError}. */
  async start(): Promise<void> {
    const { request, load = loadFuseNative } = this.#options;
    const { mayMount } = await ownPrivilege();
    const optionText = libfuseOptions(request, mayMount);
    const Base = load();
    const { mountPoint, text } = await prepareMountPoint(request, { mayMount });
    await requireFuse();
    const fuse = makeEngineFuse(Base, text, callbacksFor(this.#callbackOptions()), {
      optionText,
      onBug: this.#bug,
      ...threadEvents(this.#options.logger),
      onUnknownRecord: () => {
        this.#options.logger.error('the modification time of a utimens is not where it should be');
      },
    });
    const place = await mountByLibfuse(fuse, mountPoint);
    this.#place = place;
    closeOnExec(place.fd);
    void deviceClosed(place.fd).then(() => this.#finish());
    if (this.#failure !== undefined) {
      await this.#finish();
      throw this.#failure;
    }
    await setReadAhead(place.minor, READ_AHEAD_BYTES);
    // See KernelEngine.start: the kernel must know the root's owner before the first chmod.
    await statInChild(place.mountPoint, FIRST_ANSWER_MS);
  }

  #callbackOptions(): Parameters<typeof callbacksFor>[0] {
    const { vfs, logger, debug } = this.#options;
    const caller = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 0 };
    return { vfs, caller, logger, debug, onBug: this.#bug };
  }

  readonly #bug = (error: unknown): void => {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#options.logger.fatal({ err: this.#failure }, 'the session cannot go on');
    // While the mount is being made, start() finds the failure.
    if (this.#place !== undefined) void this.#finish();
  };

  async unmount(mode: UnmountMode): Promise<void> {
    if (this.#place !== undefined) await unmountConnection(this.#place.minor, mode);
  }

  #finish(): Promise<void> {
    this.#finishing ??= this.#detach().then(this.#resolveEnded);
    return this.#finishing;
  }

  /** libfuse unmounts when it cannot go on, as if somebody had asked for it; only its own words tell. */
  async #endOf({ mountPoint, messages }: Place): Promise<EngineEnd> {
    const end = await endOfMount(mountPoint);
    const complaint = messages.readFailure();
    if (end.reason === 'failed' || complaint === undefined) return end;
    return { reason: 'failed', error: new Error(`libfuse has ended the session: ${complaint}`) };
  }

  /** Leaves no dead mount behind. */
  async #detach(): Promise<EngineEnd> {
    const place = this.#place;
    invariant(place !== undefined, 'what ends has begun');
    try {
      if (this.#failure !== undefined) await giveUp(place.minor);
      else return await this.#endOf(place);
    } catch (error) {
      this.#options.logger.error({ err: error }, 'cleaning up after the session failed');
    }
    return this.#failure === undefined
      ? { reason: 'unmounted' }
      : { reason: 'failed', error: this.#failure };
  }
}

/**
 * Takes a mount away whose requests may never be answered, which the unmount itself may wait for: its callers fail
 * now, or, where the connection cannot be ended from here, when this process ends.
 */
async function giveUp(minor: number): Promise<void> {
  await abortConnection(minor);
  await within(
    LAST_UNMOUNT_MS,
    unmountConnection(minor, 'lazy'),
    'the unmount has not come to an end',
  );
}

/** Rejects with `complaint` when `work` takes longer than `ms`; what it does then is nobody's. */
async function within<T>(ms: number, work: Promise<T>, complaint: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new MountError(complaint));
    }, ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What becomes of libfuse's threads, for the log; see `threads` in limits.ts. */
export function threadEvents(
  logger: Logger,
  abort: () => never = () => process.abort(),
): Pick<EngineFuseSettings, 'onThread' | 'onNoThread'> {
  return {
    onThread: (count) => {
      if (count !== MANY_THREADS) return;
      logger.warn(
        `libfuse has ended and started threads ${count} times, each of which slows down all requests: mount anew when you can, or use --engine kernel`,
      );
    },
    onNoThread: (error) => {
      logger.fatal({ err: error }, 'no memory for a thread of libfuse');
      return abort();
    },
  };
}
