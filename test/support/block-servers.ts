/** Block servers on loopback, and stores that talk to them. */
import { randomBytes } from 'node:crypto';
import { RemoteBlockStore } from '../../src/blocks/client.ts';
import { startBlockShards, type BlockShards } from '../../src/blocks/threads.ts';
import { TransferBuffers } from '../../src/blocks/transfer-buffers.ts';
import { silentLogger } from '../../src/log.ts';
import type { Address } from '../../src/net/call.ts';
import { type Hello, randomId } from '../../src/net/handshake.ts';
import { MIB } from './block-datasets.ts';

export const SECRET = randomBytes(32);
export const CLUSTER = 'c'.repeat(32);

export interface TestServerOptions {
  readonly threads?: number;
  readonly capacityBytes?: number;
  readonly blockSizeBytes?: number;
  readonly bornEpoch?: number;
  readonly port?: number;
  readonly onFailure?: (error: Error) => void;
}

/** A block server that has joined a file system, on a port of its own. */
export async function startBlockServer(options: TestServerOptions = {}): Promise<BlockShards> {
  const { capacityBytes = 64 * MIB, blockSizeBytes = MIB, threads = 1, port = 0 } = options;
  const shards = await startBlockShards({
    address: { host: '127.0.0.1', port },
    threads,
    capacityBytes,
    blockSizeBytes,
    secret: SECRET,
    logger: silentLogger,
    onFailure:
      options.onFailure ??
      ((error) => {
        throw error;
      }),
  });
  await shards.setBornEpoch(options.bornEpoch ?? 0, CLUSTER, 0);
  return shards;
}

/** A client of the server at `address`. */
export function connectTo(
  address: Address,
  options: { buffers?: TransferBuffers; patienceMs?: number; name?: string; hello?: Hello } = {},
): RemoteBlockStore {
  return new RemoteBlockStore({
    address,
    hello: options.hello ?? { role: 'blocks', clientId: randomId(), clusterId: CLUSTER },
    secret: SECRET,
    buffers: options.buffers ?? new TransferBuffers(64 * MIB),
    patienceMs: options.patienceMs,
    name: options.name,
    logger: silentLogger,
  });
}
