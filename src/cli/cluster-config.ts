/**
 * What a mount and the servers of a file system of several nodes are made from. Values of these types are checked,
 * absolute and independent of the current directory; cluster-hosts.ts and server-options.ts make them.
 */

import type { RootLogger } from './logging.ts';

/** Where data and metadata services live: 0 both in the mounts, 1 metadata apart, 2 both apart. */
export type Deployment = 0 | 1 | 2;

/** Where a server is reached. */
export interface ServerAddress {
  /** Name or address as it was written, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** One line of a hostfile with its port filled in; its index in the list is the server's number. */
export interface ClusterHost extends ServerAddress {
  /** Addresses of the host, best first. */
  readonly addresses: readonly string[];
  /** This node, so that a server there is as near as can be. */
  readonly thisMachine: boolean;
}

/** A service that this process is to offer. */
export interface OwnService {
  /** Its line, counted from 0, in the list of its servers. */
  readonly index: number;
  /** What to bind: an address of this machine, or `::` or `0.0.0.0` for all of them. */
  readonly listenHost: string;
  readonly port: number;
}

/** How connections prove that they belong here. */
export interface SecretOptions {
  /** `--secret-file`, absolute; undefined for the user's own. */
  readonly file: string | undefined;
  /** `--insecure`: no proof is asked for or given. */
  readonly insecure: boolean;
}

/** A mount of a file system of several nodes. */
export interface ClusterConfig {
  readonly deployment: Deployment;
  /** Metadata servers by number; at least one. */
  readonly metaServers: readonly ClusterHost[];
  /** Block servers by number; undefined where the mount takes what the metadata servers' map says (`-d 2` without `-h`). */
  readonly blockServers: readonly ClusterHost[] | undefined;
  /** The metadata server that the mount's process is to be: with `-d 0`, where `-a` names this node. */
  readonly ownMeta: OwnService | undefined;
  /** The block server that the mount's process is to be: with `-d 0` and `-d 1`. */
  readonly ownBlocks: OwnService | undefined;
  /** Number of the block server on this node, in this process or another; new blocks of LOCAL datasets go there. */
  readonly nearBlockServer: number | undefined;
  readonly secret: SecretOptions;
  /** How long the mount waits for servers that are not there yet. */
  readonly waitSeconds: number;
  /** `-b` was given: a file system that was made with another block size is to be refused. */
  readonly blockSizeIsExplicit: boolean;
}

/** A metadata server's process. */
export interface MetaServerConfig {
  readonly listenHost: string;
  readonly port: number;
  /** Its line in `metaServers`; undefined if it is to be told by the first who asks, or by its database. */
  readonly index: number | undefined;
  /** All metadata servers by number; undefined without `-a`. */
  readonly metaServers: readonly ClusterHost[] | undefined;
  /** Absolute; undefined keeps the metadata in a temporary place. */
  readonly metadataFile: string | undefined;
  readonly secret: SecretOptions;
}

/** A block server's process. */
export interface BlockServerConfig {
  readonly listenHost: string;
  readonly port: number;
  /** Its line in `blockServers`. */
  readonly index: number;
  /** All block servers by number: the list that every server and mount must bring alike. */
  readonly blockServers: readonly ServerAddress[];
  /** Where it registers: number 0 first. */
  readonly metaServers: readonly ServerAddress[];
  readonly capacityBytes: number;
  /** Size of the blocks that writes are received into; datasets may have any other. */
  readonly blockSizeBytes: number;
  /** Event loops that share the capacity. */
  readonly threads: number;
  readonly secret: SecretOptions;
}

/** How a server's process came to its end by itself. */
export type ServerEnd =
  /** It was asked to: by a signal, or by `umount-imss --stop-servers`. */
  { reason: 'stopped' } | { reason: 'failed'; error: unknown };

/** A server that answers. */
export interface RunningServer {
  /**
   * Lines for the person who started it; at most a few. The first, such as `metadata server 0 at 127.0.0.2:5569`, is
   * printed behind `ready: `.
   */
  describe(): string[];
  /** Resolves when it has ended, for whatever reason; never rejects. */
  readonly ended: Promise<ServerEnd>;
  /** Finishes what is in flight, persists, closes; `ended` resolves. Bounded. */
  stop(): Promise<void>;
}

/**
 * Starts a server; resolves when it serves. Rejects with nothing left open; the error's message is one line for the
 * person at the shell: what is wrong; what to do. `tell` takes a line for that person while it waits for other servers.
 */
export type StartServer<C> = (
  config: C,
  logger: RootLogger,
  tell: (line: string) => void,
) => Promise<RunningServer>;

/** A cluster whose state is asked for, or whose servers are to end. */
export interface ClusterRequest {
  readonly metaServers: readonly ServerAddress[];
  readonly secret: SecretOptions;
  /** How long an unreachable server is waited for. */
  readonly waitSeconds: number;
}
