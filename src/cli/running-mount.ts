/** What the daemon needs of a file system: one function that brings it up, one object that is up. */
import type { Settings } from '../config.ts';
import type { Engine, MountRequest } from '../fs/engine.ts';
import type { UseCounts } from '../fs/types.ts';
import type { ClusterConfig } from './cluster-config.ts';
import type { RootLogger } from './logging.ts';

/** Everything that a mount is made from; checked, absolute, independent of the current directory. */
export interface MountConfig {
  settings: Settings;
  request: MountRequest;
  /** Where `-M` keeps the metadata: an absolute path. */
  metadataFile: string | undefined;
  /** The other nodes; undefined for a mount that is a file system by itself. */
  cluster: ClusterConfig | undefined;
  /** Log one line per kernel request. */
  debugFuse: boolean;
}

/** What the stores of a mount hold, as far as they are in its process. */
export interface StoreCounts {
  /** Inodes that exist, orphans included. */
  inodes: number;
  /** Datasets with a block 0. */
  datasets: number;
  /** Bytes of blocks, as `df` shows them. */
  usedBytes: number;
  /** Bytes of block memory that have ever been in use, so that the system may have had to back them. */
  touchedBytes: number;
  /** Bytes of the metadata file that hold something now, and that ever did. */
  metadataBytes: number;
  metadataFileBytes: number;
}

/** What a mount with stores of its own holds; logged for those who look after it. */
export type MountCounts = UseCounts & StoreCounts;

/** A mount that answers. */
export interface RunningMount {
  readonly engine: Engine;
  counts(): UseCounts & Partial<StoreCounts>;
  /** Lines for the person who mounted, beyond that it is mounted; at most a few. */
  describe(): string[];
  /** Closes the stores; called once, after the engine has ended. */
  close(): Promise<void>;
}

/**
 * Starts stores, VFS and engine; resolves when the mount answers. Rejects with nothing left mounted or open; the
 * error's message is one line for the person at the shell: what is wrong; what to do. `tell` takes a line for that
 * person while it waits for other nodes.
 */
export type StartEngine = (
  config: MountConfig,
  logger: RootLogger,
  tell: (line: string) => void,
) => Promise<RunningMount>;
