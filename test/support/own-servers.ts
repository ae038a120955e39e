/** Servers of a file system in this process, on free ports of loopback addresses, closed when the test ends. */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { SystemClock } from '../../src/clock.ts';
import { BlockServer, type BlockServerOptions } from '../../src/cli/block-server.ts';
import type { RootLogger } from '../../src/cli/logging.ts';
import { MetaServer, type MetaServerOptions } from '../../src/cli/meta-server.ts';
import { silentLogger } from '../../src/log.ts';
import { ClusterClient, type ClusterClientOptions } from '../../src/meta/cluster-client.ts';
import { clusterFailure, type AttachRequest } from '../../src/meta/cluster-protocol.ts';
import type { Address } from '../../src/net/call.ts';
import { formatAddress } from '../../src/net/call.ts';
import { randomId } from '../../src/net/handshake.ts';
import { Peer } from '../../src/net/peer.ts';

export const SECRET = randomBytes(32);

/** As hostfiles name them; where the servers really listen, the map tells. */
export const BLOCK_LIST = ['127.0.0.4:5555', '127.0.0.5:5555'];

export const quiet: RootLogger = { ...silentLogger, component: () => silentLogger };

export const LAYOUT = { policy: 'RR', blockSizeBytes: 1024 * 1024, replication: 1 } as const;

export const MOUNT: AttachRequest = {
  name: 'node1:/mnt/imss',
  list: BLOCK_LIST,
  layout: LAYOUT,
  blockSizeIsExplicit: false,
};

/** A metadata server without a number, unless `options` say otherwise. */
export async function startMeta(
  t: ExecutionContext,
  options: Partial<MetaServerOptions> = {},
): Promise<MetaServer> {
  const server = await MetaServer.start({
    listen: { host: '127.0.0.2', port: 0 },
    index: undefined,
    metaServers: undefined,
    metadataFile: undefined,
    secret: SECRET,
    logger: quiet,
    ...options,
  });
  t.teardown(() => server.stop());
  return server;
}

/** Block server `index` of {@link BLOCK_LIST}, registered at `meta`. */
export async function startBlocks(
  t: ExecutionContext,
  meta: Address,
  options: Partial<BlockServerOptions> = {},
): Promise<BlockServer> {
  const host = options.host ?? `127.0.0.${4 + (options.index ?? 0)}`;
  const server = await BlockServer.start({
    listen: { host, port: 0 },
    index: 0,
    list: BLOCK_LIST,
    host,
    metaServer: meta,
    capacityBytes: 64 * 1024 * 1024,
    blockSizeBytes: LAYOUT.blockSizeBytes,
    threads: 1,
    secret: SECRET,
    logger: quiet,
    tell: () => undefined,
    ...options,
  });
  t.teardown(() => server.stop());
  return server;
}

/** A client of the metadata servers at `metas`, which joins as {@link MOUNT} unless `options` say otherwise. */
export async function joinCluster(
  t: ExecutionContext,
  metas: readonly Address[],
  options: Partial<ClusterClientOptions> = {},
): Promise<ClusterClient> {
  const client = await ClusterClient.connect({
    metaServers: metas,
    secret: SECRET,
    attach: MOUNT,
    waitMs: 20_000,
    tell: () => undefined,
    clock: new SystemClock(),
    logger: silentLogger,
    ...options,
  });
  t.teardown(() => client.close());
  return client;
}

/** A bare connection to a metadata server. */
export function peerOf(t: ExecutionContext, address: Address): Peer {
  const peer = new Peer({
    address,
    hello: { role: 'meta', clientId: randomId(), clusterId: null },
    secret: SECRET,
    reading: 'small',
    failures: [clusterFailure],
    logger: silentLogger,
  });
  t.teardown(() => peer.close());
  return peer;
}

/** Addresses as options name them. */
export function addressesOf(...servers: readonly { address: Address }[]): string[] {
  return servers.map(({ address }) => formatAddress(address));
}
