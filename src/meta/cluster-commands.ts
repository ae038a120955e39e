/** What commands ask of a cluster without joining it: how its servers are, and that they end. */
import type { Logger } from '../log.ts';
import { type Address, formatAddress } from '../net/call.ts';
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import {
  clusterFailure,
  type MetaStatus,
  STATUS,
  STOP,
  type StopAnswer,
} from './cluster-protocol.ts';

export interface ClusterCommandOptions {
  /** By number. */
  readonly metaServers: readonly Address[];
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  /** How long one server is waited for. */
  readonly waitMs: number;
  readonly logger: Logger;
}

/** One metadata server's answer, or why there is none. */
export interface ServerAnswer {
  /** `host:port` as it was asked. */
  readonly address: string;
  readonly status: MetaStatus | undefined;
  readonly error: Error | undefined;
}

function peerTo(address: Address, { secret, logger, waitMs }: ClusterCommandOptions): Peer {
  return new Peer({
    address,
    hello: { role: 'meta', clientId: randomId(), clusterId: null },
    secret,
    reading: 'small',
    patienceMs: waitMs,
    failures: [clusterFailure],
    logger,
  });
}

/** Asks all metadata servers at once. Never rejects. */
export async function clusterStatus(options: ClusterCommandOptions): Promise<ServerAnswer[]> {
  return Promise.all(options.metaServers.map((address) => statusOf(address, options)));
}

async function statusOf(address: Address, options: ClusterCommandOptions): Promise<ServerAnswer> {
  const peer = peerTo(address, options);
  const name = formatAddress(address);
  try {
    const { value } = await peer.call(STATUS, undefined, { deadlineMs: options.waitMs });
    return { address: name, status: value, error: undefined };
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    return { address: name, status: undefined, error: peer.lastError ?? failure };
  } finally {
    await peer.close();
  }
}

/** How long the servers may take to end after they were asked. */
const END_MS = 20_000;
const CHECK_MS = 100;

export interface Stopped extends StopAnswer {
  /** Metadata server 0 was gone in time; it ends last. */
  readonly ended: boolean;
}

/**
 * Asks metadata server 0 to stop all servers, and waits until it has ended itself. Rejects with ClusterError `in-use`,
 * whose message names the mounts, unless `force` is set, and as a call does where it cannot be reached.
 */
export async function stopServers(
  options: ClusterCommandOptions & { force: boolean },
): Promise<Stopped> {
  const [address] = options.metaServers;
  if (address === undefined) throw new TypeError('no metadata server');
  const peer = peerTo(address, options);
  try {
    const { value } = await peer.call(
      STOP,
      { force: options.force },
      { deadlineMs: options.waitMs },
    );
    const untilMs = performance.now() + END_MS;
    while (peer.state === 'ready' && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
    }
    return { ...value, ended: peer.state !== 'ready' };
  } finally {
    await peer.close();
  }
}
