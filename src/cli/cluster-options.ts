/** The options by which mounts, servers and `status` are told of the cluster, read from a parsed command line. */
import { posix } from 'node:path';
import type { Settings } from '../config.ts';
import { displayPath } from '../fs/mount-table.ts';
import { type HostList, parseHostList, readHostfile } from '../net/hostfile.ts';
import { bytesOf, isUtf8, textOf } from './bytes-path.ts';
import type { SecretOptions } from './cluster-config.ts';
import type { ClusterInput } from './cluster-hosts.ts';
import { UsageError } from './errors.ts';
import { nodeNames } from './launcher.ts';

/** Said wherever `--insecure` is. */
export const INSECURE_NOTE =
  '--insecure: whoever reaches a port of this file system can read and write all of it';

type Environment = Readonly<Record<string, string | undefined>>;

/** What several commands may be told of the cluster; every text one character per byte (see bytes-path.ts). */
export interface ClusterLine {
  hostfile?: string;
  metaHostfile?: string;
  metaHosts?: string;
  secretFile?: string;
  insecure?: boolean;
  node?: string;
}

/** What a mount's command line says of its cluster. Rejects with HostfileError; throws {@link UsageError}. */
export async function clusterInput(
  line: ClusterLine & { blockSize?: string | undefined },
  settings: Settings,
  env: Environment,
): Promise<ClusterInput> {
  const { deployment, dataPort, metaPort, waitSeconds } = settings;
  return {
    deployment,
    dataPort,
    metaPort,
    waitSeconds,
    metaServerCount: settings.metaServers,
    data: await hostsOf(line.hostfile),
    meta: await metaHostsOf(line),
    node: nodeOf(line, env),
    nodeGuesses: nodeNames(env),
    secret: secretOf(line),
    blockSizeIsExplicit: line.blockSize !== undefined,
  };
}

/** What `--node` says, or else IMSSFS_NODE. */
export function nodeOf(line: ClusterLine, env: Environment): string | undefined {
  if (line.node !== undefined) return textOf(line.node);
  return env['IMSSFS_NODE'] === '' ? undefined : env['IMSSFS_NODE'];
}

/** The hosts of a file; undefined if none is named. Rejects with HostfileError. */
export async function hostsOf(argument: string | undefined): Promise<HostList | undefined> {
  if (argument === undefined) return undefined;
  const path = bytesOf(argument);
  const name = displayPath(path);
  return { name: `hostfile ${name}`, lines: await readHostfile(path, name) };
}

/** The hosts of `-a` or `--meta-hosts`. Rejects with HostfileError, {@link UsageError} if both are given. */
export async function metaHostsOf(line: ClusterLine): Promise<HostList | undefined> {
  if (line.metaHosts === undefined) return hostsOf(line.metaHostfile);
  if (line.metaHostfile !== undefined) {
    throw new UsageError('-a and --meta-hosts are given; leave out one of them');
  }
  return parseHostList(textOf(line.metaHosts), '--meta-hosts');
}

/** How connections prove that they belong here. Throws {@link UsageError}. */
export function secretOf(line: ClusterLine): SecretOptions {
  const file = absoluteFile('--secret-file', line.secretFile);
  const insecure = line.insecure === true;
  if (insecure && file !== undefined) {
    throw new UsageError('--secret-file and --insecure contradict each other; give one of them');
  }
  return { file, insecure };
}

/** A daemon has another current directory, so its files need absolute paths; lmdb wants them as text. */
export function absoluteFile(flag: string, argument: string | undefined): string | undefined {
  if (argument === undefined) return undefined;
  const bytes = bytesOf(argument);
  if (bytes.length === 0) throw new UsageError(`${flag} is empty; name a file`);
  if (!isUtf8(bytes)) {
    throw new UsageError(`${flag} ${displayPath(bytes)} is not UTF-8; name the file in UTF-8`);
  }
  return posix.resolve(bytes.toString('utf8'));
}
