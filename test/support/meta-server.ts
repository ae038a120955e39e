/** A metadata server in this process, on a loopback port of its own, and clients of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Clock, SystemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { RemoteMetaStore } from '../../src/meta/client.ts';
import type { MetaCore } from '../../src/meta/core.ts';
import { type LocalMetaOptions, LocalMetaStore } from '../../src/meta/local.ts';
import { META_FAILURES } from '../../src/meta/protocol.ts';
import { MetaService } from '../../src/meta/server.ts';
import { Sessions } from '../../src/meta/sessions.ts';
import type { Address } from '../../src/net/call.ts';
import type { HandlerTable } from '../../src/net/handler.ts';
import { randomId } from '../../src/net/handshake.ts';
import { Peer } from '../../src/net/peer.ts';
import { RpcServer } from '../../src/net/server.ts';

export interface ServedMeta {
  readonly address: Address;
  readonly store: LocalMetaStore;
  readonly sessions: Sessions;
  readonly rpc: RpcServer;
  /** Names of the operations of all requests so far, pings left out. */
  readonly requests: string[];
  close(): Promise<void>;
}

export interface ServedMetaOptions {
  path: string;
  clock?: Clock;
  port?: number;
  store?: Partial<LocalMetaOptions>;
  leaseMs?: number;
  /** Stands between the database and what serves it. */
  wrap?: (core: MetaCore) => MetaCore;
}

export async function serveMeta(options: ServedMetaOptions): Promise<ServedMeta> {
  const clock = options.clock ?? new SystemClock();
  const store = await LocalMetaStore.open({
    path: options.path,
    clock,
    reaper: { free: () => undefined },
    defaults: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
    owner: { uid: 0, gid: 0, mode: 0o755 },
    logger: silentLogger,
    blocksOutliveUs: true,
    ...options.store,
  });
  const core = options.wrap?.(store.core) ?? store.core;
  const sessions = await Sessions.load({
    core,
    clock,
    logger: silentLogger,
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
  });
  const incarnation = randomId();
  const requests: string[] = [];
  const rpc = new RpcServer({
    operations: recording(new MetaService({ core, sessions }).operations, requests),
    welcome: () => ({ role: 'meta', clusterId: null, serverNumber: 0, incarnation, shards: [] }),
    secret: undefined,
    reading: 'small',
    logger: silentLogger,
    failures: META_FAILURES,
  });
  const address = await rpc.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  return {
    address,
    store,
    sessions,
    rpc,
    requests,
    close: async () => {
      sessions.close();
      await rpc.close(false);
      await store.close();
    },
  };
}

function recording(table: HandlerTable, requests: string[]): HandlerTable {
  return table.map((row) => ({
    ...row,
    handle: (request, context) => {
      requests.push(row.operation.name);
      return row.handle(request, context);
    },
  }));
}

export interface MetaClient {
  readonly meta: RemoteMetaStore;
  close(): Promise<void>;
}

/** A client of the server at `address`. */
export function connectMeta(address: Address, clientId = randomId()): MetaClient {
  let peer: Peer | undefined;
  const meta = new RemoteMetaStore((hooks) => {
    peer = new Peer({
      address,
      hello: { role: 'meta', clientId, clusterId: null },
      secret: undefined,
      reading: 'small',
      logger: silentLogger,
      ...hooks,
    });
    return peer;
  });
  return { meta, close: async () => peer?.close() };
}

/** A server with a database of its own; both go when the test ends. */
export async function startMeta(
  t: ExecutionContext,
  options: Partial<ServedMetaOptions> = {},
): Promise<ServedMeta> {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  const served = await serveMeta({ path: join(folder, 'meta'), ...options });
  t.teardown(async () => {
    await served.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return served;
}

/** A client that is closed when the test ends. */
export function clientOf(t: ExecutionContext, address: Address, clientId?: string): MetaClient {
  const client = connectMeta(address, clientId);
  t.teardown(() => client.close());
  return client;
}
