/** Servers of a file system as processes of their own, each with a loopback address of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killNow } from './processes.ts';

const IMSSFS = fileURLToPath(new URL('../../../bin/imssfs', import.meta.url));
const START_MS = 60_000;

export interface ServersShape {
  /** Number of metadata servers and of block servers. */
  meta: number;
  blocks: number;
  /** Event loops of each block server. */
  threads?: number;
  /** Capacity of each block server, as `-S` takes it. */
  capacity?: string;
  /** Metadata servers keep their metadata in files. */
  keepsMetadata?: boolean;
}

/** A server's process. */
export interface ServerProcess {
  readonly kind: 'meta' | 'blocks';
  readonly index: number;
  readonly address: string;
  /** Undefined while it does not run. */
  process: ChildProcess | undefined;
}

let used = 0;

/** A network of loopback addresses that no other test uses at the same time. */
function ownNetwork(): string {
  used += 1;
  return `127.${64 + (process.pid % 128)}.${1 + ((Math.floor(process.pid / 128) * 31 + used) % 254)}`;
}

/** The servers of one file system, with their hostfiles, logs and secret in one folder. */
export class Servers {
  readonly metaServers: readonly ServerProcess[];
  readonly blockServers: readonly ServerProcess[];
  /** Arguments by which a command finds the metadata servers. */
  readonly clusterArgs: readonly string[];
  /** Arguments by which a mount finds all servers. */
  readonly mountArgs: readonly string[];
  readonly logFiles: string[] = [];
  readonly #folder: string;
  readonly #shape: ServersShape;

  constructor(folder: string, shape: ServersShape) {
    this.#folder = folder;
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
    writeFileSync(this.file('stat_hostfile'), lines(this.metaServers));
    writeFileSync(this.file('hostfile'), lines(this.blockServers));
    this.clusterArgs = ['-a', this.file('stat_hostfile'), '--secret-file', this.file('secret')];
    this.mountArgs = ['-d', '2', ...this.clusterArgs, '-h', this.file('hostfile')];
  }

  file(name: string): string {
    return join(this.#folder, name);
  }

  get all(): readonly ServerProcess[] {
    return [...this.blockServers, ...this.metaServers];
  }

  /** In no order: whoever comes early waits for the others. */
  async startAll(): Promise<void> {
    await Promise.all(this.all.map((server) => this.start(server)));
  }

  async start(server: ServerProcess): Promise<void> {
    const { kind, index, address } = server;
    const args = ['server', kind, ...this.clusterArgs, '--node', address];
    if (kind === 'blocks') {
      args.push('-h', this.file('hostfile'), '-S', this.#shape.capacity ?? '256M');
      args.push('--threads', String(this.#shape.threads ?? 1));
    } else if (this.#shape.keepsMetadata === true) {
      args.push('-M', this.file(`metadata${index}`));
    }
    const logFile = this.file(`${kind}${index}.log`);
    if (!this.logFiles.includes(logFile)) this.logFiles.push(logFile);
    const child = spawn(IMSSFS, [...args, '--log-file', logFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.process = child;
    await readiness(child, `${kind} server ${index}`);
  }

  /** SIGTERM; resolves to the exit status. */
  async stop(server: ServerProcess): Promise<number | null> {
    return this.#end(server, 'SIGTERM');
  }

  async kill(server: ServerProcess): Promise<void> {
    await this.#end(server, 'SIGKILL');
  }

  async #end(server: ServerProcess, signal: NodeJS.Signals): Promise<number | null> {
    const child = server.process;
    server.process = undefined;
    if (child === undefined) return null;
    const ended = endOf(child);
    child.kill(signal);
    return await ended;
  }

  /** Orderly; throws if any ends otherwise. */
  async stopAll(): Promise<void> {
    for (const server of this.all) {
      if (server.process === undefined) continue;
      const status = await this.stop(server);
      if (status !== 0) {
        throw new Error(`${server.kind} server ${server.index} ended with ${String(status)}`);
      }
    }
  }

  killAll(): void {
    for (const { process: child } of this.all) {
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
