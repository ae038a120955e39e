/**
 * Runs namespace operations where there are several metadata servers. What concerns this server alone runs in one turn
 * on its database; what needs keys of others runs over a {@link CollectingTransaction} and is then agreed on. Whoever
 * loses to others tries again, and after a few losses has its keys kept for it first.
 */
import { FsError } from '../../errno.ts';
import type { InodeId } from '../../ids.ts';
import { type MaybePromise, runSync, runTask, type Task } from '../../task.ts';
import type { RoomUse } from '../file-room.ts';
import { KeyValueError, type KeyValueReader, type KeyValueTransaction } from '../kv.ts';
import { CollectingTransaction } from './collecting-transaction.ts';
import type { Coordinator } from './coordinator.ts';
import {
  asDatabaseError,
  ConflictError,
  ElsewhereError,
  LockedError,
  UnreachableError,
} from './errors.ts';
import { holdsOfFootprint } from './footprints.ts';
import type { GuardedDatabase } from './guarded-database.ts';
import type { LockTable } from './lock-table.ts';
import type {
  Footprint,
  Participant,
  ReadReply,
  ReadRequest,
  TransactionId,
} from './participant.ts';
import { PatienceError, sleep, type Timing, waitUntil } from './timing.ts';

/** How long an operation waits for other servers and other transactions before it fails with EIO. */
export const OPERATION_PATIENCE_MS = 10_000;

/** Attempts that take their chances, before keys are reserved. */
const OPTIMISTIC_ATTEMPTS = 3;

/** Longest pause after a first, a second, … lost attempt: it doubles up to a limit. */
const FIRST_PAUSE_MS = 1;
const LAST_PAUSE_MS = 64;

/** Pause after a server could not be asked. */
const AWAY_PAUSE_MS = 50;

export interface TransactionsOptions {
  database: GuardedDatabase;
  locks: LockTable;
  coordinator: Coordinator;
  participantAt: (server: number) => Participant;
  /** A new inode number of any server. */
  newNumber: (server: number) => MaybePromise<InodeId>;
  timing: Timing;
  patienceMs?: number;
}

/** What an attempt may end in that is nobody's fault; anything else ends the operation. */
const RETRIED = [ConflictError, LockedError, PatienceError, UnreachableError];

/** An operation that changes the namespace, and what goes with it in the same transaction. */
export interface Mutation<T, R> {
  /**
   * Makes all its checks before its first write. It may be run several times, and over what was never true at
   * one time: then what comes of it is dropped.
   */
  run: (kv: KeyValueTransaction) => Task<T>;
  /** Runs this server's own part, such as the record of the reply, around the operation; on own keys alone. */
  around: (kv: KeyValueTransaction, run: (kv: KeyValueTransaction) => Task<T>) => Task<R>;
  use?: RoomUse;
}

/** How an operation over collected reads ended. */
type Collected<T> = { ok: true; value: T } | { ok: false; error: Error };

export class Transactions {
  readonly #options: TransactionsOptions;

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Reads in one turn if nobody holds what is read. EIO if it is held for too long. */
  read<T>(operation: (kv: KeyValueReader) => Task<T>): MaybePromise<T> {
    const attempt = (): T => runSync(operation(this.#options.database));
    try {
      return attempt();
    } catch (error) {
      if (error instanceof LockedError) return this.#readLater(operation, attempt, error);
      if (error instanceof ElsewhereError) return this.#readElsewhere(operation);
      throw error;
    }
  }

  async #readLater<T>(
    operation: (kv: KeyValueReader) => Task<T>,
    attempt: () => T,
    locked: LockedError,
  ): Promise<T> {
    try {
      return await this.#whenReleased(locked, attempt);
    } catch (error) {
      if (!(error instanceof ElsewhereError)) throw error;
      return this.#readElsewhere(operation);
    }
  }

  async #whenReleased<T>(first: LockedError, attempt: () => T): Promise<T> {
    const deadlineMs = this.#deadlineMs();
    let locked = first;
    for (;;) {
      await this.#released(locked, deadlineMs);
      try {
        return attempt();
      } catch (error) {
        if (!(error instanceof LockedError)) throw error;
        locked = error;
      }
    }
  }

  #deadlineMs(): number {
    const { timing, patienceMs = OPERATION_PATIENCE_MS } = this.#options;
    return timing.nowMs() + patienceMs;
  }

  /** EIO at the deadline. */
  async #released(locked: LockedError, deadlineMs: number): Promise<void> {
    const { locks, timing } = this.#options;
    try {
      await waitUntil(timing, deadlineMs, locks.whenReleased(locked.holder));
    } catch (error) {
      throw error instanceof PatienceError ? new FsError('EIO', locked.message) : error;
    }
  }

  /** What a lookup and the like see need not all have been true at one time. */
  async #readElsewhere<T>(operation: (kv: KeyValueReader) => Task<T>): Promise<T> {
    const deadlineMs = this.#deadlineMs();
    for (;;) {
      try {
        return await runTask(operation(this.#collecting(deadlineMs)));
      } catch (error) {
        await this.#pauseOrFail(error, 0, deadlineMs);
      }
    }
  }

  #collecting(deadlineMs: number): CollectingTransaction {
    const { database, newNumber } = this.#options;
    return new CollectingTransaction({
      server: database.server,
      read: (server, request) => this.#fetch(server, request, deadlineMs),
      newNumber,
    });
  }

  async #fetch(server: number, request: ReadRequest, deadlineMs: number): Promise<ReadReply> {
    const { participantAt, timing } = this.#options;
    for (;;) {
      const asked = Promise.resolve().then(() => participantAt(server).read(request));
      const reply = await waitUntil(timing, deadlineMs, asked).catch((error: unknown) => {
        // Its errno is not one of the operation's own.
        throw error instanceof FsError ? asDatabaseError(error) : (error as Error);
      });
      if (reply !== undefined) return reply;
    }
  }

  /**
   * Runs an operation to its end, in this turn if it concerns this server alone. Beside the operation's own errnos
   * EIO, when other servers or transactions made it wait too long: then nothing has been done, and a retry is safe.
   */
  mutate<T, R>(mutation: Mutation<T, R>): MaybePromise<R> {
    const { database } = this.#options;
    const attempt = (): R =>
      database.transact((kv) => mutation.around(kv, mutation.run), mutation.use);
    try {
      return attempt();
    } catch (error) {
      if (error instanceof LockedError) return this.#mutateLater(mutation, attempt, error);
      if (error instanceof ElsewhereError)
        return this.#mutateTogether(mutation, this.#deadlineMs());
      throw error;
    }
  }

  async #mutateLater<T, R>(
    mutation: Mutation<T, R>,
    attempt: () => R,
    locked: LockedError,
  ): Promise<R> {
    try {
      return await this.#whenReleased(locked, attempt);
    } catch (error) {
      if (!(error instanceof ElsewhereError)) throw error;
      return this.#mutateTogether(mutation, this.#deadlineMs());
    }
  }

  async #mutateTogether<T, R>(mutation: Mutation<T, R>, deadlineMs: number): Promise<R> {
    const lost = new Map<number, Footprint>();
    for (let attempt = 0; ; attempt++) {
      try {
        const reserve = attempt < OPTIMISTIC_ATTEMPTS ? undefined : new Map(lost);
        lost.clear();
        return await this.#attemptTogether(mutation, deadlineMs, { reserve, lost });
      } catch (error) {
        await this.#pauseOrFail(error, attempt, deadlineMs);
      }
    }
  }

  /** Notes in `lost` what it read and wanted to write. */
  async #attemptTogether<T, R>(
    { run, around, use = 'growth' }: Mutation<T, R>,
    deadlineMs: number,
    keys: { reserve: ReadonlyMap<number, Footprint> | undefined; lost: Map<number, Footprint> },
  ): Promise<R> {
    const { coordinator } = this.#options;
    const transaction = coordinator.begin();
    const reserved = new Set(keys.reserve?.keys());
    const concerned = new Set<number>();
    try {
      if (keys.reserve !== undefined) await this.#reserve(transaction, keys.reserve, deadlineMs);
      const collecting = this.#collecting(deadlineMs);
      const collected = await collect(() => run(collecting));
      const footprints = collecting.footprints(!collected.ok);
      for (const [server, footprint] of footprints) {
        concerned.add(server);
        keys.lost.set(server, footprint);
      }
      return await coordinator.commit({
        transaction,
        footprints,
        use,
        deadlineMs,
        decide: (kv, apply) =>
          around(kv, function* () {
            yield* apply();
            if (!collected.ok) throw collected.error;
            return collected.value;
          }),
      });
    } finally {
      coordinator.end(transaction, { reserved, concerned });
    }
  }

  /**
   * Has keys kept that were lost before, server by server in the order of their numbers, so that two transactions never
   * wait for each other. Without them the attempt takes its chances again.
   */
  async #reserve(
    transaction: TransactionId,
    footprints: ReadonlyMap<number, Footprint>,
    deadlineMs: number,
  ): Promise<void> {
    const { participantAt, timing } = this.#options;
    for (const [server, footprint] of [...footprints].sort(([a], [b]) => a - b)) {
      const request = { transaction, ...holdsOfFootprint(footprint) };
      const asked = Promise.resolve().then(() => participantAt(server).reserve(request));
      if (!(await waitUntil(timing, deadlineMs, asked))) return;
    }
  }

  /** Throws what ends the operation; returns after a pause where it is worth another attempt. */
  async #pauseOrFail(error: unknown, attempt: number, deadlineMs: number): Promise<void> {
    const { timing } = this.#options;
    if (!isRetried(error)) throw error;
    if (timing.nowMs() >= deadlineMs) {
      throw new FsError('EIO', 'metadata servers did not agree in time', { cause: error });
    }
    const conflict = error instanceof ConflictError || error instanceof LockedError;
    const mostMs = conflict
      ? Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10))
      : AWAY_PAUSE_MS;
    await sleep(timing, mostMs * (0.5 + timing.random()));
  }
}

/** Whatever an operation throws may come of reads that never were true together: it counts once they are agreed on. */
async function collect<T>(run: () => Task<T>): Promise<Collected<T>> {
  try {
    return { ok: true, value: await runTask(run()) };
  } catch (error) {
    const isOperations = !(error instanceof KeyValueError) && !isRetried(error);
    if (isOperations && error instanceof Error) return { ok: false, error };
    throw error;
  }
}

function isRetried(error: unknown): boolean {
  return RETRIED.some((kind) => error instanceof kind);
}
