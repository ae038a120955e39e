/**
 * File systems of several nodes for tests: `withCluster` starts servers and mounts as processes of their own, each node
 * with a loopback address of its own. Whatever a test does, all of them are gone when it ends.
 */
import type { ExecutionContext } from 'ava';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { IMSSFS, logTail, UMOUNT_IMSS, whyNoMounts, withFolder } from './mount.ts';
import { mountsBelow } from './processes.ts';
import { describe, run, runOk, type RunResult } from './run.ts';
import { type ServerProcess, Servers, type ServersShape } from './servers.ts';

const START_MS = 60_000;
const STOP_MS = 60_000;
const TEST_MS = 180_000;

export interface ClusterShape extends ServersShape {
  /** Number of mounts. */
  mounts: number;
  /** More arguments for every mount. */
  mountArgs?: readonly string[];
  timeoutMs?: number;
}

export interface Cluster {
  readonly folder: string;
  readonly servers: Servers;
  readonly metaServers: readonly ServerProcess[];
  readonly blockServers: readonly ServerProcess[];
  /** Mount points, each a view of the same file system. */
  readonly mounts: readonly string[];
  /** A path in mount number `mount`. */
  at(mount: number, ...names: string[]): string;
  start(server: ServerProcess): Promise<void>;
  /** SIGTERM; resolves to the exit status. */
  stop(server: ServerProcess): Promise<number | null>;
  /** SIGKILL. */
  kill(server: ServerProcess): Promise<void>;
  mount(index: number, args?: readonly string[]): Promise<RunResult>;
  unmount(index: number): Promise<void>;
}

/** See the file's header. */
export async function withCluster(
  t: ExecutionContext,
  shape: ClusterShape,
  body: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const obstacle = whyNoMounts();
  if (obstacle !== undefined && shape.mounts > 0) throw new Error(obstacle);
  const timeoutMs = shape.timeoutMs ?? TEST_MS;
  t.timeout(timeoutMs + START_MS + STOP_MS);
  await withFolder(timeoutMs + START_MS, async (folder) => {
    const cluster = new RunningCluster(folder, shape);
    try {
      await cluster.startAll();
      await body(cluster);
      await cluster.stopAll();
    } catch (error) {
      for (const file of cluster.servers.logFiles) t.log(`${file}:\n${logTail(file)}`);
      throw error;
    } finally {
      cluster.servers.killAll();
    }
  });
}

class RunningCluster implements Cluster {
  readonly folder: string;
  readonly servers: Servers;
  readonly mounts: readonly string[];
  readonly #shape: ClusterShape;

  constructor(folder: string, shape: ClusterShape) {
    this.folder = folder;
    this.#shape = shape;
    this.servers = new Servers(folder, shape);
    this.mounts = Array.from({ length: shape.mounts }, (_, index) => join(folder, `mnt${index}`));
    for (const mount of this.mounts) mkdirSync(mount);
  }

  get metaServers(): readonly ServerProcess[] {
    return this.servers.metaServers;
  }

  get blockServers(): readonly ServerProcess[] {
    return this.servers.blockServers;
  }

  at(mount: number, ...names: string[]): string {
    return join(this.mounts[mount] ?? '', ...names);
  }

  /** In no order: whoever comes early waits for the others. */
  async startAll(): Promise<void> {
    await Promise.all([
      this.servers.startAll(),
      ...this.mounts.map(async (_, index) => {
        const result = await this.mount(index);
        if (result.status !== 0) throw new Error(describe(result));
        chmodSync(this.at(index), 0o1777);
      }),
    ]);
  }

  start(server: ServerProcess): Promise<void> {
    return this.servers.start(server);
  }

  stop(server: ServerProcess): Promise<number | null> {
    return this.servers.stop(server);
  }

  kill(server: ServerProcess): Promise<void> {
    return this.servers.kill(server);
  }

  mount(index: number, args: readonly string[] = []): Promise<RunResult> {
    const logFile = this.servers.file(`mount${index}.log`);
    if (!this.servers.logFiles.includes(logFile)) this.servers.logFiles.push(logFile);
    const own = ['--log-file', logFile, ...(this.#shape.mountArgs ?? []), ...args];
    const all = [...this.servers.mountArgs, ...own, this.at(index)];
    return run(IMSSFS, all, { timeoutMs: START_MS });
  }

  async unmount(index: number): Promise<void> {
    await runOk(UMOUNT_IMSS, [this.at(index)], { timeoutMs: STOP_MS });
  }

  /** Orderly; throws if anything ends otherwise. */
  async stopAll(): Promise<void> {
    for (const [index, mount] of this.mounts.entries()) {
      if (mountsBelow(mount).length > 0) await this.unmount(index);
    }
    await this.servers.stopAll();
  }
}
