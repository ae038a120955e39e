/** What a metadata server answers to others: rows that stand beside those of the metadata service. */
import { then } from '../../task.ts';
import type { MaybePromise } from '../../task.ts';
import { type AnyHandlerRow, type HandlerTable, row } from '../../net/handler.ts';
import { ProtocolError } from '../../net/errors.ts';
import type { Operation } from '../../net/operation.ts';
import type { Participant } from './participant.ts';
import { TransactionOperation as Op } from './protocol.ts';

/** Most inode numbers that are set aside at once. */
const MOST_NUMBERS = 65_536;

function answering<Q, A>(
  operation: Operation<Q, A>,
  answer: (request: Q) => MaybePromise<A>,
): AnyHandlerRow {
  return row(operation, (request) => then(answer(request), (value) => ({ value })));
}

export function transactionOperations(participant: Participant): HandlerTable {
  return [
    answering(Op.READ, (request) => participant.read(request)),
    answering(Op.PREPARE, (request) => participant.prepare(request)),
    answering(Op.FINISH, (request) =>
      then(participant.finish(request), (): undefined => undefined),
    ),
    answering(Op.OUTCOME, (transaction) => participant.outcome(transaction)),
    answering(Op.RESERVE, (request) => participant.reserve(request)),
    answering(Op.RESERVE_NUMBERS, (count) => {
      if (count < 1 || count > MOST_NUMBERS) throw new ProtocolError('a strange number of inodes');
      return participant.reserveNumbers(count);
    }),
  ];
}
