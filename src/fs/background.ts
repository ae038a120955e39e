/** Work that no caller waits for: it is begun now, and what fails is only logged. */
import { FsError } from '../errno.ts';
import type { Logger } from '../log.ts';
import { isPromiseLike, type MaybePromise } from '../task.ts';

/** Begins `work`; `what` says in the log what has failed. */
export type Background = (what: string, work: () => MaybePromise<unknown>) => void;

export function backgroundWith(logger: Logger): Background {
  return (what, work) => {
    const failed = (error: unknown): void => {
      // What has meanwhile been removed needs nothing more.
      const isGone = error instanceof FsError && ['ESTALE', 'ENOENT'].includes(error.code);
      logger[isGone ? 'debug' : 'warn']({ err: error }, `${what} failed`);
    };
    try {
      const done = work();
      if (isPromiseLike(done)) done.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  };
}
