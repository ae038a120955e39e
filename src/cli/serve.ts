/**
 * The life of a process that serves a mount: start, signals, the end. It leaves no dead mount and no run-state
 * file behind, however it ends, short of being killed.
 */
import { FsError } from '../errno.ts';
import type { Engine } from '../fs/engine.ts';
import type { Logger } from '../log.ts';
import { formatSize } from '../size.ts';
import { displayPath } from '../fs/mount-table.ts';
import { claimMountPoint } from './claim.ts';
import { EXIT_FAILURE } from './errors.ts';
import type { RootLogger } from './logging.ts';
import type { MountTools } from './mount-tools.ts';
import { PATIENCE_MS } from './patience.ts';
import { ownIdentity, ownUse } from './process-info.ts';
import { type RunState, type RunStateFile, serversApart } from './run-state.ts';
import type { MountConfig, RunningMount, StartEngine } from './running-mount.ts';

/** How long an unmount may take before the process ends without it. */
const LAST_UNMOUNT_MS = 3000;

/** Signals and the end of the process, replaced in tests. */
export interface ProcessControl {
  onSignal(handler: (signal: string) => void): void;
  /** SIGUSR1: somebody wants to know what the mount holds. */
  onCountsWanted(handler: () => void): void;
  /** Bugs: uncaught exceptions and unhandled rejections. */
  onCrash(handler: (error: unknown) => void): void;
  exit(code: number): void;
  /** Resolves after `ms`, without keeping the process alive. */
  delay(ms: number): Promise<void>;
}

export interface ServeRequest {
  config: MountConfig;
  logger: RootLogger;
  runDirectory: string;
  logFile: string | undefined;
  version: string;
  startEngine: StartEngine;
  tools: Pick<MountTools, 'findForeignMounts' | 'findHolders' | 'isMounted' | 'listMounts'>;
  control: ProcessControl;
  /** Takes what the person at the shell should know before the mount answers. */
  tell?(line: string): void;
  /** Called once, when the mount answers, with the lines for the person at the shell. */
  onReady(lines: string[]): void;
}

/** Mounts, serves until the mount has ended, and resolves to the exit code. Rejects if it cannot start. */
export async function serveMount(request: ServeRequest): Promise<number> {
  const { config, logger, control } = request;
  const stopper = new Stopper(request);
  control.onSignal((signal) => {
    stopper.signal(signal);
  });
  control.onCountsWanted(() => {
    try {
      logger.info({ counts: stopper.counts(), process: ownUse() }, 'counts');
    } catch (error) {
      // A question must not end the mount, were it out of descriptors.
      logger.warn({ err: error }, 'cannot count');
    }
  });
  control.onCrash((error) => {
    logger.fatal({ err: error }, 'a bug; giving up this mount');
    stopper.endNow();
  });
  const stateFile = await claimMountPoint(ownState(request), request);
  stopper.claimed(stateFile);
  let mount: RunningMount;
  try {
    mount = await request.startEngine(config, logger, (line) => {
      logger.warn(line);
      request.tell?.(line);
    });
  } catch (error) {
    stateFile.remove();
    throw error;
  }
  stopper.started(mount);
  const deviceMinor = await minorOf(request);
  stopper.mountedAs(deviceMinor);
  stateFile.update({ phase: 'mounted', deviceMinor });
  const lines = [readyLine(request), ...mount.describe()];
  for (const line of lines) logger.info(line);
  request.onReady(lines);
  const end = await mount.engine.ended;
  if (end.reason === 'failed') logger.fatal({ err: end.error }, 'the mount failed');
  else logger.info('unmounted');
  try {
    await stopper.close();
  } finally {
    stateFile.remove();
  }
  return end.reason === 'failed' || stopper.forced ? EXIT_FAILURE : 0;
}

function ownState(request: ServeRequest): RunState {
  return {
    ...ownIdentity(),
    mountPoint: request.config.request.mountPoint,
    phase: 'starting',
    source: request.config.request.source,
    deviceMinor: undefined,
    logFile: request.logFile,
    version: request.version,
    servers: serversApart(request.config.cluster),
  };
}

async function minorOf(request: ServeRequest): Promise<number | undefined> {
  const path = request.config.request.mountPoint;
  try {
    const mounts = await request.tools.listMounts();
    return mounts.findLast((mount) => mount.mountPoint.equals(path))?.deviceMinor;
  } catch (error) {
    request.logger.warn({ err: error }, 'cannot list mounts');
    return undefined;
  }
}

function readyLine(request: ServeRequest): string {
  const { settings, request: mount, cluster } = request.config;
  const details = [`pid ${process.pid}`];
  // Of a file system whose data is elsewhere, this mount's own setting says nothing.
  if (cluster === undefined) details.unshift(`capacity ${formatSize(settings.capacityBytes)}`);
  if (request.logFile !== undefined) details.push(`log ${request.logFile}`);
  return `mounted ${mount.source} at ${displayPath(mount.mountPoint)} (${details.join(', ')})`;
}

/** Turns signals into unmounts: the first one politely, the second one at once. */
class Stopper {
  readonly #request: ServeRequest;
  readonly #logger: Logger;
  #stateFile: RunStateFile | undefined;
  #mount: RunningMount | undefined;
  #deviceMinor: number | undefined;
  #closing: Promise<void> | undefined;
  #signals = 0;
  /** The process ends without waiting for those who use the mount. */
  forced = false;

  constructor(request: ServeRequest) {
    this.#request = request;
    this.#logger = request.logger;
  }

  /** The note to remove at the end. */
  claimed(stateFile: RunStateFile): void {
    this.#stateFile = stateFile;
  }

  /** From now on there is something to unmount; a signal that came earlier takes effect. */
  started(mount: RunningMount): void {
    this.#mount = mount;
    if (this.#signals > 0) void this.#unmountPolitely(mount.engine);
  }

  /** The mount's device number, by which its copies elsewhere are known. */
  mountedAs(deviceMinor: number | undefined): void {
    this.#deviceMinor = deviceMinor;
  }

  /** Undefined before there is a mount, and once its stores are being closed. */
  counts(): ReturnType<RunningMount['counts']> | undefined {
    return this.#closing === undefined ? this.#mount?.counts() : undefined;
  }

  signal(name: string): void {
    this.#signals += 1;
    this.#logger.info(`${name}: unmounting`);
    if (this.#signals > 1) this.endNow();
    else if (this.#mount !== undefined) void this.#unmountPolitely(this.#mount.engine);
  }

  /** Closes the stores, once. */
  close(): Promise<void> {
    this.#closing ??= this.#mount?.close() ?? Promise.resolve();
    return this.#closing;
  }

  /** Unmounts whoever uses it, and ends the process in bounded time. */
  endNow(): void {
    if (this.forced) return;
    this.forced = true;
    void Promise.race([this.#detachAndClose(), this.#request.control.delay(LAST_UNMOUNT_MS)]).then(
      () => {
        this.#stateFile?.remove();
        this.#request.control.exit(EXIT_FAILURE);
      },
    );
  }

  async #detachAndClose(): Promise<void> {
    if (this.#mount === undefined) return;
    await this.#detach(this.#mount.engine);
    await this.close().catch((error: unknown) => {
      this.#logger.error({ err: error }, 'cannot close the stores');
    });
  }

  /** Lazily: a forced unmount leaves a busy mount point behind as a dead mount. */
  async #detach(engine: Engine): Promise<void> {
    try {
      await engine.unmount('lazy');
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot detach the mount');
    }
  }

  async #unmountPolitely(engine: Engine): Promise<void> {
    try {
      await engine.unmount('plain');
    } catch (error) {
      if (!(error instanceof FsError && error.code === 'EBUSY')) {
        this.#logger.error({ err: error }, 'cannot unmount; trying to detach');
      } else {
        const holders = await this.#holders();
        this.#logger.warn(`in use (${holders}); detached, and serving until they are done`);
      }
      await this.#detach(engine);
      return;
    }
    await this.#tellWhoKeepsIt();
  }

  /** Unmounted here, the file system lives on where another mount namespace has a copy of the mount. */
  async #tellWhoKeepsIt(): Promise<void> {
    if (this.#deviceMinor === undefined) return;
    await this.#request.control.delay(PATIENCE_MS);
    try {
      const found = await this.#request.tools.findForeignMounts(this.#deviceMinor);
      if (found.length === 0) return;
      this.#logger.warn(
        `unmounted, but still mounted in the mount namespace of ${found.join(', ')}; serving until it is gone`,
      );
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot tell where else it is mounted');
    }
  }

  async #holders(): Promise<string> {
    try {
      const path = this.#request.config.request.mountPoint;
      const found = await this.#request.tools.findHolders(path);
      return found.length === 0 ? 'unknown processes' : found.join(', ');
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot tell who uses the mount');
      return 'unknown processes';
    }
  }
}
