/**
 * Hostfiles: which machines serve, one `host[:port]` per line, and which of those lines mean this machine.
 * Parsing is pure; names are resolved through an injected lookup.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';

/** A hostfile cannot be used. The message is one line: what is wrong; what to do. */
export class HostfileError extends Error {
  override name = 'HostfileError';
}

/** One line of a hostfile. */
export interface HostLine {
  /** Name or address, without brackets. */
  host: string;
  port: number | undefined;
  /** Line in the file, from 1. */
  line: number;
}

/** Hosts as they were written, and what they were written in. */
export interface HostList {
  /** For messages: `hostfile ./hosts`, or an option. */
  readonly name: string;
  readonly lines: readonly HostLine[];
}

/** A line whose host was found. */
export interface LocatedHost extends HostLine {
  /** In one spelling each; empty for this machine where its own name does not resolve. */
  addresses: string[];
  /** An interface of this machine has one of the addresses, or the name is this machine's. */
  thisMachine: boolean;
}

/** What has to be known of the network to locate hosts. */
export interface HostNetwork {
  /** This machine's name. */
  readonly hostname: string;
  /** Addresses of this machine's interfaces. */
  readonly localAddresses: readonly string[];
  /** All addresses of a name; rejects if it has none. */
  lookup(host: string): Promise<string[]>;
}

/** Time after which a name server that does not answer counts as failed. */
export const LOOKUP_TIMEOUT_MS = 10_000;

const MAX_HOSTFILE_BYTES = 16 * 1024 * 1024;

/** The lines of a hostfile; `name` stands for it in errors. Throws {@link HostfileError}. */
export function parseHostfile(text: string, name: string): HostLine[] {
  const hosts: HostLine[] = [];
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const entry = raw.replace(/#.*$/, '').trim();
    const line = index + 1;
    if (entry !== '') hosts.push(parseHost(entry, line, `hostfile ${name}, line ${line}`));
  }
  if (hosts.length === 0) {
    throw new HostfileError(`hostfile ${name} names no host; write one host[:port] per line`);
  }
  return hosts;
}

/** Hosts written in one argument, separated by commas; `name` is the option's. Throws {@link HostfileError}. */
export function parseHostList(text: string, name: string): HostList {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  if (entries.length === 0) {
    throw new HostfileError(`${name} names no host; write host[:port], separated by commas`);
  }
  const lines = entries.map((entry, index) => parseHost(entry, index + 1, name));
  return { name, lines };
}

function parseHost(entry: string, line: number, place: string): HostLine {
  const fail = (what: string, remedy: string): HostfileError =>
    new HostfileError(`${place}: ${what}; ${remedy}`);
  const shown = JSON.stringify(entry.slice(0, 80));
  const whole = entry.replace(/%.*$/, '');
  // An IPv6 address without brackets is all colons, so nothing in it can be a port.
  if (isIPv6(whole)) return { host: entry, port: undefined, line };
  const [, bracketed, plain, portText] =
    /^(?:\[([^\]]*)\]|([^\s:[\]]+))(?::(.*))?$/.exec(entry) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) throw fail(`${shown} is no host`, 'write host, host:port or [IPv6]:port');
  if (bracketed !== undefined && !isIPv6(bracketed.replace(/%.*$/, ''))) {
    throw fail(`"${bracketed}" is no IPv6 address`, 'brackets are for IPv6 addresses only');
  }
  if (plain !== undefined && !isIPv4(plain) && !isHostName(plain)) {
    throw fail(`${shown} is no host name`, 'write host, host:port or [IPv6]:port');
  }
  if (portText === undefined) return { host, port: undefined, line };
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) {
    throw fail(`port "${portText.slice(0, 20)}" is not valid`, 'give 1 to 65535');
  }
  return { host, port, line };
}

/** Letters, digits, `-` and `_` in labels of at most 63; all-numeric dotted names are mistyped addresses. */
function isHostName(text: string): boolean {
  return (
    text.length <= 253 &&
    !/^[\d.]+$/.test(text) &&
    /^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/i.test(text)
  );
}

/** Reads and parses a hostfile; `name` stands for it in errors. Rejects with {@link HostfileError}. */
export async function readHostfile(path: Buffer | string, name: string): Promise<HostLine[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new HostfileError(
      `cannot read hostfile ${name}: ${READ_FAILURES[code] ?? code}; give the path of a file with one host[:port] per line`,
      { cause: error },
    );
  }
  if (bytes.length > MAX_HOSTFILE_BYTES || bytes.includes(0)) {
    throw new HostfileError(`hostfile ${name} is no text file; write one host[:port] per line`);
  }
  return parseHostfile(bytes.toString('utf8'), name);
}

const READ_FAILURES: Partial<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'no permission',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
};

/** This machine's view of the network. */
export function systemNetwork(): HostNetwork {
  return {
    hostname: hostname(),
    localAddresses: Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map((address) => address.address),
    ),
    lookup: async (host) =>
      (await withTimeout(dnsLookup(host, { all: true }))).map((found) => found.address),
  };
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error('the name server does not answer'));
    }, LOOKUP_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Finds each host's addresses and whether it is this machine: by name (`localhost`, this host's name), or by address.
 * Of `known` names it does not matter whether they resolve here. Rejects with {@link HostfileError}.
 */
export async function locateHosts(
  list: HostList,
  network: HostNetwork,
  known?: string,
): Promise<LocatedHost[]> {
  const local = new Set(network.localAddresses.map(normalAddress));
  return Promise.all(
    list.lines.map(async (host): Promise<LocatedHost> => {
      const isOwnName = isThisName(host.host, network.hostname);
      const mayFail = isOwnName || (known !== undefined && sameHost(host.host, known));
      const addresses = (await resolve(host, network, { name: list.name, mayFail })).map(
        normalAddress,
      );
      const thisMachine =
        isOwnName || addresses.some((address) => isLoopback(address) || local.has(address));
      return { ...host, addresses, thisMachine };
    }),
  );
}

async function resolve(
  host: HostLine,
  network: HostNetwork,
  options: { name: string; mayFail: boolean },
): Promise<string[]> {
  if (isAddress(host.host)) return [host.host];
  try {
    return await network.lookup(host.host);
  } catch (error) {
    if (options.mayFail) return [];
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOTFOUND' ? 'no such host' : (code ?? message);
    const place = options.name.startsWith('-')
      ? options.name
      : `${options.name}, line ${host.line}`;
    throw new HostfileError(
      `${place}: "${host.host}" does not resolve (${why}); correct the name, or add it to /etc/hosts`,
      { cause: error },
    );
  }
}

/** IPv4 or IPv6, with or without a zone. */
export function isAddress(text: string): boolean {
  return isIPv4(text) || isIPv6(text.replace(/%.*$/, ''));
}

/** Two spellings of one host: case, the root's dot, and the ways to write an address do not count. */
export function sameHost(a: string, b: string): boolean {
  if (isAddress(a) && isAddress(b)) return normalAddress(a) === normalAddress(b);
  return a.toLowerCase().replace(/\.$/, '') === b.toLowerCase().replace(/\.$/, '');
}

function isThisName(host: string, ownName: string): boolean {
  return [ownName, ownName.split('.')[0] ?? ownName, 'localhost'].some((name) =>
    sameHost(host, name),
  );
}

/** Of IPv4's 127.0.0.0/8, or IPv6's ::1. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/** `host:port`, with brackets where IPv6 needs them. */
export function formatAddress(host: string, port: number): string {
  return isIPv6(host.replace(/%.*$/, '')) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** One spelling per address: no zone, IPv4 inside IPv6 as IPv4, IPv6 as the URL parser writes it. */
export function normalAddress(address: string): string {
  const bare = address.replace(/%.*$/, '').toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(bare) ? new URL(`http://[${bare}]/`).hostname.slice(1, -1) : bare;
}
