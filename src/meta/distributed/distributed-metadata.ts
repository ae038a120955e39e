/**
 * One of several metadata servers: its database, the transactions that it begins, and its part in those of others.
 * Everything on the server uses `database` and `transactions`; nobody else touches the database below.
 */
import { FsError } from '../../errno.ts';
import type { InodeId } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import type { MaybePromise } from '../../task.ts';
import type { InodeNumbers } from '../inode-numbers.ts';
import type { Database } from '../kv.ts';
import { Coordinator } from './coordinator.ts';
import { asDatabaseError } from './errors.ts';
import type { AppliedChange } from './footprints.ts';
import { GuardedDatabase } from './guarded-database.ts';
import { LocalParticipant } from './local-participant.ts';
import { LockTable } from './lock-table.ts';
import { NumberPool, SpreadNumbers } from './numbers.ts';
import type { Participant } from './participant.ts';
import type { Timing } from './timing.ts';
import { Transactions } from './transactions.ts';

export interface DistributedMetadataOptions {
  database: Database;
  /** Number of this metadata server. */
  server: number;
  /** How many there are; never changes. */
  servers: number;
  /** Of this server; loaded. */
  numbers: InodeNumbers;
  /** Any other server. */
  neighbour: (server: number) => Participant;
  timing: Timing;
  logger: Logger;
  /** A transaction over several servers has changed the database: counts and caches may have to follow. */
  onApplied: (change: AppliedChange) => void;
  patienceMs?: number;
}

export class DistributedMetadata {
  readonly database: GuardedDatabase;
  readonly transactions: Transactions;
  /** What other servers ask. */
  readonly participant: LocalParticipant;
  /** For the namespace's context. */
  readonly numbers: SpreadNumbers;
  readonly #locks = new LockTable();
  readonly #coordinator: Coordinator;

  constructor(options: DistributedMetadataOptions) {
    const { server, servers, numbers, timing, logger, onApplied } = options;
    const locks = this.#locks;
    const database = new GuardedDatabase({
      database: tellingOfFailures(options.database, numbers),
      server,
      locks,
    });
    const participantAt = (at: number): Participant =>
      at === server ? this.participant : options.neighbour(at);
    const coordinator = new Coordinator({ database, participantAt, timing, logger, onApplied });
    this.database = database;
    this.#coordinator = coordinator;
    this.numbers = new SpreadNumbers({ server, servers, own: numbers });
    this.participant = new LocalParticipant({
      database,
      locks,
      numbers,
      participantAt,
      outcomeOf: (number) => coordinator.outcome(number),
      timing,
      logger,
      onApplied,
    });
    this.transactions = new Transactions({
      database,
      coordinator,
      locks,
      participantAt,
      timing,
      newNumber: newNumbers(options, database),
      ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
    });
  }

  /** Holds again, and goes on with, what was under way when the process ended; before anything is served. */
  recover(): void {
    this.participant.recover();
    this.#coordinator.recover();
  }

  /** Transactions that hold something here, and decisions that others have not confirmed. */
  statistics(): { holders: string[]; unconfirmed: number } {
    return { holders: this.#locks.names(), unconfirmed: this.#coordinator.unconfirmed };
  }

  /** Every access fails from now on; what is undecided goes on at the next start. */
  close(): void {
    this.participant.close();
    this.#coordinator.close();
    this.database.close();
  }
}

/** Gives out inode numbers of any server, each in a transaction of its own: one that is not used is wasted. */
function newNumbers(
  { server, numbers, neighbour }: DistributedMetadataOptions,
  database: Database,
): (at: number) => MaybePromise<InodeId> {
  const pools = new Map<number, NumberPool>();
  return (at) => {
    if (at === server) return database.transact((kv) => numbers.reserve(kv, 1)).first;
    let pool = pools.get(at);
    if (pool === undefined) {
      pool = new NumberPool(async (count) => {
        try {
          return await neighbour(at).reserveNumbers(count);
        } catch (error) {
          // Its errno is not one of the operation's own.
          throw error instanceof FsError ? asDatabaseError(error) : (error as Error);
        }
      });
      pools.set(at, pool);
    }
    return pool.take();
  };
}

/** A transaction that fails takes back what it noted of the numbers that it gave out: operations may end half-way here. */
function tellingOfFailures(database: Database, numbers: InodeNumbers): Database {
  return {
    get: (key) => database.get(key),
    range: (range) => database.range(range),
    transact: (operation, use) => {
      try {
        return database.transact(operation, use);
      } catch (error) {
        numbers.rolledBack();
        throw error;
      }
    },
  };
}
