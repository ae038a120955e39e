/** The handlers of the operations for locks: rows beside those of the metadata service, and of what servers ask each other. */
import { type AnyHandlerRow, type HandlerContext, type HandlerTable, row } from '../net/handler.ts';
import type { Operation } from '../net/operation.ts';
import { type MaybePromise, then } from '../task.ts';
import { SessionExpiredError } from './exactly-once.ts';
import { LOCK_WAITS, LockOperation as Op } from './lock-protocol.ts';
import type { InSession } from './protocol.ts';
import type { Sessions } from './sessions.ts';

/** Rows for {@link Op}: a request of a session that has ended is refused, also if it ends while the request is held. */
export function lockOperations(sessions: Sessions): HandlerTable {
  const { locks } = sessions;
  const requireSession = ({ client }: HandlerContext, session: number): string => {
    const { clientId } = client.hello;
    if (sessions.keyOf(clientId, session) !== undefined) return clientId;
    throw new SessionExpiredError(`session ${session} has expired`);
  };
  const answering = <Q, A>(
    operation: Operation<InSession<Q>, A>,
    when: 'ready' | 'always',
    answer: (client: string, request: Q) => MaybePromise<A>,
  ): AnyHandlerRow =>
    row(operation, ({ session, request }, context) => {
      const ready = when === 'ready' ? locks.ready() : undefined;
      const answered = then(ready, () => answer(requireSession(context, session), request));
      return then(answered, (value) => ({ value }));
    });
  return [
    answering(Op.LOCK, 'ready', (client, request) => locks.lock(client, request)),
    answering(Op.TEST_LOCK, 'ready', (client, request) => locks.test(client, request)),
    answering(Op.UNLOCK, 'always', (client, request): undefined => {
      locks.unlock(client, request);
    }),
    answering(Op.CANCEL_LOCK, 'always', (client, wait) => locks.cancel(client, wait)),
    answering(Op.SYNC_LOCKS, 'always', (client, held) => locks.sync(client, held)),
    row(LOCK_WAITS, (owners) => ({ value: locks.waitsOf(owners) })),
  ];
}
