/**
 * The connections to one block server: one Peer per shard. The first shard says at each connection where the others are;
 * a server that was restarted has them elsewhere.
 */
import type { Logger } from '../log.ts';
import type { Address, PeerState } from '../net/call.ts';
import { type Hello, randomId, type Welcome } from '../net/handshake.ts';
import { PING } from '../net/operation.ts';
import { Peer } from '../net/peer.ts';
import { invariant } from '../invariant.ts';
import { BLOCK_FAILURES } from './protocol.ts';

export interface ServerShardsOptions {
  readonly address: Address;
  readonly hello: Hello;
  readonly secret: Buffer | undefined;
  readonly patienceMs?: number | undefined;
  readonly logger: Logger;
}

export class ServerShards {
  readonly #options: ServerShardsOptions;
  readonly #first: Peer;
  #others: Peer[] = [];
  /** Ports of all shards and the life of the server to which they belong; undefined before the first connection. */
  #known: { readonly incarnation: string; readonly ports: readonly number[] } | undefined;
  #learning: Promise<unknown> | undefined;

  constructor(options: ServerShardsOptions) {
    this.#options = options;
    this.#first = this.#makePeer(options.address.port, (welcome) => {
      this.#learn(welcome);
    });
  }

  get address(): Address {
    return this.#options.address;
  }

  /** Of the first shard. */
  get state(): PeerState {
    return this.#first.state;
  }

  /** What the server said of itself at the latest connection. */
  get welcome(): Welcome | undefined {
    return this.#first.welcome;
  }

  get lastError(): Error | undefined {
    return this.#first.lastError;
  }

  /** How many shards there are, if that is known. */
  get knownCount(): number | undefined {
    return this.#known?.ports.length;
  }

  /** How many shards there are; connects if that is not known yet. Rejects as a call does. */
  async count(): Promise<number> {
    if (this.#known === undefined) {
      this.#learning ??= this.#first.call(PING, undefined).finally(() => {
        this.#learning = undefined;
      });
      await this.#learning;
    }
    const count = this.knownCount;
    invariant(count !== undefined, 'a connected server has told of its shards');
    return count;
  }

  /** The connection to a shard, whose number is below {@link knownCount}. */
  peer(shard: number): Peer {
    const peer = shard === 0 ? this.#first : this.#others[shard - 1];
    invariant(peer !== undefined, `shard ${shard} is one of the server's`);
    return peer;
  }

  async close(): Promise<void> {
    await Promise.all([this.#first, ...this.#others].map((peer) => peer.close()));
  }

  #learn({ incarnation, shards }: Welcome): void {
    const ports = shards.length === 0 ? [this.#options.address.port] : shards;
    const known = this.#known;
    this.#known = { incarnation, ports };
    if (known?.incarnation === incarnation) return;
    const old = this.#others;
    this.#others = ports.slice(1).map((port) => this.#makePeer(port));
    for (const peer of old) void peer.close();
  }

  #makePeer(port: number, onWelcome?: (welcome: Welcome) => void): Peer {
    const { address, secret, patienceMs, logger } = this.#options;
    // A Peer's changes count from 1: under the id of an earlier one they would be taken for its retries.
    const hello = { ...this.#options.hello, clientId: randomId() };
    return new Peer({
      address: { host: address.host, port },
      hello,
      secret,
      reading: 'exact',
      onConnect: (_call, welcome) => {
        onWelcome?.(welcome);
        return Promise.resolve();
      },
      patienceMs,
      logger,
      failures: BLOCK_FAILURES,
    });
  }
}
