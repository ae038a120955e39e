/** Ends the servers of a file system in order, and waits until they have ended. */
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesOf, joinPath } from './bytes-path.ts';
import type { ClusterRequest } from './cluster-config.ts';
import { askStatus, askToStop } from './cluster-query.ts';
import { displayPath } from '../fs/mount-table.ts';
import { FailureError, UsageError } from './errors.ts';
import type { RunState } from './run-state.ts';
import { type MetaServersLine, clusterRequest } from './status-command.ts';

const POLL_MS = 200;
/** How long metadata servers that do not answer are waited for. */
const STOP_WAIT_S = '10';

/**
 * Returns the addresses of the servers that have ended. Rejects with one line: while clients are left (naming them, unless
 * forced), or when metadata server 0, which ends last, has not ended in time.
 */
export async function stopServers(
  request: ClusterRequest,
  options: { force: boolean; timeoutMs: number },
): Promise<readonly string[]> {
  const { servers } = await askToStop(request, options.force);
  const [first] = request.metaServers;
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    const asked = first === undefined ? [] : [first];
    const [state] = await askStatus({ ...request, metaServers: asked, waitSeconds: 0 });
    if (state === undefined || state.answer instanceof Error) return servers;
    if (performance.now() >= deadline) {
      throw new FailureError(
        `the servers were asked to stop, but ${state.address} has not ended after ${options.timeoutMs / 1000} s; see its log`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** What `umount-imss` is told of servers. */
export interface StopValues extends MetaServersLine {
  stopServers?: true;
  lazy?: true;
}

/** Undefined if servers are to be left alone. Throws {@link UsageError}. */
export function stopLine(values: StopValues): MetaServersLine | undefined {
  const { metaHostfile, metaHosts, metaPort, secretFile, insecure } = values;
  const line: MetaServersLine = {
    ...(metaHostfile !== undefined && { metaHostfile }),
    ...(metaHosts !== undefined && { metaHosts }),
    ...(metaPort !== undefined && { metaPort }),
    ...(secretFile !== undefined && { secretFile }),
    ...(insecure !== undefined && { insecure }),
  };
  if (values.stopServers === true) {
    if (values.lazy === true) {
      throw new UsageError('--lazy and --stop-servers are given, but a detached mount still needs its servers; leave out one of them'); // prettier-ignore
    }
    return line;
  }
  if (Object.keys(line).length > 0) {
    throw new UsageError('metadata servers are named, but nothing is to be done with them; add --stop-servers'); // prettier-ignore
  }
  return undefined;
}

/** What {@link serversToStop} works with. */
export interface StopSurroundings {
  /** Folder that relative files are meant from; the process itself stands elsewhere. */
  cwd: Buffer;
  /** The servers of the file system that is mounted there. */
  serversOf(mountPoint: Buffer): Promise<RunState['servers']>;
}

/**
 * The file systems whose servers are to end: the one that is named, or those of the mounts, each once. Rejects with one
 * line where a mount has none that are known.
 */
export async function serversToStop(
  line: MetaServersLine | undefined,
  mountPoints: readonly Buffer[],
  around: StopSurroundings,
): Promise<ClusterRequest[]> {
  if (line === undefined) return [];
  const named = await clusterRequest(fromFolder(line, around.cwd), { wait: STOP_WAIT_S });
  if (named !== undefined) return [named];
  const found = new Map<string, ClusterRequest>();
  for (const mountPoint of mountPoints) {
    const servers = await around.serversOf(mountPoint);
    if (servers === undefined) {
      throw new FailureError(
        `${displayPath(mountPoint)} has no servers apart from mounts, or they are not known; name them with --meta-hosts, or leave out --stop-servers`,
      );
    }
    found.set(JSON.stringify(servers.metaServers), {
      ...servers,
      waitSeconds: Number(STOP_WAIT_S),
    });
  }
  return [...found.values()];
}

function fromFolder(line: MetaServersLine, cwd: Buffer): MetaServersLine {
  const resolved = { ...line };
  for (const key of ['metaHostfile', 'secretFile'] as const) {
    const file = resolved[key];
    if (file === undefined || file === '' || file.startsWith('/')) continue;
    resolved[key] = joinPath(cwd, bytesOf(file)).toString('latin1');
  }
  return resolved;
}
