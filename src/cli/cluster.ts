/**
 * A mount of a file system of several nodes: its own servers, where it has any, and the stores through which it reaches
 * all servers. What lives in this process is called, not sent for.
 */
import { hostname } from 'node:os';
import { RemoteBlockStore } from '../blocks/client.ts';
import type { BlockStore } from '../blocks/store.ts';
import { StripedBlockStore } from '../blocks/striped-store.ts';
import { TransferBuffers } from '../blocks/transfer-buffers.ts';
import { type Clock, SystemClock } from '../clock.ts';
import { displayPath } from '../fs/mount-table.ts';
import { invariant } from '../invariant.ts';
import { RemoteMetaStore } from '../meta/client.ts';
import { ClusterClient } from '../meta/cluster-client.ts';
import { LoneLease } from '../meta/lone-lease.ts';
import { MetaRouter } from '../meta/router.ts';
import { type BlockMember, parseAddress } from '../meta/server-map.ts';
import type { MetaServerStore } from '../meta/session-store.ts';
import { type Address, formatAddress } from '../net/call.ts';
import { randomId } from '../net/handshake.ts';
import { Peer } from '../net/peer.ts';
import { PipePool } from '../pipes/pipe.ts';
import { BlockServer } from './block-server.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { errorCode, FailureError } from './errors.ts';
import type { RootLogger } from './logging.ts';
import { MetaServer } from './meta-server.ts';
import { type MountedStores, mountStores } from './mount-stores.ts';
import type { MountConfig, RunningMount, StoreCounts } from './running-mount.ts';
import { secretOf } from './secret-options.ts';

/**
 * Each has two descriptors, and 256 of the 16,384 pages that a user may have in pipes (`fs.pipe-user-pages-soft`). Large
 * requests beyond that are copied.
 */
const MOST_PIPES = 32;

/** Starts what this node serves, joins the file system and mounts it. Rejects with nothing left open or mounted. */
export async function startClusterMount(
  config: MountConfig & { cluster: ClusterConfig },
  logger: RootLogger,
  tell: (line: string) => void,
): Promise<RunningMount> {
  const node = new ClusterNode(config, logger, await secretOf(config.cluster.secret));
  try {
    await node.start(tell);
    const stores = node.stores();
    await node.enter();
    const mount = await mountStores(stores, config, logger);
    node.endWith(mount);
    return mount;
  } catch (error) {
    await node.close();
    throw error;
  }
}

/** One mount's part of the file system. */
class ClusterNode {
  readonly #config: MountConfig & { cluster: ClusterConfig };
  readonly #logger: RootLogger;
  readonly #secret: Buffer | undefined;
  readonly #clock: Clock = new SystemClock();
  /** By which all servers know this mount. */
  readonly #clientId = randomId();
  readonly #peers: Peer[] = [];
  readonly #sessions: RemoteMetaStore[] = [];
  #pipes: PipePool | undefined;
  readonly #remotes: RemoteBlockStore[] = [];
  #ownMeta: MetaServer | undefined;
  #ownBlocks: BlockServer | undefined;
  #client: ClusterClient | undefined;
  #closing = false;

  constructor(
    config: MountConfig & { cluster: ClusterConfig },
    logger: RootLogger,
    secret: Buffer | undefined,
  ) {
    this.#config = config;
    this.#logger = logger;
    this.#secret = secret;
  }

  /** Resolves when all servers of the file system are there, those of this process among them. */
  async start(tell: (line: string) => void): Promise<void> {
    await this.#startMeta();
    // What fails first is told at once; the other is not waited for.
    await Promise.all([this.#startBlocks(tell), this.#join(tell)]);
  }

  async #join(tell: (line: string) => void): Promise<void> {
    const client = await this.#connect(tell);
    this.#client = client;
    if (this.#closing) await client.close();
  }

  async #startMeta(): Promise<void> {
    const { cluster, metadataFile } = this.#config;
    const { ownMeta, metaServers } = cluster;
    if (ownMeta === undefined) return;
    const address = formatAddress({ host: ownMeta.listenHost, port: ownMeta.port });
    this.#ownMeta = await listening(
      address,
      MetaServer.start({
        listen: { host: ownMeta.listenHost, port: ownMeta.port },
        index: ownMeta.index,
        metaServers: metaServers.map(formatAddress),
        metadataFile,
        secret: this.#secret,
        logger: this.#logger,
      }),
    );
  }

  async #startBlocks(tell: (line: string) => void): Promise<void> {
    const { cluster, settings } = this.#config;
    const { ownBlocks, blockServers, metaServers } = cluster;
    if (ownBlocks === undefined) return;
    const own = blockServers?.[ownBlocks.index];
    const [metaServer] = metaServers;
    invariant(own !== undefined && metaServer !== undefined, 'a checked configuration');
    const address = formatAddress({ host: ownBlocks.listenHost, port: ownBlocks.port });
    this.#ownBlocks = await listening(
      address,
      BlockServer.start({
        listen: { host: ownBlocks.listenHost, port: ownBlocks.port },
        index: ownBlocks.index,
        list: (blockServers ?? []).map(formatAddress),
        host: own.host,
        metaServer,
        capacityBytes: settings.capacityBytes,
        blockSizeBytes: settings.blockSizeBytes,
        threads: 1,
        secret: this.#secret,
        logger: this.#logger,
        tell,
      }),
    );
    if (this.#closing) await this.#ownBlocks.stop();
  }

  #connect(tell: (line: string) => void): Promise<ClusterClient> {
    const { cluster, settings, request } = this.#config;
    const { policy, blockSizeBytes, replication } = settings;
    return ClusterClient.connect({
      metaServers: cluster.metaServers,
      secret: this.#secret,
      attach: {
        name: `${hostname()}:${displayPath(request.mountPoint)} (pid ${process.pid})`,
        list: cluster.blockServers?.map(formatAddress),
        layout: { policy, blockSizeBytes, replication },
        blockSizeIsExplicit: cluster.blockSizeIsExplicit,
      },
      waitMs: cluster.waitSeconds * 1000,
      tell,
      clock: this.#clock,
      logger: this.#logger.component('cluster'),
    });
  }

  get #joined(): ClusterClient {
    invariant(this.#client !== undefined, 'the file system was joined');
    return this.#client;
  }

  stores(): MountedStores {
    const { cluster } = this.#config;
    const { blocks: members } = this.#joined.map;
    const servers = cluster.metaServers.map((address, number) => this.#metaStore(address, number));
    const questions = servers.map((server) => () => server.askAlone());
    const logger = this.#logger.component('cluster');
    const lone = new LoneLease(questions, { clock: this.#clock, logger });
    const meta = new MetaRouter(servers, lone);
    const { engine, transferBufferBytes } = this.#config.settings;
    const pipes = engine === 'kernel' ? new PipePool(MOST_PIPES) : undefined;
    this.#pipes = pipes;
    const buffers = new TransferBuffers(transferBufferBytes, pipes);
    const blocks = new StripedBlockStore({
      members: members.map((member, number) => this.#blockStore(member, number, buffers)),
      locator: {
        claim: (...claim) => meta.claimBlocks(...claim),
        locate: (...blocks) => meta.blockServers(...blocks),
      },
      ownServer: cluster.nearBlockServer,
    });
    return {
      meta,
      blocks,
      clock: this.#clock,
      ownBlocks: this.#ownBlocks?.shards.store,
      pipes,
      home: cluster.nearBlockServer ?? process.pid % members.length,
      serverNames: members.map(({ declared }) => declared),
      counts: () => this.#counts(),
      describe: () => this.#describe(),
      close: () => this.close(),
    };
  }

  /** Resolves when all metadata servers have let this mount in: nothing may be changed anywhere before that. */
  async enter(): Promise<void> {
    await Promise.all([
      this.#ownMeta?.sessions?.enterLocal(this.#clientId),
      ...this.#sessions.map((store) => store.ready()),
    ]);
  }

  #metaStore(address: Address, number: number): MetaServerStore {
    if (number === this.#config.cluster.ownMeta?.index) {
      const sessions = this.#ownMeta?.sessions;
      invariant(sessions !== undefined, 'a metadata server that was adopted serves');
      return sessions.local(this.#clientId);
    }
    const store = new RemoteMetaStore((hooks) => {
      const peer = new Peer({
        address,
        hello: { role: 'meta', clientId: this.#clientId, clusterId: this.#joined.clusterId },
        secret: this.#secret,
        reading: 'small',
        ...hooks,
        logger: this.#logger.component('net'),
      });
      this.#peers.push(peer);
      return peer;
    });
    this.#sessions.push(store);
    return store;
  }

  #blockStore(member: BlockMember, number: number, buffers: TransferBuffers): BlockStore {
    if (number === this.#config.cluster.ownBlocks?.index) {
      invariant(this.#ownBlocks !== undefined, 'the own block server has been started');
      return this.#ownBlocks.shards.store;
    }
    const address = addressOf(member);
    const store = new RemoteBlockStore({
      address,
      name: `block server ${member.declared}`,
      hello: { role: 'blocks', clientId: this.#clientId, clusterId: this.#joined.clusterId },
      secret: this.#secret,
      buffers,
      logger: this.#logger.component('net'),
    });
    this.#remotes.push(store);
    return store;
  }

  /** A server of this process that fails takes the mount with it: what it kept is gone. */
  endWith(mount: RunningMount): void {
    const logger = this.#logger.component('cluster');
    for (const server of [this.#ownMeta, this.#ownBlocks]) {
      void server?.ended.then((end) => {
        if (this.#closing) return;
        const error = end.reason === 'failed' ? end.error : undefined;
        logger.fatal({ err: error }, 'a server of this mount has ended; unmounting');
        mount.engine.unmount('lazy').catch((failure: unknown) => {
          logger.error({ err: failure }, 'cannot detach the mount');
        });
      });
    }
  }

  #counts(): Partial<StoreCounts> {
    const store = this.#ownBlocks?.shards.store;
    if (store === undefined) return {};
    const { datasets, usedBytes } = store.usage();
    return { datasets, usedBytes, touchedBytes: store.memory().touchedBytes };
  }

  #describe(): string[] {
    const { cluster } = this.#config;
    const { blocks } = this.#joined.map;
    const own = [...(this.#ownMeta?.describe() ?? []), ...(this.#ownBlocks?.describe() ?? [])];
    const counted = (count: number, what: string): string =>
      `${count} ${what} server${count === 1 ? '' : 's'}`;
    return [
      `file system of ${counted(cluster.metaServers.length, 'metadata')} and ${counted(blocks.length, 'block')}`,
      ...own.map((line) => `here: ${line}`),
    ];
  }

  /** Leaves the file system, then ends the servers of this process. */
  async close(): Promise<void> {
    this.#closing = true;
    const logger = this.#logger.component('cluster');
    const ended = await Promise.allSettled(this.#sessions.map((store) => store.end()));
    for (const outcome of ended) {
      // The server gives the session up when its lease has lapsed.
      if (outcome.status === 'rejected')
        logger.warn({ err: outcome.reason as Error }, 'cannot leave in order');
    }
    await Promise.all([
      ...this.#peers.map((peer) => peer.close()),
      ...this.#remotes.map((store) => store.close()),
    ]);
    this.#pipes?.close();
    await this.#client?.close();
    await this.#ownBlocks?.stop();
    await this.#ownMeta?.stop();
  }
}

/** The server, or in words why its address cannot be listened on. */
async function listening<T>(address: string, server: Promise<T>): Promise<T> {
  try {
    return await server;
  } catch (error) {
    if (errorCode(error) !== 'EADDRINUSE') throw error;
    throw new FailureError(
      `cannot listen at ${address}: something else listens there; end it, or give this node another port in the hostfile`,
      { cause: error },
    );
  }
}

/** Where a block server is: where it registered from, with the port that it really listens on. */
function addressOf({ life, declared }: BlockMember): Address {
  const address =
    life === undefined ? parseAddress(declared) : { host: life.host, port: life.ports[0] ?? 0 };
  invariant(address !== undefined, 'a member of the map has an address');
  return address;
}
