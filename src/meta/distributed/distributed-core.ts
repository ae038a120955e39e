/**
 * A metadata database that shares the namespace with others: the same operations as on one alone, over as many servers
 * as they concern.
 */
import type { InodeId } from '../../ids.ts';
import type { Logger } from '../../log.ts';
import type { HandlerTable } from '../../net/handler.ts';
import type { MaybePromise, Task } from '../../task.ts';
import type { MetaCore, MetaParts } from '../core.ts';
import type { NamespaceContext } from '../directories.ts';
import { once, type Outcome } from '../exactly-once.ts';
import type { RoomUse } from '../file-room.ts';
import type { KeyValueReader, KeyValueTransaction } from '../kv.ts';
import type { StoredInode } from '../records.ts';
import type { RequestTag } from '../store.ts';
import { DistributedMetadata } from './distributed-metadata.ts';
import type { Participant } from './participant.ts';
import { transactionOperations } from './service.ts';
import { systemTiming, type Timing } from './timing.ts';

export interface DistributedCoreOptions {
  parts: MetaParts;
  /** How many metadata servers there are; never changes. */
  servers: number;
  /** Any other server. */
  neighbour: (server: number) => Participant;
  logger: Logger;
  timing?: Timing;
  /** How long an operation waits for other servers; see OPERATION_PATIENCE_MS. */
  patienceMs?: number;
}

export class DistributedCore implements MetaCore {
  readonly server: number;
  readonly #parts: MetaParts;
  readonly #distributed: DistributedMetadata;
  /** What other servers ask: rows for the same RpcServer that serves clients. */
  readonly operations: HandlerTable;

  /** Goes on with what was under way when the process ended; nothing is served before. */
  constructor(options: DistributedCoreOptions) {
    const { parts, servers, neighbour, logger, timing = systemTiming, patienceMs } = options;
    this.server = parts.core.server;
    this.#parts = parts;
    this.#distributed = new DistributedMetadata({
      database: parts.database,
      server: this.server,
      servers,
      numbers: parts.numbers,
      neighbour,
      timing,
      logger,
      onApplied: ({ inodes, moved }) => {
        parts.countInodes(inodes);
        if (moved) parts.context.uris.forget();
      },
      ...(patienceMs === undefined ? {} : { patienceMs }),
    });
    this.operations = transactionOperations(this.#distributed.participant);
    this.#distributed.recover();
  }

  context(client: Buffer): NamespaceContext {
    return { ...this.#parts.core.context(client), numbers: this.#distributed.numbers };
  }

  transact<T>(
    operation: (kv: KeyValueTransaction) => Task<T>,
    use: RoomUse = 'growth',
  ): MaybePromise<T> {
    return this.#distributed.transactions.mutate<T, T>({
      run: operation,
      around: (kv, run) => run(kv),
      use,
    });
  }

  once(
    tag: RequestTag,
    mutation: (kv: KeyValueTransaction) => Task<StoredInode | undefined>,
    use: RoomUse = 'growth',
  ): MaybePromise<Outcome> {
    return this.#distributed.transactions.mutate({
      run: mutation,
      around: (kv, run) => once(kv, tag, run),
      use,
    });
  }

  read<T>(operation: (kv: KeyValueReader) => Task<T>): MaybePromise<T> {
    return this.#distributed.transactions.read(operation);
  }

  reap(inode: InodeId): MaybePromise<void> {
    return this.#parts.core.reap(inode);
  }

  inodeCount(): number {
    return this.#parts.core.inodeCount();
  }

  /** Transactions that hold something here, and decisions that others have not confirmed. */
  statistics(): { holders: string[]; unconfirmed: number } {
    return this.#distributed.statistics();
  }

  /** To be called before the database is closed; what is undecided goes on at the next start. */
  close(): void {
    this.#distributed.close();
  }
}
