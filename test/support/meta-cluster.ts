/** Several metadata servers in this process that share one namespace, each on a loopback port of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { SystemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { DistributedCore } from '../../src/meta/distributed/distributed-core.ts';
import { RemoteParticipant } from '../../src/meta/distributed/remote-participant.ts';
import { UnreachableError } from '../../src/meta/distributed/errors.ts';
import { LocalMetaStore } from '../../src/meta/local.ts';
import { META_FAILURES } from '../../src/meta/protocol.ts';
import { MetaRouter } from '../../src/meta/router.ts';
import { MetaService } from '../../src/meta/server.ts';
import { Sessions } from '../../src/meta/sessions.ts';
import type { Address } from '../../src/net/call.ts';
import { randomId } from '../../src/net/handshake.ts';
import { Peer } from '../../src/net/peer.ts';
import { RpcServer } from '../../src/net/server.ts';
import { connectMeta } from './meta-server.ts';

/** One life of a server. */
interface Life {
  readonly store: LocalMetaStore;
  readonly core: DistributedCore;
  readonly close: () => Promise<void>;
}

export class MetaCluster {
  readonly #folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  readonly #addresses: Address[] = [];
  readonly #lives: (Life | undefined)[] = [];
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #patienceMs: number | undefined;

  private constructor(patienceMs: number | undefined) {
    this.#patienceMs = patienceMs;
  }

  /** All of it goes when the test ends. */
  static async start(
    t: ExecutionContext,
    servers: number,
    options: { patienceMs?: number } = {},
  ): Promise<MetaCluster> {
    const cluster = new MetaCluster(options.patienceMs);
    t.teardown(() => cluster.#close());
    for (let server = 0; server < servers; server++) {
      cluster.#addresses.push({ host: '127.0.0.1', port: 0 });
    }
    for (let server = 0; server < servers; server++) await cluster.startServer(server);
    return cluster;
  }

  async #close(): Promise<void> {
    for (const close of this.#closers) await close();
    for (const life of this.#lives) await life?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  core(server: number): DistributedCore {
    const life = this.#lives[server];
    if (life === undefined) throw new Error(`server ${server} is down`);
    return life.core;
  }

  /** On the port that it had before, if it had one. */
  async startServer(server: number): Promise<void> {
    const clock = new SystemClock();
    const store = await LocalMetaStore.open({
      path: join(this.#folder, `meta-${server}`),
      clock,
      reaper: { free: () => undefined },
      defaults: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
      owner: { uid: 0, gid: 0, mode: 0o755 },
      logger: silentLogger,
      blocksOutliveUs: true,
      server,
    });
    const peers = new Map<number, Peer>();
    const core = new DistributedCore({
      parts: store.parts,
      servers: this.#addresses.length,
      neighbour: (at) => new RemoteParticipant(this.#peer(at, peers)),
      logger: silentLogger,
      ...(this.#patienceMs === undefined ? {} : { patienceMs: this.#patienceMs }),
    });
    const sessions = await Sessions.load({ core, clock, logger: silentLogger });
    const incarnation = randomId();
    const rpc = new RpcServer({
      operations: [...new MetaService({ core, sessions }).operations, ...core.operations],
      welcome: () => ({
        role: 'meta',
        clusterId: null,
        serverNumber: server,
        incarnation,
        shards: [],
      }),
      secret: undefined,
      reading: 'small',
      logger: silentLogger,
      failures: META_FAILURES,
    });
    this.#addresses[server] = await rpc.listen(this.#address(server));
    this.#lives[server] = {
      store,
      core,
      close: async () => {
        core.close();
        sessions.close();
        for (const peer of peers.values()) await peer.close();
        await rpc.close(false);
        await store.close();
      },
    };
  }

  /** What is in flight is lost; what was committed is not. */
  async stopServer(server: number): Promise<void> {
    const life = this.#lives[server];
    this.#lives[server] = undefined;
    await life?.close();
  }

  #address(server: number): Address {
    const address = this.#addresses[server];
    if (address === undefined) throw new Error(`no server ${server}`);
    return address;
  }

  #peer(server: number, peers: Map<number, Peer>): Peer {
    const known = peers.get(server);
    if (known !== undefined) return known;
    const address = this.#address(server);
    if (address.port === 0) throw new UnreachableError('not started yet');
    const peer = new Peer({
      address,
      hello: { role: 'meta', clientId: randomId(), clusterId: null },
      secret: undefined,
      reading: 'small',
      patienceMs: 500,
      logger: silentLogger,
    });
    peers.set(server, peer);
    return peer;
  }

  /** A mount's view of all servers. */
  connect(): MetaRouter {
    const clientId = randomId();
    const clients = this.#addresses.map((address) => connectMeta(address, clientId));
    for (const client of clients) this.#closers.push(() => client.close());
    return new MetaRouter(clients.map(({ meta }) => meta));
  }
}
