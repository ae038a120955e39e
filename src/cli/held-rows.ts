/** Rows of services that are not there yet: their requests wait until they may be carried out. */
import { ProtocolError } from '../net/errors.ts';
import { type AnyHandlerRow, type Handler, type HandlerTable, row } from '../net/handler.ts';
import type { AnyOperation } from '../net/operation.ts';
import { isPromiseLike, type MaybePromise } from '../task.ts';

export interface HeldRowsOptions {
  readonly operations: readonly AnyOperation[];
  /** Asked when a request may be carried out; what it lacks is refused. */
  readonly table: () => ReadonlyMap<number, AnyHandlerRow>;
  /** When a request of this operation may be carried out; the order of requests that wait is kept. */
  readonly whenReady: (operation: AnyOperation) => MaybePromise<void>;
}

export function heldRows({ operations, table, whenReady }: HeldRowsOptions): HandlerTable {
  return operations.map((operation) => {
    const handle: Handler<unknown, unknown> = (request, context) => {
      const handler = table().get(operation.code)?.handle as Handler<unknown, unknown> | undefined;
      if (handler === undefined) throw new ProtocolError(`${operation.name} is not served here`);
      return handler(request, context);
    };
    return row<unknown, unknown>(operation, (request, context) => {
      const ready = whenReady(operation);
      if (!isPromiseLike(ready)) return handle(request, context);
      return ready.then(() => handle(request, context));
    });
  });
}
