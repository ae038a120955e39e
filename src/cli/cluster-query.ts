/** Asks the servers of a running file system: how they are, and to end. It joins nothing, and keeps no connection. */
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import { silentLogger } from '../log.ts';
import {
  type MetaStatus, STATUS, STOP, type StopAnswer, clusterFailure,
} from '../meta/cluster-protocol.ts'; // prettier-ignore
import { formatAddress, parseHostList } from '../net/hostfile.ts';
import type { ClusterRequest, ServerAddress } from './cluster-config.ts';
import { secretOf } from './secret-options.ts';

/** How long a server that is there may take to answer. */
const ANSWER_MS = 3000;

/** A metadata server, and what it said. */
export interface AskedServer {
  /** `host:port`. */
  address: string;
  answer: MetaStatus | Error;
}

/** Asks all metadata servers, also those that only the first one knows; in their order. Rejects with SecretError. */
export async function askStatus(request: ClusterRequest): Promise<AskedServer[]> {
  const secret = await secretOf(request.secret);
  const ask = async (server: ServerAddress): Promise<AskedServer> => {
    const address = formatAddress(server.host, server.port);
    const answer = await calling(server, { ...request, secret }, (peer, deadlineMs) =>
      peer.call(STATUS, undefined, { deadlineMs }),
    ).then(
      ({ value }) => value,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    return { address, answer };
  };
  const named = await Promise.all(request.metaServers.map(ask));
  const known = named.flatMap(({ answer }) => (answer instanceof Error ? [] : (answer.metaServers ?? []))); // prettier-ignore
  const missing = [...new Set(known)].filter(
    (address) => !named.some((server) => server.address === address),
  );
  // Asked by one of several names, a server is not another one.
  const numbers = new Set(named.map(numberOf));
  const others = await Promise.all(missing.map((address) => ask(addressOf(address))));
  return [...named, ...others.filter((server) => !numbers.has(numberOf(server)))].sort(
    (a, b) => orderOf(a) - orderOf(b),
  );
}

function numberOf({ answer, address }: AskedServer): string {
  return answer instanceof Error || answer.number === null ? address : String(answer.number);
}

/** By number; those that have none at the end. */
function orderOf({ answer }: AskedServer): number {
  return answer instanceof Error ? Infinity : (answer.number ?? Infinity);
}

/**
 * Asks metadata server 0 to end all servers of the file system, itself last. Rejects with ClusterError while it is
 * mounted somewhere, unless forced.
 */
export async function askToStop(request: ClusterRequest, force: boolean): Promise<StopAnswer> {
  const [first] = request.metaServers;
  if (first === undefined) return { servers: [] };
  const secret = await secretOf(request.secret);
  const { value } = await calling(first, { ...request, secret }, (peer, deadlineMs) =>
    peer.call(STOP, { force }, { deadlineMs }),
  );
  return value;
}

async function calling<T>(
  address: ServerAddress,
  options: { secret: Buffer | undefined; waitSeconds: number },
  work: (peer: Peer, deadlineMs: number) => Promise<T>,
): Promise<T> {
  const patienceMs = Math.max(options.waitSeconds * 1000, 100);
  const peer = new Peer({
    address,
    hello: { role: 'meta', clientId: randomId(), clusterId: null },
    secret: options.secret,
    reading: 'small',
    patienceMs,
    failures: [clusterFailure],
    logger: silentLogger,
  });
  try {
    // Why the server is away says more than that it did not answer in time.
    return await work(peer, patienceMs + ANSWER_MS);
  } finally {
    await peer.close();
  }
}

function addressOf(text: string): ServerAddress {
  const [line] = parseHostList(text, 'the list of metadata servers').lines;
  return { host: line?.host ?? text, port: line?.port ?? 0 };
}
