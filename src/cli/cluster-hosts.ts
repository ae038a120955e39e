/**
 * From hostfiles to {@link ClusterConfig}: fills in ports, finds which lines are this node, and refuses what cannot
 * work on any node. Every node that reads the same files numbers the servers alike.
 */
import {
  type HostList, type HostNetwork, HostfileError, type LocatedHost, formatAddress, isAddress, isLoopback, locateHosts,
  normalAddress, sameHost,
} from '../net/hostfile.ts'; // prettier-ignore
import type { ClusterConfig, ClusterHost, Deployment, OwnService } from './cluster-config.ts';
import { UsageError } from './errors.ts';

/** What the command line says of a mount's cluster. */
export interface ClusterInput extends Pick<
  ClusterConfig,
  'secret' | 'waitSeconds' | 'blockSizeIsExplicit'
> {
  deployment: Deployment;
  dataPort: number;
  metaPort: number;
  /** `-x`: how many of the metadata hosts serve. */
  metaServerCount: number | undefined;
  data: HostList | undefined;
  meta: HostList | undefined;
  /** `--node`: host or host:port. */
  node: string | undefined;
  /** Without `--node`, the first of these that a list names is this node. */
  nodeGuesses: readonly string[];
}

/** Undefined for a mount that is a file system by itself. Throws {@link UsageError}, rejects with {@link HostfileError}. */
export async function clusterOf(
  input: ClusterInput,
  network: HostNetwork,
): Promise<ClusterConfig | undefined> {
  const located = {
    meta: await locatedHosts(firstHosts(input), { ...input, port: input.metaPort }, network),
    data: await locatedHosts(input.data, { ...input, port: input.dataPort }, network),
  };
  const guess = input.nodeGuesses.find(
    (name) => hasHost(located.meta, name) || hasHost(located.data, name),
  );
  const [meta, data] = markNode([located.meta, located.data], input.node ?? guess);
  if (input.deployment === 0 && isAlone(meta) && isAlone(data)) return undefined;
  requireLists(input, { meta, data });
  const servesData = input.deployment < 2;
  const own = {
    meta: input.deployment === 0 ? ownLine(meta, 'optional') : undefined,
    data: servesData ? ownLine(data, 'required') : undefined,
  };
  const { secret, waitSeconds, blockSizeIsExplicit, deployment } = input;
  return {
    deployment,
    metaServers: meta?.hosts ?? [],
    blockServers: data?.hosts,
    ownMeta: own.meta === undefined ? undefined : serviceAt(own.meta, network),
    ownBlocks: own.data === undefined ? undefined : serviceAt(own.data, network),
    nearBlockServer: own.data?.index ?? nearLine(data),
    secret,
    waitSeconds,
    blockSizeIsExplicit,
  };
}

/** The servers of one kind by number, and what they were written in. */
export interface NamedHosts {
  name: string;
  hosts: readonly ClusterHost[];
}

/** Fills in ports and finds addresses. Rejects with {@link HostfileError} also when a server stands there twice. */
export async function locatedHosts(
  list: HostList | undefined,
  options: { port: number; node: string | undefined },
  network: HostNetwork,
): Promise<NamedHosts | undefined> {
  if (list === undefined) return undefined;
  const known = options.node === undefined ? undefined : splitNode(options.node).host;
  const located = await locateHosts(list, network, known);
  refuseDuplicates(located, { ...options, name: list.name });
  const hosts = located.map(({ host, port, addresses, thisMachine }): ClusterHost => ({
    host,
    port: port ?? options.port,
    addresses,
    thisMachine,
  }));
  return { name: list.name, hosts };
}

/**
 * With `--node`, this node is what it names, in whatever spelling, and nothing else is; without, it is every line
 * that means this machine. Throws {@link HostfileError} if no list has it.
 */
export function markNode<T extends NamedHosts | undefined>(
  lists: readonly T[],
  node: string | undefined,
): T[] {
  if (node === undefined) return [...lists];
  const all = lists.flatMap((list) => list?.hosts ?? []);
  const named = all.filter((host) => isNamed(host, node));
  if (all.length > 0 && named.length === 0) {
    const names = lists.flatMap((list) => (list === undefined ? [] : [list.name])).join(' or ');
    throw new HostfileError(`--node ${node} is not in ${names}; give a host as it stands there`);
  }
  const addresses = new Set(named.flatMap((host) => host.addresses));
  const isNode = (host: ClusterHost): boolean =>
    isNamed(host, node) || host.addresses.some((address) => addresses.has(address));
  return lists.map((list) => {
    if (list === undefined) return list;
    // Of several servers on the host, a port names one.
    const exact = list.hosts.filter((host) => isNamed(host, node));
    const own = exact.length > 0 ? exact : list.hosts.filter(isNode);
    return {
      ...list,
      hosts: list.hosts.map((host) => ({ ...host, thisMachine: own.includes(host) })),
    };
  });
}

/** The line of a list that is this node. Throws {@link HostfileError} if there are several, or none but one is needed. */
export function ownLine(
  list: NamedHosts | undefined,
  need: 'required' | 'optional',
): { index: number; host: ClusterHost } | undefined {
  const own = ownLines(list);
  const [first] = own;
  if (own.length > 1) {
    const shown = own.map(({ host }) => formatAddress(host.host, host.port)).join(', ');
    throw new HostfileError(
      `several lines of ${list?.name ?? ''} are this machine (${shown}); say which one is this node with --node`,
    );
  }
  if (first === undefined && need === 'required') {
    throw new HostfileError(
      `${list?.name ?? ''} does not name this node, which is to serve there; add it, or say with --node which line it is`,
    );
  }
  return first;
}

/** Lines that are this node, with their numbers. */
export function ownLines(list: NamedHosts | undefined): { index: number; host: ClusterHost }[] {
  return (list?.hosts ?? []).flatMap((host, index) => (host.thisMachine ? [{ index, host }] : []));
}

/** What a server on this node binds. */
export function serviceAt(
  { index, host }: { index: number; host: ClusterHost },
  network: HostNetwork,
): OwnService {
  return { index, listenHost: listenHostOf(host, network), port: host.port };
}

/**
 * The address of this machine that others reach `host` by. All addresses, where that is unknown: the name resolves
 * to none of this machine's, or to 127.0.1.1, as distributions write for a host's own name into /etc/hosts.
 */
export function listenHostOf(
  host: Pick<ClusterHost, 'host' | 'addresses'>,
  network: HostNetwork,
): string {
  if (isAddress(host.host)) return host.host;
  const local = new Set(network.localAddresses.map(normalAddress));
  const own = host.addresses.find((address) => local.has(address) && !isLoopback(address));
  if (own !== undefined) return own;
  const usual = sameHost(host.host, 'localhost') ? [] : ['127.0.0.1', '127.0.1.1', '::1'];
  const loop = host.addresses.find((address) => isLoopback(address) && !usual.includes(address));
  return loop ?? everyAddress(network);
}

/** What binds all addresses: `::` takes IPv4 as well, where the machine has IPv6 at all. */
export function everyAddress(network: HostNetwork): string {
  return network.localAddresses.some((address) => address.includes(':')) ? '::' : '0.0.0.0';
}

/** `host`, `host:port` or `[IPv6]:port` as `--node` takes it. */
function splitNode(node: string): { host: string; port: number | undefined } {
  if (isAddress(node)) return { host: node, port: undefined };
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(node) ?? [];
  return { host: bracketed ?? plain ?? node, port: port === undefined ? undefined : Number(port) };
}

/** Whether a list has a host by this name. */
export function hasHost(list: NamedHosts | undefined, node: string): boolean {
  return list?.hosts.some((host) => isNamed(host, node)) === true;
}

function isNamed(host: ClusterHost, node: string): boolean {
  const named = splitNode(node);
  if (named.port !== undefined && named.port !== host.port) return false;
  const plain = isAddress(named.host) ? normalAddress(named.host) : undefined;
  return sameHost(host.host, named.host) || (plain !== undefined && host.addresses.includes(plain));
}

/** The first `-x` of the metadata hosts. Throws {@link UsageError} if there are fewer. */
export function firstHosts({
  meta,
  metaServerCount,
}: Pick<ClusterInput, 'meta' | 'metaServerCount'>): HostList | undefined {
  if (metaServerCount === undefined) return meta;
  const count = meta?.lines.length ?? 1;
  if (metaServerCount > count) {
    throw new UsageError(
      `-x asks for ${metaServerCount} metadata servers, but ${meta === undefined ? 'there is no metadata hostfile (-a)' : `${meta.name} names ${count}`}; give as many hosts with -a, or a smaller -x`,
    );
  }
  return meta === undefined ? undefined : { ...meta, lines: meta.lines.slice(0, metaServerCount) };
}

function isAlone(list: NamedHosts | undefined): boolean {
  return list === undefined || (list.hosts.length === 1 && list.hosts[0]?.thisMachine === true);
}

/** Each deployment needs to be told of the servers that it does not bring along. */
function requireLists(
  input: ClusterInput,
  lists: { meta: NamedHosts | undefined; data: NamedHosts | undefined },
): void {
  const { deployment } = input;
  if (lists.meta === undefined) {
    throw new UsageError(
      deployment === 0
        ? `${lists.data?.name ?? ''} names several nodes, but nothing says which of them keep the metadata; name them with -a`
        : `deployment (-d) ${deployment} needs metadata servers; name their hosts with -a FILE or --meta-hosts HOST`,
    );
  }
  if (lists.data === undefined && deployment < 2) {
    throw new UsageError(
      `deployment (-d) ${deployment} on several nodes keeps data on the mounting nodes; name them with -h`,
    );
  }
}

/** With `-d 2` the server on this node, if there is exactly one. */
function nearLine(list: NamedHosts | undefined): number | undefined {
  const own = ownLines(list);
  return own.length === 1 ? own[0]?.index : undefined;
}

/** Two lines that lead to one socket would make one server count twice. */
function refuseDuplicates(
  hosts: readonly LocatedHost[],
  options: { port: number; name: string },
): void {
  const seen = new Map<string, LocatedHost>();
  for (const host of hosts) {
    const port = host.port ?? options.port;
    const names = host.addresses.length > 0 ? host.addresses : [host.host.toLowerCase()];
    for (const name of new Set(names)) {
      const key = formatAddress(name, port);
      const other = seen.get(key);
      if (other !== undefined) {
        throw new HostfileError(
          `${options.name} names one server twice, as "${other.host}" and "${host.host}" (both are ${key}); remove one, or give them different ports`,
        );
      }
      seen.set(key, host);
    }
  }
}
