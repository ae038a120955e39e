/**
 * One small JSON file per mount in a directory that only its user may enter: it tells which process serves a
 * mount. Files of processes that are gone are removed by whoever reads them, so nothing here needs repair.
 */
import {
  chmodSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync,
} from 'node:fs'; // prettier-ignore
import { posix } from 'node:path';
import type { ClusterConfig, ClusterRequest } from './cluster-config.ts';
import { FailureError, errorCode } from './errors.ts';
import { type ProcessIdentity, isRunning } from './process-info.ts';

/** What is known of a mount and its process. */
export interface RunState extends ProcessIdentity {
  mountPoint: Buffer;
  /** `starting` until the mount answers. */
  phase: 'starting' | 'mounted';
  source: string;
  /** Minor number of the mount's device, which names its directory below /sys/fs/fuse/connections. */
  deviceMinor: number | undefined;
  /** Where the process logs; undefined for stderr. */
  logFile: string | undefined;
  version: string;
  /** Where the servers are that live apart from the mount (`-d 1`, `-d 2`), and how they are asked. */
  servers?: Pick<ClusterRequest, 'metaServers' | 'secret'> | undefined;
}

/** A run state and the file that it came from. */
export interface StoredRunState extends RunState {
  file: string;
}

/** What a run state tells of servers apart. */
export function serversApart(cluster: ClusterConfig | undefined): RunState['servers'] {
  if (cluster === undefined || cluster.deployment === 0) return undefined;
  const metaServers = cluster.metaServers.map(({ host, port }) => ({ host, port }));
  return { metaServers, secret: cluster.secret };
}

/** Directories in which a user's daemons may note themselves, best first. */
export function runDirectories(
  uid: number,
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const fallback = `/tmp/imssfs-${uid}`;
  if (uid === 0) return ['/run/imssfs', fallback];
  const runtime = env['XDG_RUNTIME_DIR'];
  return runtime?.startsWith('/') === true ? [posix.join(runtime, 'imssfs'), fallback] : [fallback];
}

/** Makes the first of `directories` that can be had, mode 0700. Throws {@link FailureError}. */
export function makeRunDirectory(directories: readonly string[], uid: number): string {
  let failure = 'no directory to try';
  for (const directory of directories) {
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') {
        failure = `${directory}: ${errorCode(error) ?? 'error'}`;
        continue;
      }
    }
    if (isPrivate(directory, uid)) return directory;
    failure = `${directory} belongs to another user`;
  }
  throw new FailureError(
    `cannot make a directory for run-time files (${failure}); make ${directories.join(' or ')} writable, in a container with --tmpfs /run`,
  );
}

/** True for a directory (no symlink) that only `uid` may enter; tightens the mode of one's own. */
function isPrivate(directory: string, uid: number): boolean {
  try {
    const stat = lstatSync(directory);
    if (!stat.isDirectory() || stat.uid !== uid) return false;
    if ((stat.mode & 0o077) !== 0) chmodSync(directory, 0o700);
    return true;
  } catch {
    return false;
  }
}

/** The file that tells of this process's mount. */
export class RunStateFile {
  readonly #path: string;
  #state: RunState;

  /** Writes it. Throws {@link FailureError} when `directory` does not take it. */
  constructor(directory: string, state: RunState) {
    this.#path = posix.join(directory, `${state.pid}.json`);
    this.#state = state;
    this.#write();
  }

  update(change: Partial<RunState>): void {
    this.#state = { ...this.#state, ...change };
    this.#write();
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  #write(): void {
    const { mountPoint, ...rest } = this.#state;
    const text = JSON.stringify({
      ...rest,
      mountPoint: mountPoint.toString('utf8'),
      mountPointHex: mountPoint.toString('hex'),
    });
    try {
      writeFileSync(`${this.#path}.new`, `${text}\n`, { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      throw new FailureError(
        `cannot write ${this.#path} (${errorCode(error) ?? 'error'}); make room or give access there`,
        { cause: error },
      );
    }
  }
}

/**
 * Mounts whose process runs. Files of processes that are gone are removed, where that is allowed; directories
 * that are missing or closed count as empty.
 */
export function listRunStates(directories: readonly string[]): StoredRunState[] {
  const states: StoredRunState[] = [];
  for (const directory of directories) {
    for (const name of namesIn(directory)) {
      if (!/^\d+\.json$/.test(name)) continue;
      const file = posix.join(directory, name);
      const state = readRunState(file);
      if (state !== undefined && isRunning(state)) states.push({ ...state, file });
      else removeStale(file);
    }
  }
  return states;
}

/** Where root finds the run states of all users. */
export function allRunDirectories(): string[] {
  return [
    ...runDirectories(0, {}),
    ...namesIn('/run/user').map((uid) => `/run/user/${uid}/imssfs`),
    ...namesIn('/tmp')
      .filter((name) => /^imssfs-\d+$/.test(name) && name !== 'imssfs-0')
      .map((name) => `/tmp/${name}`),
  ];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function removeStale(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Another user's, or a read-only place: it does no harm.
  }
}

/** Undefined for what is no run state: cut short, of another version, or gone meanwhile. */
function readRunState(file: string): RunState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startTicks, phase, source, deviceMinor, logFile, version, mountPointHex, servers } =
    value as Record<string, unknown>;
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks)) return undefined;
  if (typeof mountPointHex !== 'string' || !/^([0-9a-f]{2})+$/.test(mountPointHex))
    return undefined;
  return {
    pid: pid as number,
    startTicks: startTicks as number,
    mountPoint: Buffer.from(mountPointHex, 'hex'),
    phase: phase === 'starting' ? 'starting' : 'mounted',
    source: typeof source === 'string' ? source : 'imss://',
    deviceMinor: typeof deviceMinor === 'number' ? deviceMinor : undefined,
    logFile: typeof logFile === 'string' ? logFile : undefined,
    version: typeof version === 'string' ? version : '',
    servers: readServers(servers),
  };
}

/** Undefined for anything else than {@link serversApart} wrote. */
function readServers(value: unknown): RunState['servers'] {
  if (typeof value !== 'object' || value === null) return undefined;
  const { metaServers, secret } = value as { metaServers?: unknown; secret?: unknown };
  if (!Array.isArray(metaServers) || typeof secret !== 'object' || secret === null)
    return undefined;
  const addresses = metaServers.flatMap((each: unknown) => {
    const { host, port } = (each ?? {}) as { host?: unknown; port?: unknown };
    return typeof host === 'string' && typeof port === 'number' ? [{ host, port }] : [];
  });
  const { file, insecure } = secret as { file?: unknown; insecure?: unknown };
  return {
    metaServers: addresses,
    secret: { file: typeof file === 'string' ? file : undefined, insecure: insecure === true },
  };
}
