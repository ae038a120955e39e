/**
 * Decides transactions of this server over several servers. The others prepare; then one transaction of this
 * server's own database checks and writes its own share, and with it the decision: that is when the whole takes place.
 * A transaction that no decision is known of has not taken place and never will.
 */
import type { Logger } from '../../log.ts';
import { runSync, type Task } from '../../task.ts';
import type { RoomUse } from '../file-room.ts';
import { SystemKey } from '../keys.ts';
import type { KeyValueTransaction } from '../kv.ts';
import { getSystemNumber, putSystemNumber } from '../tables.ts';
import { ConflictError, LockedError } from './errors.ts';
import { type AppliedChange, applyWrites, emptyFootprint, holdsStill } from './footprints.ts';
import type { GuardedDatabase } from './guarded-database.ts';
import {
  type Footprint,
  type FromCoordinator,
  type Participant,
  type TransactionId,
  transactionName,
  type TransactionOutcome,
} from './participant.ts';
import { sleep, type Timing, waitUntil } from './timing.ts';
import { listDecisions, putDecision, removeDecision } from './transaction-records.ts';

/** Transaction numbers that one write to the database makes available. */
const NUMBER_CHUNK = 1024;

/** A participant that did not confirm a decision is told again after so long, then ever less often. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;

/** Longest wait for all participants to prepare: meanwhile those that have hold their keys. */
const PREPARE_PATIENCE_MS = 3000;

/** Longest wait for one participant's confirmation; it is told again afterwards. */
const CONFIRM_PATIENCE_MS = 5000;

export interface CoordinatorOptions {
  database: GuardedDatabase;
  participantAt: (server: number) => Participant;
  timing: Timing;
  logger: Logger;
  /** A transaction over several servers has changed this database. */
  onApplied: (change: AppliedChange) => void;
}

/** What is to be agreed on. */
export interface Proposal<T> {
  transaction: TransactionId;
  /** By server, this one included. */
  footprints: ReadonlyMap<number, Footprint>;
  use: RoomUse;
  /** When to give up, by the timing's clock. */
  deadlineMs: number;
  /**
   * Runs in the deciding transaction, after which its result counts. It calls `apply` at most once; if it does
   * not, nothing takes place anywhere.
   */
  decide: (kv: KeyValueTransaction, apply: () => Task<void>) => Task<T>;
}

export class Coordinator {
  readonly #options: CoordinatorOptions;
  /** Not decided yet. */
  readonly #active = new Set<number>();
  /** Decided, with those who have not confirmed. */
  readonly #decided = new Map<number, Set<number>>();
  #nextNumber = 1;
  #numberLimit = 1;
  #closed = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
  }

  /** Goes on with what was decided before the process was started; to be called before anything is served. */
  recover(): void {
    const { database } = this.#options;
    this.#nextNumber =
      runSync(getSystemNumber(database, SystemKey.TRANSACTION_HIGH_WATER)) ?? this.#nextNumber;
    this.#numberLimit = this.#nextNumber;
    for (const { number, participants } of runSync(listDecisions(database))) {
      this.#spread(number, participants);
    }
  }

  /** Tells nobody any more; what is unconfirmed stays in the database. */
  close(): void {
    this.#closed = true;
  }

  /** Transactions that are decided and not confirmed by all. */
  get unconfirmed(): number {
    return this.#decided.size;
  }

  /** A transaction that is pending until {@link end}. */
  begin(): TransactionId {
    const { database } = this.#options;
    if (this.#nextNumber >= this.#numberLimit) {
      const limit = this.#nextNumber + NUMBER_CHUNK;
      database.transact(
        (kv) => putSystemNumber(kv, SystemKey.TRANSACTION_HIGH_WATER, limit),
        'reserve',
      );
      this.#numberLimit = limit;
    }
    const number = this.#nextNumber++;
    this.#active.add(number);
    return { coordinator: database.server, number };
  }

  outcome(number: number): TransactionOutcome {
    if (this.#active.has(number)) return 'pending';
    return this.#decided.has(number) ? 'committed' : 'aborted';
  }

  /** The beginning of every message. Numbers rise, so the first of each set is its lowest. */
  about(transaction: TransactionId): FromCoordinator {
    const [active = this.#nextNumber] = this.#active;
    let settledBelow = active;
    for (const number of this.#decided.keys()) settledBelow = Math.min(settledBelow, number);
    return { transaction, settledBelow };
  }

  /**
   * Ends a transaction that was begun. If it was not decided it is off for good: all that may have prepared it or
   * reserved for it are told so once. Otherwise it is those who had no part in it, in the end.
   */
  end(
    transaction: TransactionId,
    servers: { reserved: ReadonlySet<number>; concerned: ReadonlySet<number> },
  ): void {
    const undecided = this.#active.delete(transaction.number);
    const { server: own } = this.#options.database;
    for (const server of new Set([...servers.reserved, ...servers.concerned])) {
      const told = !undecided && server !== own && servers.concerned.has(server);
      if (!told) this.#dismiss(server, transaction, false);
    }
  }

  /** Tells a server that it need not hold anything; one that the message misses asks by itself. */
  #dismiss(server: number, transaction: TransactionId, commit: boolean): void {
    const { logger, participantAt } = this.#options;
    const request = { ...this.about(transaction), commit };
    const name = transactionName(transaction);
    Promise.resolve()
      .then(() => participantAt(server).finish(request))
      .catch((error: unknown) => {
        logger.debug(
          { server, transaction: name, err: error },
          'the end of a transaction was not told',
        );
      });
  }

  /**
   * Returns what {@link Proposal.decide} returned, or fails with ConflictError; with FsError if a database failed;
   * with anything else if a server could not be asked. If it fails, nothing has taken place.
   */
  async commit<T>(proposal: Proposal<T>): Promise<T> {
    const { database, onApplied } = this.#options;
    const { transaction, footprints } = proposal;
    const remote = [...footprints].filter(([server]) => server !== database.server);
    await this.#prepare(proposal, remote);
    if (!this.#active.has(transaction.number)) throw new ConflictError('ended meanwhile');
    const own = footprints.get(database.server) ?? emptyFootprint();
    const writers = remote.filter(([, { writes }]) => writes.length > 0).map(([server]) => server);
    let applied: AppliedChange | undefined;
    const result = this.#decide(proposal, function* (kv) {
      if (!(yield* holdsStill(kv, own))) throw new ConflictError('what was read changed');
      const change = yield* applyWrites(kv, own.writes);
      if (writers.length > 0) {
        yield* putDecision(kv, { number: transaction.number, participants: writers });
      }
      applied = change;
    });
    if (applied === undefined) return result;
    if (writers.length > 0) this.#spread(transaction.number, writers);
    this.#active.delete(transaction.number);
    for (const [server, { writes }] of remote) {
      if (writes.length === 0) this.#dismiss(server, transaction, true);
    }
    if (own.writes.length > 0) onApplied(applied);
    return result;
  }

  async #prepare<T>(
    { transaction, use, deadlineMs }: Proposal<T>,
    remote: readonly (readonly [number, Footprint])[],
  ): Promise<void> {
    const { participantAt, timing } = this.#options;
    const about = this.about(transaction);
    const untilMs = Math.min(deadlineMs, timing.nowMs() + PREPARE_PATIENCE_MS);
    const replies = await Promise.allSettled(
      remote.map(([server, footprint]) =>
        waitUntil(
          timing,
          untilMs,
          Promise.resolve().then(() =>
            participantAt(server).prepare({ ...about, ...footprint, use }),
          ),
        ),
      ),
    );
    // A server that failed says more than one that had a conflict.
    for (const reply of replies) if (reply.status === 'rejected') throw reply.reason;
    for (const reply of replies) {
      if (reply.status === 'fulfilled' && reply.value !== 'prepared') {
        throw new ConflictError('another server has it otherwise, or holds it for others');
      }
    }
  }

  /** The transaction in which all of it takes place, or nothing. */
  #decide<T>(proposal: Proposal<T>, apply: (kv: KeyValueTransaction) => Task<void>): T {
    const { database } = this.#options;
    try {
      return database.transact(
        (kv) => proposal.decide(kv, () => apply(kv)),
        proposal.use,
        transactionName(proposal.transaction),
      );
    } catch (error) {
      if (error instanceof LockedError) throw new ConflictError(error.message);
      throw error;
    }
  }

  /** Tells all who are to apply a decided transaction until they have confirmed, then forgets the decision. */
  #spread(number: number, participants: readonly number[]): void {
    const waiting = new Set(participants);
    this.#decided.set(number, waiting);
    for (const server of participants) void this.#tell(server, number, waiting);
  }

  async #tell(server: number, number: number, waiting: Set<number>): Promise<void> {
    const { database, logger, participantAt, timing } = this.#options;
    const transaction = { coordinator: database.server, number };
    for (let delayMs = FIRST_RETRY_MS; ; delayMs = Math.min(LAST_RETRY_MS, delayMs * 2)) {
      if (this.#closed) return;
      try {
        const request = { ...this.about(transaction), commit: true };
        const told = Promise.resolve().then(() => participantAt(server).finish(request));
        await waitUntil(timing, timing.nowMs() + CONFIRM_PATIENCE_MS, told);
        waiting.delete(server);
        this.#forgetIfOver(number, waiting);
        return;
      } catch (error) {
        const name = transactionName(transaction);
        logger.warn({ server, transaction: name, err: error }, 'decision not confirmed yet');
      }
      await sleep(timing, delayMs);
    }
  }

  #forgetIfOver(number: number, waiting: ReadonlySet<number>): void {
    if (waiting.size > 0 || this.#closed) return;
    const { database, logger, timing } = this.#options;
    try {
      database.transact((kv) => removeDecision(kv, number), 'reserve');
    } catch (error) {
      logger.warn({ number, err: error }, 'cannot forget a decision that all have confirmed');
      timing.after(LAST_RETRY_MS, () => {
        this.#forgetIfOver(number, waiting);
      });
      return;
    }
    this.#decided.delete(number);
  }
}
