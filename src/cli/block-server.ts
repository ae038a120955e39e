/** A block server: its event loops, and its place in the server map. Each life has an incarnation of its own. */
import { type BlockShards, startBlockShards } from '../blocks/threads.ts';
import { invariant } from '../invariant.ts';
import { type Address, formatAddress } from '../net/call.ts';
import type { BlockReport } from '../meta/presence.ts';
import { formatSize } from '../size.ts';
import { BlockRegistration } from './block-registration.ts';
import type { BlockServerConfig, RunningServer, ServerEnd, StartServer } from './cluster-config.ts';
import type { RootLogger } from './logging.ts';
import { secretOf } from './secret-options.ts';

export interface BlockServerOptions {
  readonly listen: Address;
  readonly index: number;
  /** All block servers, as every server and mount must name them. */
  readonly list: readonly string[];
  /** Where others reach this one, but for the port, which is the one that it listens on. */
  readonly host: string;
  readonly metaServer: Address;
  readonly capacityBytes: number;
  readonly blockSizeBytes: number;
  readonly threads: number;
  readonly secret: Buffer | undefined;
  readonly logger: RootLogger;
  readonly tell: (line: string) => void;
}

/** See the file's header. A mount that serves its own blocks has one in its process. */
export class BlockServer {
  readonly #options: BlockServerOptions;
  readonly #startedMs = performance.now();
  #shards: BlockShards | undefined;
  #registration: BlockRegistration | undefined;
  #stopping: Promise<void> | undefined;
  #tellEnd: (end: ServerEnd) => void = () => undefined;
  readonly ended: Promise<ServerEnd>;

  private constructor(options: BlockServerOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve;
    });
  }

  /** Resolves when the server has its place in the map. Rejects with nothing left open. */
  static async start(options: BlockServerOptions): Promise<BlockServer> {
    const server = new BlockServer(options);
    try {
      const shards = await server.#listen();
      await server.#register(shards);
      return server;
    } catch (error) {
      await server.#close();
      throw error;
    }
  }

  async #listen(): Promise<BlockShards> {
    const { listen, threads, capacityBytes, blockSizeBytes, secret, logger } = this.#options;
    this.#shards = await startBlockShards({
      address: listen,
      threads,
      capacityBytes,
      blockSizeBytes,
      secret,
      logger: logger.component('blocks'),
      onFailure: (error) => {
        this.#fail(error);
      },
    });
    return this.#shards;
  }

  async #register(shards: BlockShards): Promise<void> {
    const { index, list, host, metaServer, capacityBytes, secret, logger, tell } = this.#options;
    const { ports, incarnation } = shards;
    this.#registration = new BlockRegistration({
      metaServer,
      secret,
      registration: { index, list, host, ports, capacityBytes, incarnation },
      report: () => this.#report(shards),
      onRegistered: ({ bornEpoch, clusterId }) => shards.setBornEpoch(bornEpoch, clusterId, index),
      onReplaced: (error) => {
        this.#fail(error);
      },
      onStop: () => {
        this.stop().catch((error: unknown) => {
          this.#fail(error);
        });
      },
      logger: logger.component('cluster'),
      tell,
    });
    await this.#registration.start();
  }

  async #report(shards: BlockShards): Promise<BlockReport> {
    const [usage, load] = await Promise.all([shards.usage(), shards.statistics()]);
    return {
      usedBytes: usage.usedBytes,
      datasets: usage.datasets,
      requestsPerSecond: load.requestsPerSecond,
      uptimeMs: performance.now() - this.#startedMs,
      clients: load.connections,
    };
  }

  #fail(error: unknown): void {
    this.#tellEnd({ reason: 'failed', error });
    void this.#close();
  }

  /** The memory and ports. */
  get shards(): BlockShards {
    invariant(this.#shards !== undefined, 'a block server that was started has shards');
    return this.#shards;
  }

  describe(): string[] {
    const { index, capacityBytes, threads } = this.#options;
    const lines = [`block server ${index} at ${formatAddress(this.shards.address)}`];
    const loops = threads === 1 ? '1 event loop' : `${threads} event loops`;
    return [...lines, `capacity ${formatSize(capacityBytes)} in ${loops}`];
  }

  /** Finishes what is in flight. Bounded. */
  stop(): Promise<void> {
    this.#stopping ??= this.#close().then(() => {
      this.#tellEnd({ reason: 'stopped' });
    });
    return this.#stopping;
  }

  async #close(): Promise<void> {
    await this.#shards?.close();
    await this.#registration?.close();
  }
}

/** Starts a block server as a process of its own. */
export const startBlockServer: StartServer<BlockServerConfig> = async (config, logger, tell) => {
  const { blockServers, index, metaServers, listenHost, port } = config;
  const own = blockServers[index];
  const [metaServer] = metaServers;
  invariant(own !== undefined && metaServer !== undefined, 'a checked configuration');
  const server = await BlockServer.start({
    ...config,
    listen: { host: listenHost, port },
    list: blockServers.map(formatAddress),
    host: own.host,
    metaServer,
    secret: await secretOf(config.secret),
    logger,
    tell,
  });
  return server satisfies RunningServer;
};
