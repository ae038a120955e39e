/**
 * The clients of a served database, each with a session that outlives connections and this process. A client of whom
 * nothing is heard for the time of a lease is dead: what it had open is dropped, and files that it was writing stay
 * marked until the next report.
 */
import type { Clock } from '../clock.ts';
import { FsError } from '../errno.ts';
import { invariant } from '../invariant.ts';
import type { InodeId } from '../ids.ts';
import type { Logger } from '../log.ts';
import { type MaybePromise, type Task, then, wait } from '../task.ts';
import type { MetaCore } from './core.ts';
import { ClientLocks } from './client-locks.ts';
import { expireSession, openSession } from './exactly-once.ts';
import { CLIENT_ID_BYTES, clientKey, Table, tableRange } from './keys.ts';
import type { KeyRange, KeyValueReader } from './kv.ts';
import { LoneGrants, type LoneGrantsOptions } from './lone-grants.ts';
import { dropOpens, openers } from './opens.ts';
import { decodeNumber, encodeNumber } from './records.ts';
import { ServedLocks } from './served-locks.ts';
import { MetaSession } from './session-store.ts';

const LEASE_MS = 8000;
const CHECK_MS = 1000;
/** Checks that are so far apart show that this process itself stood still, and heard nobody. */
const STANDSTILL_MS = 3 * CHECK_MS;

/** A connection, as far as its client's lease goes. */
export interface SignsOfLife {
  readonly isOpen: boolean;
  /** On the monotonic clock. */
  readonly lastHeardMs: number;
  /** Nothing that still comes of it is looked at. */
  close(): void;
}

export interface SessionsOptions {
  core: MetaCore;
  clock: Clock;
  logger: Logger;
  /** How long a client lives without a sign of life; 8 s if absent. */
  leaseMs?: number;
  /** What clients lock; kept by this server alone if absent. */
  locks?: ServedLocks;
  /** How to wait for another client's grant to end; see {@link LoneGrantsOptions}. */
  pause?: LoneGrantsOptions['pause'];
}

interface Client {
  readonly id: string;
  readonly key: Buffer;
  /** Undefined for one who has opens but no session: it has a lease's time to begin one. */
  session: number | undefined;
  beginning: Promise<number> | undefined;
  lapsesAtMs: number;
  connection: SignsOfLife | undefined;
  /** In this process: lives as long as it. */
  isLocal: boolean;
  /** Settles when nothing of the dead client is left. */
  ending: Promise<void> | undefined;
}

/** What {@link Sessions.open} tells. */
export interface OpenedSession {
  session: number;
  /** The client had none, or it has lapsed: nothing of the client's is known. */
  isNew: boolean;
}

export class Sessions {
  readonly #core: MetaCore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #leaseMs: number;
  /** What clients have locked: goes with their sessions. */
  readonly locks: ServedLocks;
  /** Which client is the only one. */
  readonly #lone: LoneGrants;
  readonly #clients = new Map<string, Client>();
  #timer: NodeJS.Timeout | undefined;
  #tickedAtMs = Infinity;
  #closed = false;

  private constructor(options: SessionsOptions) {
    this.#core = options.core;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.locks = options.locks ?? new ServedLocks();
    this.#lone = new LoneGrants({ clock: options.clock, pause: options.pause });
  }

  /** Takes up the sessions that the database knows; each gets a fresh lease. */
  static async load(options: SessionsOptions): Promise<Sessions> {
    const sessions = new Sessions(options);
    const known = await options.core.read(knownSessions);
    for (const [id, session] of known) sessions.#add(id, session);
    const ids = known.map(([id]) => id);
    sessions.locks.await(ids);
    sessions.#lone.resume(ids);
    for (const id of await options.core.read(openers)) {
      if (!sessions.#clients.has(id)) sessions.#add(id, undefined);
    }
    return sessions;
  }

  #add(id: string, session: number | undefined): Client {
    const client: Client = {
      id,
      key: keyOf(id),
      session,
      beginning: undefined,
      lapsesAtMs: this.#clock.monotonicMs() + this.#leaseMs,
      connection: undefined,
      isLocal: false,
      ending: undefined,
    };
    this.#clients.set(id, client);
    return client;
  }

  /** Looks for dead clients from now on. */
  start(): void {
    this.#timer ??= setInterval(() => void this.tick(), CHECK_MS).unref();
  }

  /** Looks for dead clients as the timer does: after a standstill each gets a fresh lease, as after a restart. */
  async tick(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#tickedAtMs >= STANDSTILL_MS) {
      const lapsesAtMs = nowMs + this.#leaseMs;
      for (const client of this.#clients.values()) client.lapsesAtMs = lapsesAtMs;
    }
    this.#tickedAtMs = nowMs;
    await this.check();
  }

  /** Ends no session: clients go on with them in this process's next life. */
  close(): void {
    this.#closed = true;
    this.locks.close();
    clearInterval(this.#timer);
  }

  /** Clients that have a session. */
  get count(): number {
    let count = 0;
    for (const { session } of this.#clients.values()) if (session !== undefined) count++;
    return count;
  }

  /**
   * The session of the client whose id this is, in hex, begun if it has none; the connection is what keeps it alive
   * from now on, and what an earlier one still brings would come too late. What is left of an earlier life of it is
   * dropped first, and one that is new waits while another has been told that it is the only one. EIO if the connection
   * ends meanwhile.
   */
  async open(id: string, connection: SignsOfLife): Promise<OpenedSession> {
    await this.#enter(id, () => connection.isOpen);
    const client = this.#clients.get(id) ?? this.#add(id, undefined);
    if (client.connection !== connection) client.connection?.close();
    client.connection = connection;
    client.lapsesAtMs = this.#clock.monotonicMs() + this.#leaseMs;
    if (client.session !== undefined) return { session: client.session, isNew: false };
    client.beginning ??= Promise.resolve(this.#begin(client.key)).finally(() => {
      client.beginning = undefined;
    });
    client.session = await client.beginning;
    return { session: client.session, isNew: true };
  }

  /** Lets a client in that is to live in this process, before {@link local}. */
  async enterLocal(id: string): Promise<void> {
    await this.#enter(id, () => true);
  }

  async #enter(id: string, isThere: () => boolean): Promise<void> {
    do {
      await this.#clients.get(id)?.ending;
      if (!(await this.#lone.enter(id, isThere))) {
        throw new FsError('EIO', 'the client went away before it was let in');
      }
    } while (this.#clients.get(id)?.ending !== undefined);
  }

  /** For how many milliseconds from when it asked the client is the only one; 0 if it is not known to be. */
  askAlone(id: string): number {
    return this.#lone.ask(id);
  }

  #begin(key: Buffer): MaybePromise<number> {
    return this.#core.transact(function* (kv) {
      const session = yield* openSession(kv);
      yield* wait(kv.put(clientKey(key), encodeNumber(session)));
      return session;
    });
  }

  /** The metadata for a mount in this process; it needs no session, and lives until {@link Sessions.end}. */
  local(id: string): MetaSession {
    const client = this.#clients.get(id) ?? this.#add(id, undefined);
    client.isLocal = true;
    const { locks } = this;
    const own = new ClientLocks({
      lock: (request) => then(locks.ready(), () => locks.lock(id, request)),
      unlock: (request) => {
        locks.unlock(id, request);
      },
      test: (request) => then(locks.ready(), () => locks.test(id, request)),
      cancel: (wait) => locks.cancel(id, wait),
    });
    const askAlone = (): number => this.#lone.ask(id);
    return new MetaSession(this.#core, client.key, { locks: own, askAlone });
  }

  /** The client's key in the database if `session` is its session now. */
  keyOf(id: string, session: number): Buffer | undefined {
    const client = this.#clients.get(id);
    return client?.session === session && client.ending === undefined ? client.key : undefined;
  }

  /** A client says that it ends: as if it had died, but at once. */
  async end(id: string): Promise<void> {
    const client = this.#clients.get(id);
    if (client !== undefined) await this.#end(client, true);
  }

  /** Ends the sessions of clients whose lease has lapsed. Never rejects: what fails is tried again. */
  async check(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const ending: Promise<void>[] = [];
    for (const client of this.#clients.values()) {
      if (client.isLocal || client.ending !== undefined) continue;
      const { connection } = client;
      if (connection?.isOpen === true) {
        client.lapsesAtMs = Math.max(client.lapsesAtMs, connection.lastHeardMs + this.#leaseMs);
      }
      if (nowMs < client.lapsesAtMs) continue;
      this.#logger.info({ client: client.id, session: client.session }, 'a client has died');
      ending.push(this.#end(client, false));
    }
    await Promise.allSettled(ending);
  }

  #end(client: Client, isOrderly: boolean): Promise<void> {
    client.ending ??= this.#drop(client).then(
      () => {
        this.#clients.delete(client.id);
        this.#lone.left(client.id, isOrderly);
      },
      (error: unknown) => {
        client.ending = undefined;
        this.#logger.warn({ client: client.id, err: error }, 'session not dropped yet, will retry');
      },
    );
    return client.ending;
  }

  /** In steps, so that others are served in between; to begin again after a crash does no harm. */
  async #drop(client: Client): Promise<void> {
    const { id, key, session } = client;
    this.locks.drop(id);
    await this.#core.transact(function* (kv) {
      if (session !== undefined) yield* expireSession(kv, session);
      yield* wait(kv.remove(clientKey(key)));
    }, 'reserve');
    client.session = undefined;
    let range: KeyRange | undefined = tableRange(Table.OPENS);
    while (range !== undefined && !this.#closed) {
      const rest: KeyRange = range;
      const step = await this.#core.transact((kv) => dropOpens(kv, key, rest), 'reserve');
      this.#reap(step.orphans);
      for (const id of step.clients) if (!this.#clients.has(id)) this.#add(id, undefined);
      range = step.rest;
      if (range !== undefined) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #reap(orphans: readonly InodeId[]): void {
    for (const inode of orphans) void this.#core.reap(inode);
  }
}

function keyOf(id: string): Buffer {
  const key = Buffer.from(id, 'hex');
  invariant(key.length === CLIENT_ID_BYTES, `client id "${id}"`);
  return key;
}

function* knownSessions(kv: KeyValueReader): Task<[id: string, session: number][]> {
  const rows = yield* wait(kv.range(tableRange(Table.CLIENTS)));
  return rows.map(({ key, value }) => [key.subarray(1).toString('hex'), decodeNumber(value)]);
}
