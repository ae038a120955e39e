/**
 * File systems of several nodes for tests: `withCluster` starts servers and mounts as processes of their own, each node
 * with a loopback address of its own. Whatever a test does, all of them are gone when it ends.
 */
import type { ExecutionContext } from 'ava';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMSSFS, logTail, UMOUNT_IMSS, whyNoMounts, withFolder } from './mount.ts';
import { killNow, mountsBelow } from './processes.ts';
import { describe, run, runOk, type RunResult } from './run.ts';

const START_MS = 60_000;
const STOP_MS = 60_000;
const TEST_MS = 180_000;

export interface ClusterShape {
  /** Number of metadata servers and of block servers. */
  meta: number;
  blocks: number;
  /** Number of mounts. */
  mounts: number;
  /** Event loops of each block server. */
  threads?: number;
  /** Capacity of each block server, as `-S` takes it. */
  capacity?: string;
  /** More arguments for every mount. */
  mountArgs?: readonly string[];
  /** Metadata servers keep their metadata in files. */
  keepsMetadata?: boolean;
  timeoutMs?: number;
}

/** A server's process. */
export interface ServerProcess {
  readonly kind: 'meta' | 'blocks';
  readonly index: number;
  readonly address: string;
  /** Undefined while it does not run. */
  process: ChildProcess | undefined;
}

export interface Cluster {
  readonly folder: string;
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
  /** Arguments by which a command finds this cluster. */
  readonly clusterArgs: readonly string[];
}

let used = 0;

/** A network of loopback addresses that no other test uses at the same time. */
function ownNetwork(): string {
  used += 1;
  return `127.${64 + (process.pid % 128)}.${1 + ((Math.floor(process.pid / 128) * 31 + used) % 254)}`;
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
      for (const file of cluster.logFiles) t.log(`${file}:\n${logTail(file)}`);
      throw error;
    } finally {
      cluster.killAll();
    }
  });
}

class RunningCluster implements Cluster {
  readonly folder: string;
  readonly metaServers: readonly ServerProcess[];
  readonly blockServers: readonly ServerProcess[];
  readonly mounts: readonly string[];
  readonly clusterArgs: readonly string[];
  readonly logFiles: string[] = [];
  readonly #shape: ClusterShape;

  constructor(folder: string, shape: ClusterShape) {
    this.folder = folder;
    this.#shape = shape;
    const network = ownNetwork();
    const servers = (kind: 'meta' | 'blocks', count: number, first: number): ServerProcess[] =>
      Array.from({ length: count }, (_, index) => ({
        kind,
        index,
        address: `${network}.${first + index}`,
        process: undefined,
      }));
    this.metaServers = servers('meta', shape.meta, 1);
    this.blockServers = servers('blocks', shape.blocks, 101);
    this.mounts = Array.from({ length: shape.mounts }, (_, index) => join(folder, `mnt${index}`));
    for (const mount of this.mounts) mkdirSync(mount);
    writeFileSync(this.#file('stat_hostfile'), lines(this.metaServers));
    writeFileSync(this.#file('hostfile'), lines(this.blockServers));
    this.clusterArgs = ['-a', this.#file('stat_hostfile'), '--secret-file', this.#file('secret')];
  }

  #file(name: string): string {
    return join(this.folder, name);
  }

  at(mount: number, ...names: string[]): string {
    return join(this.mounts[mount] ?? '', ...names);
  }

  /** In no order: whoever comes early waits for the others. */
  async startAll(): Promise<void> {
    const servers = [...this.blockServers, ...this.metaServers];
    await Promise.all([
      ...servers.map((server) => this.start(server)),
      ...this.mounts.map(async (_, index) => {
        const result = await this.mount(index);
        if (result.status !== 0) throw new Error(describe(result));
        chmodSync(this.at(index), 0o1777);
      }),
    ]);
  }

  async start(server: ServerProcess): Promise<void> {
    const { kind, index, address } = server;
    const args = ['server', kind, ...this.clusterArgs, '--node', address];
    if (kind === 'blocks') {
      args.push('-h', this.#file('hostfile'), '-S', this.#shape.capacity ?? '256M');
      args.push('--threads', String(this.#shape.threads ?? 1));
    } else if (this.#shape.keepsMetadata === true) {
      args.push('-M', this.#file(`metadata${index}`));
    }
    const logFile = this.#file(`${kind}${index}.log`);
    this.logFiles.push(logFile);
    const child = spawn(IMSSFS, [...args, '--log-file', logFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.process = child;
    await readiness(child, `${kind} server ${index}`);
  }

  async stop(server: ServerProcess): Promise<number | null> {
    const child = server.process;
    server.process = undefined;
    if (child === undefined) return null;
    const ended = endOf(child);
    child.kill('SIGTERM');
    return await ended;
  }

  async kill(server: ServerProcess): Promise<void> {
    const child = server.process;
    server.process = undefined;
    if (child === undefined) return;
    const ended = endOf(child);
    child.kill('SIGKILL');
    await ended;
  }

  mount(index: number, args: readonly string[] = []): Promise<RunResult> {
    const logFile = this.#file(`mount${index}.log`);
    this.logFiles.push(logFile);
    const cluster = ['-d', '2', ...this.clusterArgs, '-h', this.#file('hostfile')];
    const own = ['--log-file', logFile, ...(this.#shape.mountArgs ?? []), ...args];
    return run(IMSSFS, [...cluster, ...own, this.at(index)], { timeoutMs: START_MS });
  }

  async unmount(index: number): Promise<void> {
    await runOk(UMOUNT_IMSS, [this.at(index)], { timeoutMs: STOP_MS });
  }

  /** Orderly; throws if anything ends otherwise. */
  async stopAll(): Promise<void> {
    for (const [index, mount] of this.mounts.entries()) {
      if (mountsBelow(mount).length > 0) await this.unmount(index);
    }
    for (const server of [...this.blockServers, ...this.metaServers]) {
      if (server.process === undefined) continue;
      const status = await this.stop(server);
      if (status !== 0) {
        throw new Error(`${server.kind} server ${server.index} ended with ${String(status)}`);
      }
    }
  }

  killAll(): void {
    for (const { process: child } of [...this.blockServers, ...this.metaServers]) {
      if (child?.pid !== undefined) killNow(child.pid);
    }
  }
}

function lines(servers: readonly ServerProcess[]): string {
  return servers.map(({ address }) => `${address}\n`).join('');
}

function endOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => {
    child.once('exit', (status) => {
      resolve(status);
    });
  });
}

/** Resolves at the line that says it is ready; rejects with what it has said if it ends instead. */
function readiness(child: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    const timer = setTimeout(() => {
      reject(new Error(`${name} is not ready after ${START_MS} ms\n${stdout}\n${stderr}`));
    }, START_MS);
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (!/^ready: /m.test(stdout)) return;
      clearTimeout(timer);
      resolve();
    });
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('exit', (status) => {
      clearTimeout(timer);
      reject(new Error(`${name} ended with ${String(status)}\n${stdout}\n${stderr}`));
    });
  });
}

/** Whether the log of a server or mount has a line that matches. */
export function logged(file: string, pattern: RegExp): boolean {
  return pattern.test(readFileSync(file, 'utf8'));
}
