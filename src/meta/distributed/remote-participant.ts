/** Another metadata server, over the net. */
import { FsError } from '../../errno.ts';
import type { Caller } from '../../net/call.ts';
import type { Operation } from '../../net/operation.ts';
import type { NumberChunk } from '../inode-numbers.ts';
import { UnreachableError } from './errors.ts';
import type {
  FinishRequest,
  Participant,
  PrepareReply,
  PrepareRequest,
  ReadReply,
  ReadRequest,
  ReserveRequest,
  TransactionId,
  TransactionOutcome,
} from './participant.ts';
import { TransactionOperation as Op } from './protocol.ts';

/** Longer than the other server waits for those that hold what it is asked for. */
const DEADLINE_MS = 5000;

export class RemoteParticipant implements Participant {
  readonly #caller: Pick<Caller, 'call'>;

  /** A peer that gives a server up after a second or two serves best: there is always another attempt. */
  constructor(caller: Pick<Caller, 'call'>) {
    this.#caller = caller;
  }

  async #ask<Q, A>(operation: Operation<Q, A>, request: Q): Promise<A> {
    try {
      return (await this.#caller.call(operation, request, { deadlineMs: DEADLINE_MS })).value;
    } catch (error) {
      if (error instanceof FsError) throw error;
      throw new UnreachableError(`${operation.name}: ${String(error)}`, { cause: error });
    }
  }

  read(request: ReadRequest): Promise<ReadReply | undefined> {
    return this.#ask(Op.READ, request);
  }

  prepare(request: PrepareRequest): Promise<PrepareReply> {
    return this.#ask(Op.PREPARE, request);
  }

  finish(request: FinishRequest): Promise<void> {
    return this.#ask(Op.FINISH, request);
  }

  outcome(transaction: TransactionId): Promise<TransactionOutcome> {
    return this.#ask(Op.OUTCOME, transaction);
  }

  reserve(request: ReserveRequest): Promise<boolean> {
    return this.#ask(Op.RESERVE, request);
  }

  reserveNumbers(count: number): Promise<NumberChunk> {
    return this.#ask(Op.RESERVE_NUMBERS, count);
  }
}
