/**
 * Runs the tasks behind the package's callbacks. Each is answered exactly once, whatever it throws; the one place of
 * this engine that makes an errno negative.
 */
import { Errno, errnoName, FsError } from '../../errno.ts';
import { InvariantError } from '../../invariant.ts';
import type { Logger } from '../../log.ts';
import { isPromiseLike, runTask, type Task } from '../../task.ts';
import type { Vfs } from '../vfs.ts';
import type { Done, DoneWith } from './fuse-native.d.ts';

export interface RunnerOptions {
  /** libfuse's threads go on asking while a mount in use is detached, and after it. */
  vfs: Pick<Vfs, 'isShutDown'>;
  logger: Logger;
  /** Logs one line for each request. */
  debug: boolean;
  /** A bug: the mount must end. The request that found it is answered if it can be. */
  onBug(error: unknown): void;
}

/** Tells of a request in a line of the log; called only when there is one. */
export type Description = () => string;

/** Runs tasks for the package and turns what becomes of them into its numbers. */
export class Runner {
  readonly #options: RunnerOptions;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Runs `task`, unless the stores are being closed; then `answer` gets its value, or `refuse` a negative errno. */
  run<T>(
    request: Description,
    task: Task<T>,
    to: { answer: (value: T) => void; refuse: (result: number) => void },
  ): void {
    if (this.#options.vfs.isShutDown) {
      to.refuse(-Errno.EIO);
      return;
    }
    const answered = (value: T): void => {
      this.#note(request, 'ok');
      to.answer(value);
    };
    const refused = (error: unknown): void => {
      to.refuse(this.#resultOf(request, error));
    };
    let outcome: T | PromiseLike<T>;
    try {
      outcome = runTask(task);
    } catch (error) {
      refused(error);
      return;
    }
    if (!isPromiseLike(outcome)) answered(outcome);
    else {
      outcome.then(answered, refused).then(undefined, (error: unknown) => {
        this.#options.onBug(error);
      });
    }
  }

  /** What is no expected failure is logged, once; a bug ends the mount. */
  #resultOf(request: Description, error: unknown): number {
    const errno = error instanceof FsError ? error.errno : Errno.EIO;
    this.#note(request, errnoName(errno));
    if (error instanceof InvariantError) this.#options.onBug(error);
    else if (errno === Errno.EIO) {
      this.#options.logger.error({ err: error, request: request() }, 'request failed with EIO');
    }
    return -errno;
  }

  #note(request: Description, outcome: string): void {
    if (this.#options.debug) this.#options.logger.debug(`${request()} -> ${outcome}`);
  }

  /** Runs what answers nothing but success. */
  perform(request: Description, task: Task<unknown>, done: Done): void {
    const answer = (): void => {
      done(0);
    };
    this.run(request, task, { answer, refuse: done });
  }

  /** Runs what answers a value. */
  fetch<T>(request: Description, task: Task<T>, done: DoneWith<T>): void {
    const answer = (value: T): void => {
      done(0, value);
    };
    this.run(request, task, { answer, refuse: done });
  }

  /** Runs what answers a number of bytes. */
  count(request: Description, task: Task<number>, done: Done): void {
    this.run(request, task, { answer: done, refuse: done });
  }
}
