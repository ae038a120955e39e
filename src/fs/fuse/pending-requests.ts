/**
 * Requests whose answers wait for another node, and when they are given up because their caller has had a signal. One
 * that is given up is answered with EINTR at once, and goes on to its end without anybody to tell of it.
 */
import type { BlockLease } from '../../blocks/store.ts';
import { FsError } from '../../errno.ts';
import { Interruption, type Task, wait } from '../../task.ts';
import type { OperationName } from './abi.ts';
import { type Callers, SYSTEM_CALLERS } from './caller-state.ts';
import { NamesGivenUp } from './names-given-up.ts';
import type { Request } from './request.ts';

/** Longer than any request that does not hang, shorter than the patience of somebody who has pressed Ctrl-C. */
const INTERRUPT_MS = 500;
/** How long whoever has waited for a lock waits for the server to hear that it does so no more. */
const LOCK_MS = 100;
/** How long a close waits before it is asked whether it is that of a process which has been killed. */
const CLOSE_MS = 100;

/** Whoever repeats one of these must know whether it was done: they end only with their caller. */
const CHANGES_NAMES: ReadonlySet<string> = new Set<OperationName>([
  'CREATE',
  'LINK',
  'MKDIR',
  'MKNOD',
  'RENAME',
  'RENAME2',
  'RMDIR',
  'SYMLINK',
  'TMPFILE',
  'UNLINK',
]);

/** Holds pages of its file locked, as far as the kernel is concerned, until it is answered. */
const HOLDS_PAGES: ReadonlySet<string> = new Set<OperationName>(['READ', 'WRITE']);

interface PendingRequest {
  readonly request: Request;
  readonly interruption: Interruption;
  readonly payload: BlockLease | undefined;
  /** Runs since the caller has had a signal, or closes a file. */
  patience: NodeJS.Timeout | undefined;
  isAnswered: boolean;
  readonly listeners: (() => void)[];
}

export interface PendingRequestsOptions {
  /** Answers with EINTR. If the request changes names, it is still under way. */
  readonly refuse: (request: Request, error: FsError) => void;
  readonly interruptMs?: number | undefined;
  readonly callers?: Callers | undefined;
}

export class PendingRequests {
  readonly #pending = new Map<number, PendingRequest>();
  readonly #namesGivenUp = new NamesGivenUp();
  readonly #refuse: PendingRequestsOptions['refuse'];
  readonly #interruptMs: number;
  readonly #callers: Callers;

  constructor({ refuse, interruptMs, callers }: PendingRequestsOptions) {
    this.#refuse = refuse;
    this.#callers = callers ?? SYSTEM_CALLERS;
    this.#interruptMs = interruptMs ?? INTERRUPT_MS;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** The request waits, and its payload with it. */
  add(request: Request, payload: BlockLease | undefined): Interruption {
    const interruption = new Interruption();
    const pending: PendingRequest = {
      request,
      interruption,
      payload,
      patience: undefined,
      isAnswered: false,
      listeners: [],
    };
    this.#pending.set(request.header.uniqueKey, pending);
    if (request.op === 'FLUSH') {
      // A process that has been killed gets no signals any more, and is not gone before its files are closed.
      pending.patience = setTimeout(() => {
        if (this.#callers.hasBeenKilled(request.header.pid)) this.#giveUp(pending, true);
      }, CLOSE_MS);
    }
    return interruption;
  }

  /** The request has come to its end. True if nobody waits for the answer any more. */
  remove(request: Request): boolean {
    const key = request.header.uniqueKey;
    const pending = this.#pending.get(key);
    if (pending === undefined) return false;
    clearTimeout(pending.patience);
    pending.payload?.release();
    this.#pending.delete(key);
    if (pending.isAnswered) this.#namesGivenUp.end(request);
    for (const listener of pending.listeners) listener();
    return pending.isAnswered;
  }

  /**
   * The kernel tells of every signal, also of those that should only be handled before the system call goes on. A
   * request that is nearly done answers; one that hangs gives up. Nobody waits for the answer to a thread that dies, and
   * whoever waits for a lock is to be interrupted by any signal.
   */
  interrupt(key: number): void {
    const pending = this.#pending.get(key);
    if (pending === undefined || pending.isAnswered) return;
    const { op, header } = pending.request;
    const isDying = this.#callers.isBeingKilled(header.pid);
    if (op === 'SETLKW') {
      this.#giveUp(pending, false);
      clearTimeout(pending.patience);
      pending.patience = setTimeout(() => {
        this.#giveUp(pending, true);
      }, LOCK_MS);
    } else if (isDying) {
      this.#giveUp(pending, true);
    } else if (op !== 'FLUSH' || !this.#callers.hasBeenKilled(header.pid)) {
      // The close of one who has been killed, and whose signal is still pending, has less patience already.
      this.#losePatience(pending);
    }
  }

  /** The kernel tells of the first signal only: whether a further one has killed the caller is to be found out. */
  #losePatience(pending: PendingRequest): void {
    const { op, header } = pending.request;
    clearTimeout(pending.patience);
    pending.patience = setTimeout(() => {
      this.#giveUp(pending, !CHANGES_NAMES.has(op) || this.#callers.isBeingKilled(header.pid));
      if (!pending.isAnswered) this.#losePatience(pending);
    }, this.#interruptMs);
  }

  #giveUp(pending: PendingRequest, answersNow: boolean): void {
    const error = new FsError('EINTR');
    pending.interruption.raise(error);
    if (!answersNow || pending.isAnswered) return;
    pending.isAnswered = true;
    this.#namesGivenUp.add(pending.request);
    this.#refuse(pending.request, error);
  }

  /** What is to be run for a request: its task, after those changes of its names that were given up before. */
  inTurn<T>(request: Request, task: Task<T>): Task<T> {
    const before = this.#namesGivenUp.before(request);
    return before === undefined ? task : following(before, task);
  }

  /**
   * When what was given up by this handle is over; undefined if nothing was. The kernel takes it for over, and may
   * release the handle.
   */
  givenUpBy(handle: number): Promise<void> | undefined {
    for (const pending of this.#pending.values()) {
      if (pending.isAnswered && usesHandle(pending.request, handle)) return endOf(pending);
    }
    return undefined;
  }

  /** Resolves when no request holds pages of the node: until then, the kernel could not drop them. */
  async pagesAreFree(nodeid: number): Promise<void> {
    for (;;) {
      const holder = [...this.#pending.values()].find(
        ({ request, isAnswered }) =>
          !isAnswered && HOLDS_PAGES.has(request.op) && request.header.nodeid === nodeid,
      );
      if (holder === undefined) return;
      await endOf(holder);
    }
  }

  /** The connection has ended. */
  abortAll(): void {
    for (const { interruption, patience } of this.#pending.values()) {
      clearTimeout(patience);
      interruption.raise(new FsError('EINTR'));
    }
    this.#namesGivenUp.clear();
  }
}

/** An abort ends the waiting, and the task has not begun then. */
function* following<T>(before: Promise<unknown>, task: Task<T>): Task<T> {
  yield* wait(before);
  return yield* task;
}

function usesHandle({ input }: { readonly input?: unknown }, handle: number): boolean {
  const { fh, fh_in, fh_out } = (input ?? {}) as Readonly<Record<string, unknown>>;
  return [fh, fh_in, fh_out].includes(handle);
}

function endOf({ listeners }: PendingRequest): Promise<void> {
  return new Promise((resolve) => listeners.push(resolve));
}
