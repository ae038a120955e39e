/**
 * This server's part in transactions over several servers, over its own database. What was prepared survives the
 * process: it is held until the coordinator has told, or been asked, what became of it.
 */
import type { Logger } from '../../log.ts';
import { ProtocolError } from '../../net/errors.ts';
import { runSync } from '../../task.ts';
import type { InodeNumbers, NumberChunk } from '../inode-numbers.ts';
import { ConflictError, LockedError } from './errors.ts';
import { type AppliedChange, applyWrites, holdsOfFootprint, holdsStill } from './footprints.ts';
import type { GuardedDatabase } from './guarded-database.ts';
import type { LockTable } from './lock-table.ts';
import { serverOfKey } from './ownership.ts';
import {
  type FinishRequest,
  type FromCoordinator,
  type Participant,
  type PrepareReply,
  type PrepareRequest,
  type ReadReply,
  type ReadRequest,
  type ReserveRequest,
  type TransactionId,
  transactionName,
  type TransactionOutcome,
} from './participant.ts';
import { PatienceError, sleep, type Timing, waitUntil } from './timing.ts';
import {
  findParticipantState,
  holdsOf,
  listPrepared,
  listSettled,
  pruneApplied,
  putApplied,
  putPrepared,
  removeParticipantState,
} from './transaction-records.ts';

/** How long a read or a reservation waits for holders before its caller is told to ask again. */
const HELD_PATIENCE_MS = 2000;

/** A reservation ends by itself after so long: its coordinator may be gone. */
const RESERVATION_MS = 2000;

/** The coordinator is asked after so long without a decision, and then again, ever less often. */
const FIRST_INQUIRY_MS = 500;
const LAST_INQUIRY_MS = 5000;

export interface LocalParticipantOptions {
  database: GuardedDatabase;
  locks: LockTable;
  numbers: InodeNumbers;
  /** Any server, this one included. */
  participantAt: (server: number) => Participant;
  /** What this server decided as a coordinator. */
  outcomeOf: (number: number) => TransactionOutcome;
  timing: Timing;
  logger: Logger;
  /** Another server's transaction has changed the database. */
  onApplied: (change: AppliedChange) => void;
}

export class LocalParticipant implements Participant {
  readonly #options: LocalParticipantOptions;
  /** By coordinator: its transactions below this number are over. */
  readonly #settledBelow = new Map<number, number>();
  readonly #cancelReservations = new Map<string, () => void>();
  #closed = false;

  constructor(options: LocalParticipantOptions) {
    this.#options = options;
  }

  /** Holds again what was prepared before the process was started; to be called before anything is served. */
  recover(): void {
    const { database, locks } = this.#options;
    for (const [coordinator, number] of runSync(listSettled(database))) {
      this.#settledBelow.set(coordinator, number);
    }
    for (const { transaction, prepared } of runSync(listPrepared(database))) {
      locks.take(transactionName(transaction), 'prepared', holdsOf(prepared));
      void this.#inquire(transaction, 0);
    }
  }

  /** Asks nobody any more. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancelReservations.values()) cancel();
    this.#cancelReservations.clear();
  }

  async read(request: ReadRequest): Promise<ReadReply | undefined> {
    const { database, timing } = this.#options;
    const deadlineMs = timing.nowMs() + HELD_PATIENCE_MS;
    for (;;) {
      try {
        return {
          values: request.keys.map((key) => copied(database.get(key))),
          pairs: request.ranges.map((range) => database.range(range)),
        };
      } catch (error) {
        if (!(error instanceof LockedError)) throw error;
        if (!(await this.#released(error.holder, deadlineMs))) return undefined;
      }
    }
  }

  /** False if the transaction still holds something at the deadline. */
  async #released(name: string, deadlineMs: number): Promise<boolean> {
    const { locks, timing } = this.#options;
    try {
      await waitUntil(timing, deadlineMs, locks.whenReleased(name));
      return true;
    } catch (error) {
      if (error instanceof PatienceError) return false;
      throw error;
    }
  }

  prepare(request: PrepareRequest): PrepareReply {
    const { database, locks } = this.#options;
    const { transaction } = request;
    const name = transactionName(transaction);
    const holds = holdsOfFootprint(request);
    if (holds.writes.some((key) => serverOfKey(key) !== database.server)) {
      throw new ProtocolError('a transaction wants to write what this server does not keep');
    }
    if (runSync(findParticipantState(database, transaction)) !== undefined) return 'prepared';
    const settledBelow = this.#learn(request);
    if (transaction.number < settledBelow) return 'conflict';
    if (locks.blockerOf(holds, name) !== undefined) return 'conflict';
    try {
      database.transact(
        function* (kv) {
          if (!(yield* holdsStill(kv, request))) throw new ConflictError('what was read changed');
          yield* putPrepared(kv, transaction, { ...holds, writes: request.writes });
          yield* pruneApplied(kv, { transaction, settledBelow });
        },
        request.use,
        name,
      );
    } catch (error) {
      if (error instanceof ConflictError) return 'conflict';
      throw error;
    }
    this.#endReservation(name);
    locks.take(name, 'prepared', holds);
    void this.#inquire(transaction, FIRST_INQUIRY_MS);
    return 'prepared';
  }

  /** Returns the number below which the coordinator's transactions are over. */
  #learn({ transaction: { coordinator }, settledBelow }: FromCoordinator): number {
    const known = Math.max(settledBelow, this.#settledBelow.get(coordinator) ?? 0);
    this.#settledBelow.set(coordinator, known);
    return known;
  }

  finish(request: FinishRequest): void {
    const { database, locks, onApplied } = this.#options;
    const { transaction, commit } = request;
    const name = transactionName(transaction);
    const settledBelow = this.#learn(request);
    const state = runSync(findParticipantState(database, transaction));
    if (state?.applied === false) {
      const { writes } = state.prepared;
      const change = database.transact(
        function* (kv) {
          const applied = yield* applyWrites(kv, commit ? writes : []);
          if (commit && writes.length > 0) yield* putApplied(kv, transaction);
          else yield* removeParticipantState(kv, transaction);
          yield* pruneApplied(kv, { transaction, settledBelow });
          return applied;
        },
        'reserve',
        name,
      );
      if (commit && writes.length > 0) onApplied(change);
    }
    this.#endReservation(name);
    locks.release(name);
  }

  outcome(transaction: TransactionId): TransactionOutcome {
    return this.#options.outcomeOf(transaction.number);
  }

  async reserve(request: ReserveRequest): Promise<boolean> {
    const { locks, timing } = this.#options;
    const name = transactionName(request.transaction);
    const deadlineMs = timing.nowMs() + HELD_PATIENCE_MS;
    for (;;) {
      // A request that comes late must not replace what was prepared, nor come back after its transaction's end.
      if (locks.phaseOf(name) === 'prepared') return true;
      const blocker = locks.blockerOf(request, name);
      if (blocker === undefined) break;
      if (!(await this.#released(blocker, deadlineMs))) return false;
    }
    this.#endReservation(name);
    locks.take(name, 'reserved', request);
    const cancel = timing.after(RESERVATION_MS, () => {
      this.#cancelReservations.delete(name);
      if (locks.phaseOf(name) === 'reserved') locks.release(name);
    });
    this.#cancelReservations.set(name, cancel);
    return true;
  }

  #endReservation(name: string): void {
    this.#cancelReservations.get(name)?.();
    this.#cancelReservations.delete(name);
  }

  reserveNumbers(count: number): NumberChunk {
    const { database, numbers } = this.#options;
    return database.transact((kv) => numbers.reserve(kv, count));
  }

  /** Asks the coordinator what became of a transaction until it is over. */
  async #inquire(transaction: TransactionId, firstDelayMs: number): Promise<void> {
    const { locks, logger, participantAt, timing } = this.#options;
    const name = transactionName(transaction);
    let delayMs = firstDelayMs;
    for (;;) {
      await sleep(timing, delayMs);
      delayMs = Math.min(LAST_INQUIRY_MS, Math.max(FIRST_INQUIRY_MS, delayMs * 2));
      if (this.#closed || locks.phaseOf(name) !== 'prepared') return;
      try {
        const outcome = await participantAt(transaction.coordinator).outcome(transaction);
        if (this.#isOver() || locks.phaseOf(name) !== 'prepared') return;
        if (outcome === 'pending') continue;
        this.finish({ transaction, commit: outcome === 'committed', settledBelow: 0 });
        return;
      } catch (error) {
        logger.warn({ transaction: name, err: error }, 'cannot end a transaction yet, will retry');
      }
    }
  }

  #isOver(): boolean {
    return this.#closed;
  }
}

/** The database reuses the buffer of what it returns. */
function copied(value: Buffer | undefined): Buffer | undefined {
  return value === undefined ? undefined : Buffer.from(value);
}
