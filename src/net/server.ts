/** Listens, accepts, and hands requests to a table of handlers. Whatever a client sends, the server stays up. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Logger } from '../log.ts';
import { formatAddress, type Address, type Reading } from './call.ts';
import { acceptUnpaced } from './congestion.ts';
import { adopt } from './connection.ts';
import type { AnyHandlerRow, HandlerTable, ServerLimits } from './handler.ts';
import { row } from './handler.ts';
import type { Hello, Welcome } from './handshake.ts';
import { LineLimiter } from './line-limiter.ts';
import { PING, type FailureCodec } from './operation.ts';
import { ServedClient, type ServedClientHost } from './served-client.ts';

const DEFAULT_LIMITS: ServerLimits = {
  handshakeMs: 5000,
  outputBytes: 64 * 1024 * 1024,
  runningRequests: 4096,
  drainMs: 30_000,
  silenceMs: 15_000,
  closeMs: 5000,
};

const CHECK_MS = 1000;
/** The rate is an average over so many checks. */
const RATE_CHECKS = 5;

export interface RpcServerOptions {
  /** `ping` is there already. */
  readonly operations: HandlerTable;
  /** What is said to clients that are admitted; asked for each of them. */
  readonly welcome: () => Welcome;
  /** Throws HandshakeError for a client that is not wanted (now). Role and cluster id have been compared. */
  readonly admit?: ((hello: Hello) => void) | undefined;
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  readonly reading: Reading;
  readonly logger: Logger;
  readonly failures?: readonly FailureCodec[] | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
}

export interface ServerStatistics {
  /** Admitted clients. */
  readonly connections: number;
  readonly requests: number;
  /** Average over the last five seconds. */
  readonly requestsPerSecond: number;
}

export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #limits: ServerLimits;
  readonly #host: ServedClientHost;
  readonly #clients = new Set<ServedClient>();
  readonly #limiter = new LineLimiter();
  #server: Server | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastId = 0;
  #requests = 0;
  readonly #history: { atMs: number; requests: number }[] = [];
  #lastCheckMs = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { secret, welcome, logger } = options;
    const admit = options.admit ?? ((): void => undefined);
    this.#host = {
      rows: tableOf(options.operations),
      handshake: { secret, welcome, admit },
      failures: options.failures ?? [],
      limits: this.#limits,
      logger,
      countRequest: () => {
        this.#requests++;
      },
      complain: (remote, what) => {
        const suppressed = this.#limiter.take(remote, performance.now());
        if (suppressed !== undefined) logger.warn({ remote, suppressed }, what);
      },
      onGone: (client) => {
        this.#clients.delete(client);
        if (this.#clients.size === 0) this.#onEmpty?.();
      },
    };
  }

  /** Resolves to where it listens once it does; port 0 chooses one. Rejects as `listen(2)` fails. */
  listen(address: Address): Promise<Address> {
    const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
      this.#accept(socket);
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address.host, port: address.port }, () => {
        server.off('error', reject);
        server.on('error', (error) => {
          this.#options.logger.error({ err: error }, 'cannot accept a connection');
        });
        this.#lastCheckMs = performance.now();
        this.#timer = setInterval(() => {
          this.#check();
        }, CHECK_MS);
        this.#timer.unref();
        acceptUnpaced(server, address.host);
        const { port } = server.address() as AddressInfo;
        const bound = { host: address.host, port };
        this.#options.logger.debug({ address: formatAddress(bound) }, 'listening');
        resolve(bound);
      });
    });
  }

  #accept(socket: Socket): void {
    this.#lastId++;
    const client = new ServedClient(adopt(socket), this.#host, {
      id: this.#lastId,
      reading: this.#options.reading,
    });
    if (client.isOpen) this.#clients.add(client);
  }

  #check(): void {
    const nowMs = performance.now();
    const stalled = nowMs - this.#lastCheckMs > 4 * CHECK_MS;
    this.#lastCheckMs = nowMs;
    this.#history.push({ atMs: nowMs, requests: this.#requests });
    if (this.#history.length > RATE_CHECKS) this.#history.shift();
    if (stalled) return; // This process slept; what has come meanwhile is still to be read.
    for (const client of this.#clients) client.checkTimes(nowMs);
  }

  get statistics(): ServerStatistics {
    let connections = 0;
    for (const client of this.#clients) if (client.isAdmitted) connections++;
    const [oldest] = this.#history;
    const elapsedMs = oldest === undefined ? 0 : performance.now() - oldest.atMs;
    const since = this.#requests - (oldest?.requests ?? 0);
    const requestsPerSecond = elapsedMs < 1 ? 0 : (since * 1000) / elapsedMs;
    return { connections, requests: this.#requests, requestsPerSecond };
  }

  /** Stops listening. Gracefully: what runs is answered first, for a bounded time. */
  async close(graceful = true): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => {
      server.close(() => {
        resolve();
      });
    });
    if (graceful && this.#clients.size > 0) await this.#leaveAll();
    for (const client of this.#clients) client.close();
    clearInterval(this.#timer);
    await closed;
  }

  #leaveAll(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#limits.closeMs);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const client of [...this.#clients]) client.leave();
    });
  }
}

function tableOf(operations: HandlerTable): Map<number, AnyHandlerRow> {
  const ping = row(PING, () => ({ value: undefined }));
  const rows = new Map<number, AnyHandlerRow>();
  for (const entry of [ping, ...operations]) {
    const { code, name } = entry.operation;
    if (rows.has(code)) throw new TypeError(`operation code ${code} (${name}) is taken`);
    rows.set(code, entry);
  }
  return rows;
}
