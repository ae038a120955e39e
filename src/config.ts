/**
 * What can be set about a file system: defaults, limits with their units, and the one place that checks them.
 * A {@link Settings} value has been validated; nothing checks it again.
 */
import { FsError } from './errno.ts';
import { POLICIES, policyNamed, type PolicyName } from './policy.ts';
import { formatSize, parseSize } from './size.ts';
import { decodeUri } from './uri.ts';

/** A setting is wrong. The message is one line: what is wrong; what to do. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

export const MIN_BLOCK_SIZE_BYTES = 4096;
export const MAX_REPLICATION = 3;
/** Longer, and timers and sockets would notice. */
const MAX_BUSY_POLL_MICROSECONDS = 1000;
const MAX_NAME_BYTES = 255;
/** As many as inode numbers can tell apart (ids.ts). */
const MAX_META_SERVERS = 8192;
const MAX_THREADS = 64;
const MAX_SERVERS = 100_000;
const MAX_WAIT_SECONDS = 86_400;

/** What applies where nothing is said, as it would be written on the command line. */
export const DEFAULTS = {
  dataPort: '5555',
  metaPort: '5569',
  blockSize: '1MiB',
  root: 'imss://',
  bufferSize: '1GiB',
  metaBufferSize: '64MiB',
  deployment: '0',
  policy: 'RR',
  replication: '1',
  wait: '60',
  engine: 'kernel',
  busyPoll: '50',
} as const;

/** The FUSE engines; the first is the default. */
export const ENGINES = ['kernel', 'fuse-native'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Settings as written; what is absent takes its default. */
export interface RawSettings {
  dataPort?: string | undefined;
  metaPort?: string | undefined;
  blockSize?: string | undefined;
  capacity?: string | undefined;
  bufferSize?: string | undefined;
  metaBufferSize?: string | undefined;
  root?: string | undefined;
  deployment?: string | undefined;
  policy?: string | undefined;
  replication?: string | undefined;
  metaServers?: string | undefined;
  engine?: string | undefined;
  busyPoll?: string | undefined;
  wait?: string | undefined;
}

/** Validated settings. */
export interface Settings {
  /** 0: metadata and data live in the mounts; 1: metadata apart; 2: both apart. */
  deployment: 0 | 1 | 2;
  dataPort: number;
  metaPort: number;
  /** How many hosts of the metadata hostfile serve, from the first; undefined for all. */
  metaServers: number | undefined;
  /** How long servers that are not there yet are waited for. */
  waitSeconds: number;
  blockSizeBytes: number;
  capacityBytes: number;
  /** Most memory that transfers between nodes may hold; unused by a mount that is alone. */
  transferBufferBytes: number;
  metaBufferBytes: number;
  /** The `-r` URI as written; first field of /proc/mounts. */
  rootUri: string;
  /** Names of the directories that lead to the root, percent-escapes decoded. */
  rootPath: Buffer[];
  policy: PolicyName;
  replication: number;
  engine: EngineName;
  /** How long a session looks for the kernel's next request before it sleeps. */
  busyPollMs: number;
}

/** Checks all settings. `memoryBytes` is what this process may use. Throws {@link ConfigError}. */
export function validateSettings(raw: RawSettings, memoryBytes: number): Settings {
  const rootUri = raw.root ?? DEFAULTS.root;
  const blockSizeBytes = blockSize(raw.blockSize ?? DEFAULTS.blockSize, memoryBytes);
  return {
    deployment: deployment(raw.deployment ?? DEFAULTS.deployment),
    metaServers: metaServers(raw.metaServers),
    waitSeconds: waitSeconds(raw.wait ?? DEFAULTS.wait),
    dataPort: port('data port (-p)', raw.dataPort ?? DEFAULTS.dataPort),
    metaPort: port('metadata port (-m)', raw.metaPort ?? DEFAULTS.metaPort),
    blockSizeBytes,
    capacityBytes: capacity(raw.capacity, { blockSizeBytes, memoryBytes }),
    transferBufferBytes: bufferSize('buffer size (-B)', raw.bufferSize ?? DEFAULTS.bufferSize),
    metaBufferBytes: bufferSize(
      'metadata buffer size (-e)',
      raw.metaBufferSize ?? DEFAULTS.metaBufferSize,
    ),
    rootUri,
    rootPath: parseRootUri(rootUri),
    policy: policy(raw.policy ?? DEFAULTS.policy),
    replication: wholeNumber('replication (-R)', raw.replication ?? DEFAULTS.replication, {
      from: 1,
      to: MAX_REPLICATION,
    }),
    engine: engine(raw.engine ?? DEFAULTS.engine),
    busyPollMs:
      wholeNumber('busy poll (--busy-poll)', raw.busyPoll ?? DEFAULTS.busyPoll, {
        from: 0,
        to: MAX_BUSY_POLL_MICROSECONDS,
      }) / 1000,
  };
}

/** Settings of a server process as written; what is absent takes its default. */
export interface RawServerSettings {
  dataPort?: string | undefined;
  metaPort?: string | undefined;
  blockSize?: string | undefined;
  capacity?: string | undefined;
  threads?: string | undefined;
}

/** Validated settings of a server process. */
export interface ServerSettings {
  dataPort: number;
  metaPort: number;
  blockSizeBytes: number;
  capacityBytes: number;
  threads: number;
}

/**
 * Checks the settings of a server process, one of `serversHere` that share the memory of this machine where no capacity
 * is given. Throws {@link ConfigError}.
 */
export function validateServerSettings(
  raw: RawServerSettings,
  machine: { memoryBytes: number; serversHere: number },
): ServerSettings {
  const { memoryBytes, serversHere } = machine;
  const blockSizeBytes = blockSize(raw.blockSize ?? DEFAULTS.blockSize, memoryBytes);
  const share = Math.floor(memoryBytes / 2 / serversHere);
  const capacityBytes = capacity(raw.capacity ?? String(share), { blockSizeBytes, memoryBytes });
  const threads = wholeNumber('number of threads (-t)', raw.threads ?? '1', {
    from: 1,
    to: MAX_THREADS,
  });
  if (capacityBytes < threads * blockSizeBytes) {
    throw new ConfigError(
      `capacity (-S) ${formatSize(capacityBytes)} is below one block of ${formatSize(blockSizeBytes)} for each of ${threads} threads; give more, or fewer threads`,
    );
  }
  return {
    dataPort: port('port (-p)', raw.dataPort ?? DEFAULTS.dataPort),
    metaPort: port('metadata port (-m)', raw.metaPort ?? DEFAULTS.metaPort),
    blockSizeBytes,
    capacityBytes,
    threads,
  };
}

/** A metadata server's port. Throws {@link ConfigError}. */
export function serverPort(text: string): number {
  return port('metadata port (-m)', text);
}

/** How many servers there are to be. Throws {@link ConfigError}. */
export function serverCount(text: string): number {
  return wholeNumber('number of servers', text, { from: 1, to: MAX_SERVERS });
}

/** A size that may be 0 for the default; undefined then. Throws {@link ConfigError}. */
export function optionalSize(what: string, text: string): number | undefined {
  const bytes = size(what, text);
  return bytes === 0 ? undefined : bytes;
}

function quote(text: string): string {
  return text.length > 80 ? `"${text.slice(0, 80)}..."` : `"${text}"`;
}

function size(what: string, text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined) return bytes;
  if (/^\d+(\.\d+)? ?([kmgtp]i?b?)?$/i.test(text)) {
    throw new ConfigError(`${what} ${quote(text)} is beyond what can be counted; give less`);
  }
  throw new ConfigError(
    `${what} ${quote(text)} is not a size; write bytes or a number with a suffix, such as 4096, 512k, 1MiB or 10G`,
  );
}

function blockSize(text: string, memoryBytes: number): number {
  const bytes = size('block size (-b)', text);
  if (bytes < MIN_BLOCK_SIZE_BYTES) {
    throw new ConfigError(
      `block size (-b) ${formatSize(bytes)} is too small; give at least ${MIN_BLOCK_SIZE_BYTES} bytes`,
    );
  }
  if (bytes > memoryBytes) {
    throw new ConfigError(
      `block size (-b) ${formatSize(bytes)} is above the ${formatSize(memoryBytes)} of memory here; give less, such as 1MiB`,
    );
  }
  return bytes;
}

function capacity(
  text: string | undefined,
  limits: { blockSizeBytes: number; memoryBytes: number },
): number {
  const { blockSizeBytes, memoryBytes } = limits;
  const bytes = text === undefined ? Math.floor(memoryBytes / 2) : size('capacity (-S)', text);
  if (bytes > memoryBytes) {
    throw new ConfigError(
      `capacity (-S) ${formatSize(bytes)} is above the ${formatSize(memoryBytes)} of memory here; give less, or leave it out for half of memory`,
    );
  }
  if (bytes < blockSizeBytes) {
    throw new ConfigError(
      `capacity ${formatSize(bytes)} is below one block of ${formatSize(blockSizeBytes)}; give a larger -S or a smaller -b`,
    );
  }
  return bytes;
}

function bufferSize(what: string, text: string): number {
  const bytes = size(what, text);
  if (bytes === 0) throw new ConfigError(`${what} is 0; give at least 1 byte`);
  return bytes;
}

function wholeNumber(what: string, text: string, range: { from: number; to: number }): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= range.from && value <= range.to) return value;
  throw new ConfigError(
    `${what} ${quote(text)} is not valid; give a whole number from ${range.from} to ${range.to}`,
  );
}

function port(what: string, text: string): number {
  return wholeNumber(what, text, { from: 1, to: 65_535 });
}

function policy(text: string): PolicyName {
  const found = policyNamed(text);
  if (found !== undefined) return found;
  throw new ConfigError(
    `policy (-P) ${quote(text)} is unknown; choose one of ${POLICIES.join(', ')}`,
  );
}

function engine(text: string): EngineName {
  const found = ENGINES.find((name) => name === text);
  if (found !== undefined) return found;
  throw new ConfigError(`engine ${quote(text)} is unknown; choose one of ${ENGINES.join(', ')}`);
}

function deployment(text: string): 0 | 1 | 2 {
  if (text === '0') return 0;
  if (text === '1') return 1;
  if (text === '2') return 2;
  throw new ConfigError(
    `deployment (-d) ${quote(text)} is not valid; give 0 (attached), 1 (metadata detached) or 2 (both detached)`,
  );
}

function metaServers(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return wholeNumber('number of metadata servers (-x)', text, { from: 1, to: MAX_META_SERVERS });
}

/** Seconds to wait for other servers. Throws {@link ConfigError}. */
export function waitSeconds(text: string): number {
  return wholeNumber('wait (--wait)', text, { from: 0, to: MAX_WAIT_SECONDS });
}

/** Names of the directories that a root URI leads through. Throws {@link ConfigError}. */
export function parseRootUri(uri: string): Buffer[] {
  let path: Buffer[];
  try {
    path = decodeUri(uri);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    throw new ConfigError(
      `root (-r) ${quote(uri)} is not a dataset URI; write imss:// or imss://directory, with other characters as %XX`,
      { cause: error },
    );
  }
  if (path.some((name) => name.length > MAX_NAME_BYTES)) {
    throw new ConfigError(
      `root (-r) ${quote(uri)} has a name of more than ${MAX_NAME_BYTES} bytes; shorten it`,
    );
  }
  return path;
}
