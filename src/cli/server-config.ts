/**
 * From the command line of a server to its checked configuration: which line of which hostfile it is, where it
 * listens, and what else there is. Launchers' ranks tell the servers of one host apart.
 */
import { type RawServerSettings, optionalSize, parseRootUri, serverCount, validateServerSettings } from '../config.ts'; // prettier-ignore
import { type HostNetwork, HostfileError, isLoopback, locateHosts, parseHostList } from '../net/hostfile.ts'; // prettier-ignore
import { textOf } from './bytes-path.ts';
import type { BlockServerConfig, MetaServerConfig, OwnService, ServerAddress } from './cluster-config.ts'; // prettier-ignore
import {
  type NamedHosts, everyAddress, firstHosts, hasHost, listenHostOf, locatedHosts, markNode, ownLine, ownLines, serviceAt,
} from './cluster-hosts.ts'; // prettier-ignore
import {
  INSECURE_NOTE,
  absoluteFile,
  hostsOf,
  metaHostsOf,
  nodeOf,
  secretOf,
} from './cluster-options.ts';
import { UsageError } from './errors.ts';
import { type LaunchedAs, launchedAs, nodeNames } from './launcher.ts';
import type { ServerLine } from './server-options.ts';

/** A server that nothing speaks against so far. */
export type ServerPlan = { notes: string[] } & (
  { kind: 'meta'; config: MetaServerConfig } | { kind: 'blocks'; config: BlockServerConfig }
);

/** What has to be known of this machine and of how the process was started. */
export interface ServerSurroundings {
  network: HostNetwork;
  memoryBytes: number;
  env: Readonly<Record<string, string | undefined>>;
}

/** Checks everything that can be checked before a port is opened. Rejects with one line: what is wrong; what to do. */
export async function planServer(
  line: ServerLine,
  around: ServerSurroundings,
): Promise<ServerPlan> {
  const listen = listenOf(line);
  const plan = line.kind === 'meta' ? await planMeta(line, listen, around) : await planBlocks(line, listen, around); // prettier-ignore
  if (plan.config.secret.insecure) plan.notes.push(INSECURE_NOTE);
  return plan;
}

async function planMeta(
  line: ServerLine,
  listen: string | undefined,
  around: ServerSurroundings,
): Promise<ServerPlan> {
  const notes: string[] = [];
  if (optionalSize('buffer size', textOf(line.positional?.bufferSize ?? '0')) !== undefined) {
    notes.push(
      'the buffer size is not used: a metadata server takes the memory that its names need',
    );
  }
  const settings = validateServerSettings({ metaPort: text(line.port) }, { ...around, serversHere: 1 }); // prettier-ignore
  const port = settings.metaPort;
  const node = nodeOf(line, around.env);
  const metaServerCount = line.metaServers === undefined ? undefined : serverCount(textOf(line.metaServers)); // prettier-ignore
  const hosts = firstHosts({ meta: await metaHostsOf(line), metaServerCount });
  const list = await locatedHosts(hosts, { port, node }, around.network);
  const own = list === undefined ? undefined : ownServer(list, { line, listen, ...around });
  const listenHost = listen ?? own?.listenHost ?? (await bareListenHost(node, around));
  return {
    kind: 'meta',
    notes,
    config: {
      listenHost,
      port: own?.port ?? port,
      index: own?.index,
      metaServers: list?.hosts,
      metadataFile: absoluteFile('-M', line.metadataFile),
      secret: secretOf(line),
    },
  };
}

async function planBlocks(
  line: ServerLine,
  listen: string | undefined,
  around: ServerSurroundings,
): Promise<ServerPlan> {
  const { network, env } = around;
  if (line.positional?.rootUri !== undefined) parseRootUri(textOf(line.positional.rootUri));
  const notes: string[] = [];
  const ports = validateServerSettings({ dataPort: text(line.port), metaPort: text(line.metaPort) }, { ...around, serversHere: 1 }); // prettier-ignore
  const node = nodeOf(line, around.env);
  const meta = await locatedHosts(await metaHostsOf(line), { port: ports.metaPort, node: undefined }, network); // prettier-ignore
  if (meta === undefined) {
    throw new UsageError(
      'no metadata server is given to register at; name their hosts with -a FILE or --meta-hosts HOST',
    );
  }
  const launched = launchedAs(env);
  const list = await locatedHosts(await hostsOf(line.hostfile), { port: ports.dataPort, node }, network); // prettier-ignore
  const place =
    list === undefined
      ? await onlyServer({ listen, node, port: ports.dataPort, launched }, around)
      : placeIn(list, { line, listen, launched, notes, ...around });
  const settings = validateServerSettings(rawSettings(line), { ...around, serversHere: place.serversHere }); // prettier-ignore
  return {
    kind: 'blocks',
    notes,
    config: {
      listenHost: listen ?? place.own.listenHost,
      port: place.own.port,
      index: place.own.index,
      blockServers: place.servers,
      metaServers: meta.hosts.map(addressOf),
      capacityBytes: settings.capacityBytes,
      blockSizeBytes: settings.blockSizeBytes,
      threads: settings.threads,
      secret: secretOf(line),
    },
  };
}

function rawSettings(line: ServerLine): RawServerSettings {
  const bufferSize = textOf(line.positional?.bufferSize ?? '0');
  const memory = optionalSize('buffer size', bufferSize);
  if (memory !== undefined && line.capacity !== undefined) {
    throw new UsageError(`the buffer size ${bufferSize} and -S ${textOf(line.capacity)} both say how much memory blocks may take; give 0 for one of them`); // prettier-ignore
  }
  return {
    blockSize: text(line.blockSize),
    capacity: memory === undefined ? text(line.capacity) : String(memory),
    threads: text(line.threads),
  };
}

/** Where a block server stands among all. */
interface Place {
  own: OwnService;
  servers: ServerAddress[];
  /** How many there are on this host. */
  serversHere: number;
}

/** A block server without a hostfile is the only one. */
async function onlyServer(
  input: { listen: string | undefined; node: string | undefined; port: number; launched: LaunchedAs | undefined },
  around: ServerSurroundings,
): Promise<Place> {
  const { listen, node, port, launched } = input;
  if (launched !== undefined && launched.size > 1) {
    throw new UsageError(
      `${launched.size} block servers are launched, and each needs to know the others; name their hosts with -h FILE`,
    );
  }
  const wildcards = ['0.0.0.0', '::'];
  const named = listen === undefined || wildcards.includes(listen) ? undefined : listen;
  const host = node ?? named ?? around.network.hostname;
  const listenHost = listen ?? (await bareListenHost(node, around));
  return { own: { index: 0, listenHost, port }, servers: [{ host, port }], serversHere: 1 };
} // prettier-ignore

/** What {@link placeIn} and {@link ownServer} go by. */
interface PlaceInput extends ServerSurroundings {
  line: ServerLine;
  listen: string | undefined;
}

/**
 * A launcher that starts more servers than the file has lines starts several on a host: server `line + round * lines`
 * takes the port of its line plus the round, and the local rank is the round.
 */
function placeIn(
  list: NamedHosts,
  input: PlaceInput & { launched: LaunchedAs | undefined; notes: string[] },
): Place {
  const { line, launched, notes } = input;
  const lines = list.hosts.length;
  const wanted = line.servers === undefined ? undefined : serverCount(textOf(line.servers));
  const count = launched === undefined ? lines : Math.max(wanted ?? launched.size, lines);
  if (wanted !== undefined && wanted !== count) {
    notes.push(`${wanted} servers are announced, but ${list.name} names ${lines}; there will be ${lines}`); // prettier-ignore
  }
  const rounds = Math.ceil(count / lines);
  const own = ownServer(list, input);
  const servers = Array.from({ length: count }, (_unused, number) => {
    const host = list.hosts[number % lines] ?? { host: '', port: 0 };
    return { host: host.host, port: host.port + Math.floor(number / lines) };
  });
  refuseSharedPorts(servers, list.name);
  if (rounds === 1) return { own, servers, serversHere: Math.max(1, sharers(list, own.index)) };
  const round = launched?.localRank ?? 0;
  const index = own.index + round * lines;
  if (index >= count) {
    throw new HostfileError(
      `${round + 1} servers or more are launched on one host, but ${count} servers on ${lines} hosts leave it fewer; let the launcher spread them evenly`,
    );
  }
  if (index === 0) notes.push(`mounts need a hostfile of all servers: ${servers.map(({ host, port }) => `${host}:${port}`).join(' ')}`); // prettier-ignore
  return { own: { ...own, index, port: own.port + round }, servers, serversHere: rounds };
}

/** Ports that are counted up must not run into another line's. */
function refuseSharedPorts(servers: readonly ServerAddress[], name: string): void {
  const seen = new Set<string>();
  for (const { host, port } of servers) {
    const key = `${host.toLowerCase()} ${port}`;
    if (seen.has(key) || port > 65_535) {
      throw new HostfileError(
        `port ${port} of ${host} is needed twice or does not exist when several servers share a host of ${name}; leave room between the ports there`,
      );
    }
    seen.add(key);
  }
}

/** How many lines of the list share a host with this one. */
function sharers(list: NamedHosts, index: number): number {
  const addresses = new Set(list.hosts[index]?.addresses);
  return list.hosts.filter((host) => host.addresses.some((address) => addresses.has(address)))
    .length;
}

/** The line that this server is. Throws {@link HostfileError}. */
function ownServer(list: NamedHosts, input: PlaceInput): OwnService {
  const marked = markOwn(list, input);
  const own = ownLines(marked);
  const found = own.length > 1 ? oneOfSeveral(marked, own, input) : undefined;
  const chosen = found ?? ownLine(marked, 'required');
  if (chosen === undefined) throw new HostfileError(`${list.name} does not name this node`);
  return serviceAt(chosen, input.network);
}

/** By what was said, by what the launcher calls this node, or by the machine's own names and addresses. */
function markOwn(list: NamedHosts, input: PlaceInput): NamedHosts {
  const node = nodeOf(input.line, input.env);
  if (node !== undefined) return markNode([list], node)[0] ?? list;
  const guesses = [input.listen, ...nodeNames(input.env)];
  const guess = guesses.find((name) => name !== undefined && hasHost(list, name));
  return (guess === undefined ? undefined : markNode([list], guess)[0]) ?? list;
}

type NumberedHost = ReturnType<typeof ownLines>[number];

/** Several lines are this machine: its servers are told apart by port or rank. */
function oneOfSeveral(
  list: NamedHosts,
  own: readonly NumberedHost[],
  { line, env }: PlaceInput,
): NumberedHost | undefined {
  if (line.port !== undefined) {
    const atPort = own.filter(({ host }) => String(host.port) === line.port);
    if (atPort.length === 1) return atPort[0];
  }
  const launched = launchedAs(env);
  if (launched === undefined) return undefined;
  const addresses = new Set(own[0]?.host.addresses);
  const isOneHost = own.every(({ host }) => host.addresses.some((each) => addresses.has(each)));
  if (isOneHost) return own[launched.localRank % own.length];
  return own.find(({ index }) => index === launched.rank % list.hosts.length);
}

/** What binds where no hostfile says more; a launcher's guess counts only for loopback addresses that stand for nodes. */
async function bareListenHost(
  node: string | undefined,
  { network, env }: ServerSurroundings,
): Promise<string> {
  if (node !== undefined) return listenHostOfName(node, network);
  for (const name of nodeNames(env)) {
    const host = await listenHostOfName(name, network);
    if (isLoopback(host)) return host;
  }
  return everyAddress(network);
}

async function listenHostOfName(name: string, network: HostNetwork): Promise<string> {
  const list = parseHostList(name, '--node');
  const [host] = await locateHosts(list, network, list.lines[0]?.host);
  return host === undefined ? everyAddress(network) : listenHostOf(host, network);
}

function listenOf(line: ServerLine): string | undefined {
  if (line.listen === undefined) return undefined;
  const [host, second] = parseHostList(textOf(line.listen), '--listen').lines;
  if (host === undefined || second !== undefined || host.port !== undefined) {
    throw new UsageError('--listen takes one name or address without a port; give the port with --port'); // prettier-ignore
  }
  return host.host;
}

function addressOf({ host, port }: ServerAddress): ServerAddress {
  return { host, port };
}

function text(value: string | undefined): string | undefined {
  return value === undefined ? undefined : textOf(value);
}
