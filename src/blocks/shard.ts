/** One event loop's share of a block server: its memory, and the port behind which that is reached. */
import { SystemClock } from '../clock.ts';
import type { Logger } from '../log.ts';
import type { Address } from '../net/call.ts';
import { HandshakeError } from '../net/errors.ts';
import type { ServerLimits } from '../net/handler.ts';
import type { Welcome } from '../net/handshake.ts';
import { RpcServer } from '../net/server.ts';
import { MemoryBlockStore } from './memory-store.ts';
import { BLOCK_FAILURES } from './protocol.ts';
import { ReplyCache } from './reply-cache.ts';
import { BlockService, type ShardPlace } from './server.ts';
import type { BlockUsage } from './store.ts';

export interface BlockShardOptions {
  readonly shard: ShardPlace;
  /** This shard's share. */
  readonly capacityBytes: number;
  readonly blockSizeBytes: number;
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  /** 16 random bytes in hex, new in each life of the server, the same for all of its shards. */
  readonly incarnation: string;
  readonly logger: Logger;
  readonly limits?: Partial<ServerLimits> | undefined;
}

/** What makes a block server one of a file system's. */
export interface Membership {
  readonly clusterId: string;
  readonly serverNumber: number | null;
  /** Epoch of the server map at which this life began; see {@link Life}. */
  readonly bornEpoch: number;
}

export interface ShardStatistics {
  readonly connections: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
}

export class BlockShard {
  readonly store: MemoryBlockStore;
  readonly #server: RpcServer;
  readonly #incarnation: string;
  #membership: Membership | undefined;
  /** Ports of all shards. */
  #ports: readonly number[] = [];

  constructor(options: BlockShardOptions) {
    const clock = new SystemClock();
    const { capacityBytes, blockSizeBytes, limits } = options;
    this.#incarnation = options.incarnation;
    this.store = new MemoryBlockStore({ capacityBytes, blockSizeBytes, clock });
    const replies = new ReplyCache(clock);
    const service = new BlockService({ shard: options.shard, store: this.store, replies });
    this.#server = new RpcServer({
      operations: service.handlers(),
      welcome: () => this.#welcome(),
      admit: () => {
        this.#requireMembership();
      },
      secret: options.secret,
      reading: 'exact',
      logger: options.logger,
      failures: BLOCK_FAILURES,
      limits,
    });
  }

  listen(address: Address): Promise<Address> {
    return this.#server.listen(address);
  }

  /** What the first shard tells clients. */
  set ports(ports: readonly number[]) {
    this.#ports = ports;
  }

  /** From now on clients are let in. */
  join(membership: Membership): void {
    this.#membership = membership;
    this.store.bornEpoch = membership.bornEpoch;
  }

  usage(): BlockUsage {
    return this.store.usage();
  }

  statistics(): ShardStatistics {
    return this.#server.statistics;
  }

  /** Finishes what is in flight, within the server's limit. */
  close(): Promise<void> {
    return this.#server.close(true);
  }

  #welcome(): Welcome {
    return {
      role: 'blocks',
      clusterId: this.#membership?.clusterId ?? null,
      serverNumber: this.#membership?.serverNumber ?? null,
      incarnation: this.#incarnation,
      shards: this.#ports,
    };
  }

  #requireMembership(): void {
    if (this.#membership !== undefined) return;
    throw new HandshakeError(
      'not-ready',
      'the block server is not registered with its metadata server yet; wait',
    );
  }
}
