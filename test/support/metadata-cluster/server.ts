/** One life of a simulated metadata server: all of it but the database goes when it is killed. */
import { ManualClock } from '../../../src/clock.ts';
import type { InodeId } from '../../../src/ids.ts';
import { silentLogger } from '../../../src/log.ts';
import { DatasetUris } from '../../../src/meta/dataset-uris.ts';
import { LINK_LIMITS, type NamespaceContext } from '../../../src/meta/directories.ts';
import { DistributedMetadata } from '../../../src/meta/distributed/distributed-metadata.ts';
import type { Participant } from '../../../src/meta/distributed/participant.ts';
import { once, type Outcome } from '../../../src/meta/exactly-once.ts';
import { InodeNumbers } from '../../../src/meta/inode-numbers.ts';
import type { Database, KeyValueTransaction } from '../../../src/meta/kv.ts';
import * as namespace from '../../../src/meta/namespace.ts';
import { rename } from '../../../src/meta/rename.ts';
import type { StoredInode } from '../../../src/meta/records.ts';
import type { EntryName, RequestTag } from '../../../src/meta/store.ts';
import { findEntry } from '../../../src/meta/tables.ts';
import { FileType } from '../../../src/stat.ts';
import { type MaybePromise, runSync, type Task } from '../../../src/task.ts';
import type { Operation, Place } from './namespace-model.ts';
import type { Schedule } from './schedule.ts';

const LAYOUT = { policy: 'RR', blockSizeBytes: 1_048_576, replication: 1 } as const;
const OWNER = { uid: 0, gid: 0, mode: 0o755 };
const MODES = { create: FileType.REGULAR | 0o644, mkdir: FileType.DIRECTORY | 0o755 };

export interface ServerOptions {
  number: number;
  servers: number;
  database: Database;
  schedule: Schedule;
  neighbour: (server: number) => Participant;
  /** Longest wait of an operation. */
  patienceMs: number;
  /** A transaction that ran an operation is about to be committed: this is what came of it. */
  onRan: (operation: Operation, outcome: Outcome) => void;
}

export class SimulatedServer {
  dead = false;
  readonly distributed: DistributedMetadata;
  readonly #options: ServerOptions;
  readonly #context: NamespaceContext;

  constructor(options: ServerOptions) {
    const { number, servers, database, schedule, neighbour, patienceMs } = options;
    this.#options = options;
    const numbers = new InodeNumbers(number);
    runSync(numbers.load(database));
    const uris = new DatasetUris();
    this.distributed = new DistributedMetadata({
      database,
      server: number,
      servers,
      numbers,
      neighbour,
      timing: schedule,
      logger: silentLogger,
      onApplied: ({ moved }) => {
        if (moved) uris.forget();
      },
      patienceMs,
    });
    const clock = new ManualClock();
    this.#context = {
      now: () => clock.now(),
      numbers: this.distributed.numbers,
      uris,
      limits: LINK_LIMITS,
      mapEpoch: 1,
      counts: { created: 0 },
      client: undefined,
    };
    if (number === 0) {
      database.transact((kv) =>
        namespace.makeRoot(this.#context, kv, { owner: OWNER, layout: LAYOUT }),
      );
    }
    this.distributed.recover();
  }

  kill(): void {
    this.dead = true;
    this.distributed.close();
  }

  execute(operation: Operation, tag: RequestTag): MaybePromise<Outcome> {
    const { onRan } = this.#options;
    return this.distributed.transactions.mutate({
      run: (kv) => this.#run(kv, operation),
      around: function* (kv, run) {
        const state = { ran: false };
        const outcome = yield* once(kv, tag, function* (inner) {
          state.ran = true;
          return yield* run(inner);
        });
        if (state.ran) onRan(operation, outcome);
        return outcome;
      },
    });
  }

  *#run(kv: KeyValueTransaction, operation: Operation): Task<StoredInode | undefined> {
    const context = this.#context;
    switch (operation.kind) {
      case 'create':
      case 'mkdir': {
        const spec = { ...OWNER, mode: MODES[operation.kind] };
        return yield* namespace.create(context, kv, entryName(operation.at), spec);
      }
      case 'link':
        return yield* namespace.link(
          context,
          kv,
          operation.inode as InodeId,
          entryName(operation.at),
        );
      case 'unlink':
        return yield* namespace.unlink(context, kv, entryName(operation.at));
      case 'rmdir':
        return yield* namespace.rmdir(context, kv, entryName(operation.at));
      case 'rename': {
        const names = { from: entryName(operation.from), to: entryName(operation.to) };
        const flags = operation.flag === 'none' ? {} : { [operation.flag]: true };
        return yield* rename(context, kv, names, flags);
      }
    }
  }

  /** Where a name leads to, as its directory's server shows it at this time. */
  look({ parent, name }: Place): MaybePromise<number | undefined> {
    return this.distributed.transactions.read(function* (kv) {
      return (yield* findEntry(kv, parent as InodeId, Buffer.from(name)))?.inode;
    });
  }
}

function entryName({ parent, name }: Place): EntryName {
  return { parent: parent as InodeId, name: Buffer.from(name) };
}
