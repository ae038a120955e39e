/**
 * A block server of several event loops that share nothing: each has its part of the memory and its own port. The first
 * runs in this thread, the others in worker threads; if one of these fails, its blocks are gone and the server must end.
 */
import { Worker } from 'node:worker_threads';
import { invariant } from '../invariant.ts';
import type { Logger } from '../log.ts';
import type { Address } from '../net/call.ts';
import type { ServerLimits } from '../net/handler.ts';
import { randomId } from '../net/handshake.ts';
import type { MemoryBlockStore } from './memory-store.ts';
import { BlockShard, type ShardStatistics } from './shard.ts';
import type { ShardAnswers, ShardCommand, ShardReport, ShardSetup } from './shard-messages.ts';
import type { BlockUsage } from './store.ts';

export interface BlockShardsOptions {
  /** Where the first shard listens; the others take any free port of the same host. */
  readonly address: Address;
  readonly threads: number;
  /** Of the whole server; each shard has an equal part. */
  readonly capacityBytes: number;
  readonly blockSizeBytes: number;
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  readonly logger: Logger;
  readonly limits?: Partial<ServerLimits> | undefined;
  /** A worker thread has failed, and its blocks with it. */
  readonly onFailure: (error: Error) => void;
}

/** A running block server, all shards of it. */
export interface BlockShards {
  /** Of the first shard: the server's own. */
  readonly address: Address;
  /** Of all shards, the first shard's first. */
  readonly ports: readonly number[];
  /** 16 random bytes in hex, new in each life. */
  readonly incarnation: string;
  /** The first shard's memory; with one thread, all there is. */
  readonly store: MemoryBlockStore;
  usage(): Promise<BlockUsage>;
  statistics(): Promise<ShardStatistics>;
  /**
   * Makes it a server of file system `clusterId`, in a life that began at epoch `bornEpoch` of the server map. Until then,
   * clients are refused as too early, and try again.
   */
  setBornEpoch(bornEpoch: number, clusterId: string, serverNumber?: number): Promise<void>;
  /** Finishes what is in flight, bounded. */
  close(): Promise<void>;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A shard in a thread of its own. */
class WorkerShard {
  readonly #worker: Worker;
  readonly #setup: ShardSetup;
  readonly #logger: Logger;
  readonly #onFailure: (error: Error) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #failure: Error | undefined;
  #isClosing = false;

  constructor(setup: ShardSetup, parts: { logger: Logger; onFailure: (error: Error) => void }) {
    this.#setup = setup;
    this.#logger = parts.logger;
    this.#onFailure = parts.onFailure;
    this.#worker = new Worker(new URL('./shard-worker.js', import.meta.url), { workerData: setup });
    this.#worker.on('message', (report: ShardReport) => {
      this.#onReport(report);
    });
    this.#worker.on('error', (error: Error) => {
      this.#fail(error);
    });
    this.#worker.on('exit', (code) => {
      this.#fail(new Error(`block shard ${setup.shard.index} ended with code ${code}`));
    });
  }

  ask<K extends ShardCommand['kind']>(
    command: Extract<ShardCommand, { kind: K }>,
  ): Promise<ShardAnswers[K]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, command });
    });
    return answer as Promise<ShardAnswers[K]>;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    try {
      await this.ask({ kind: 'close' });
    } catch {
      // It has ended by itself.
    }
    await this.#worker.terminate();
  }

  #onReport(report: ShardReport): void {
    if (report.kind === 'log') {
      const fields = { shard: this.#setup.shard.index, ...report.fields };
      this.#logger[report.level](fields, report.message);
      return;
    }
    const pending = this.#pending.get(report.id);
    this.#pending.delete(report.id);
    if (report.kind === 'failed') pending?.reject(report.error);
    else pending?.resolve(report.answer);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    if (!this.#isClosing) this.#onFailure(error);
  }
}

class RunningShards implements BlockShards {
  readonly address: Address;
  readonly ports: readonly number[];
  readonly incarnation: string;
  readonly #first: BlockShard;
  readonly #workers: readonly WorkerShard[];

  constructor(parts: {
    addresses: readonly Address[];
    incarnation: string;
    first: BlockShard;
    workers: readonly WorkerShard[];
  }) {
    this.address = parts.addresses[0] as Address;
    this.ports = parts.addresses.map(({ port }) => port);
    this.incarnation = parts.incarnation;
    this.#first = parts.first;
    this.#workers = parts.workers;
    parts.first.ports = this.ports;
  }

  get store(): MemoryBlockStore {
    return this.#first.store;
  }

  async usage(): Promise<BlockUsage> {
    const sum = { ...this.#first.usage() };
    const others = this.#workers.map((worker) => worker.ask({ kind: 'usage' }));
    for (const one of await Promise.all(others)) {
      sum.capacityBytes += one.capacityBytes;
      sum.usedBytes += one.usedBytes;
      sum.datasets += one.datasets;
    }
    return sum;
  }

  async statistics(): Promise<ShardStatistics> {
    const sum = { ...this.#first.statistics() };
    const others = this.#workers.map((worker) => worker.ask({ kind: 'statistics' }));
    for (const one of await Promise.all(others)) {
      sum.connections += one.connections;
      sum.requests += one.requests;
      sum.requestsPerSecond += one.requestsPerSecond;
    }
    return sum;
  }

  /** The first shard last: it is the one that tells of the others. */
  async setBornEpoch(bornEpoch: number, clusterId: string, serverNumber?: number): Promise<void> {
    const membership = { bornEpoch, clusterId, serverNumber: serverNumber ?? null };
    await Promise.all(this.#workers.map((worker) => worker.ask({ kind: 'join', membership })));
    this.#first.join(membership);
  }

  async close(): Promise<void> {
    await closeAll(this.#first, this.#workers);
  }
}

async function closeAll(first: BlockShard, workers: readonly WorkerShard[]): Promise<void> {
  await Promise.all([first, ...workers].map((shard) => shard.close()));
}

/** Starts all shards; they listen when the promise resolves. Rejects with nothing left running. */
export async function startBlockShards(options: BlockShardsOptions): Promise<BlockShards> {
  const { address, threads, blockSizeBytes, secret, logger, limits } = options;
  invariant(threads >= 1, 'a block server has at least one thread');
  const incarnation = randomId();
  const capacityBytes = Math.floor(options.capacityBytes / threads);
  const common = { capacityBytes, blockSizeBytes, secret, incarnation, limits };
  const first = new BlockShard({ ...common, shard: { index: 0, count: threads }, logger });
  const workers: WorkerShard[] = [];
  try {
    const addresses = [await first.listen(address)];
    for (let index = 1; index < threads; index++) {
      const logsDebug = logger.isLevelEnabled('debug');
      workers.push(
        new WorkerShard({ ...common, shard: { index, count: threads }, logsDebug }, options),
      );
    }
    const elsewhere = { host: address.host, port: 0 };
    const listening = workers.map((worker) => worker.ask({ kind: 'listen', address: elsewhere }));
    addresses.push(...(await Promise.all(listening)));
    return new RunningShards({ addresses, incarnation, first, workers });
  } catch (error) {
    await closeAll(first, workers);
    throw error;
  }
}
