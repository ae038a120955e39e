/** Frees the blocks of a dataset on all block servers of the map; what a metadata server's reaping needs of them. */
import { RemoteBlockStore } from '../blocks/client.ts';
import { TransferBuffers } from '../blocks/transfer-buffers.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { Logger } from '../log.ts';
import { formatAddress } from '../net/call.ts';
import { randomId } from '../net/handshake.ts';
import type { ServerMap } from '../meta/server-map.ts';
import type { BlockReaper } from '../meta/store.ts';

/** Nothing but small messages goes through. */
const BUFFER_BYTES = 1024 * 1024;

export interface ClusterReaperOptions {
  /** The present map and the file system that it is of; undefined while it is not known. */
  readonly servers: () => { clusterId: string; map: ServerMap } | undefined;
  readonly secret: Buffer | undefined;
  readonly logger: Logger;
}

export class ClusterReaper implements BlockReaper {
  readonly #options: ClusterReaperOptions;
  readonly #clientId = randomId();
  readonly #buffers = new TransferBuffers(BUFFER_BYTES);
  /** By address. */
  #stores = new Map<string, RemoteBlockStore>();
  #version = 0;
  #closed = false;

  constructor(options: ClusterReaperOptions) {
    this.#options = options;
  }

  /** Throws at once where a server is known to be away, so that the rest of what is to be freed waits with it. */
  free(inode: InodeId): PromiseLike<void> {
    const servers = this.#options.servers();
    if (servers === undefined || this.#closed) {
      throw new FsError('EIO', 'the block servers are not known yet');
    }
    this.#follow(servers.clusterId, servers.map);
    const stores = [...this.#stores.values()];
    for (const { shards, name } of stores) {
      if (shards.state === 'away') throw new FsError('EIO', `block server ${name} is away`);
    }
    return allFreed(stores.map((store) => store.free(inode)));
  }

  /** Servers where none has ever registered hold nothing. */
  #follow(clusterId: string, map: ServerMap): void {
    if (map.version === this.#version) return;
    this.#version = map.version;
    const { secret, logger } = this.#options;
    const former = this.#stores;
    this.#stores = new Map();
    for (const { life } of map.blocks) {
      const [port] = life?.ports ?? [];
      if (life === undefined || port === undefined) continue;
      const address = { host: life.host, port };
      const name = formatAddress(address);
      const store =
        former.get(name) ??
        new RemoteBlockStore({
          address,
          hello: { role: 'blocks', clientId: this.#clientId, clusterId },
          secret,
          buffers: this.#buffers,
          logger,
        });
      former.delete(name);
      this.#stores.set(name, store);
    }
    for (const store of former.values()) void store.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#stores.values()].map((store) => store.close()));
  }
}

/** Rejects when all have settled, if any has failed: none is under way afterwards. */
async function allFreed(frees: readonly PromiseLike<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(frees)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
