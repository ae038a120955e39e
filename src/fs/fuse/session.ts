/**
 * One FUSE connection: handshake, dispatch, INTERRUPT and FORGET. It reads from a {@link Device}, so tests drive it
 * with bytes. Every request that expects a reply gets exactly one; what is local is answered in the turn that read it.
 */
import type { BlockLease } from '../../blocks/store.ts';
import { Errno, errnoName, FsError } from '../../errno.ts';
import type { InodeId } from '../../ids.ts';
import { InvariantError } from '../../invariant.ts';
import type { Logger } from '../../log.ts';
import type { PipedBytes } from '../../pipes/piped-bytes.ts';
import { type Interruption, isPromiseLike, runTask } from '../../task.ts';
import type { Vfs } from '../vfs.ts';
import { type Negotiated, NOTHING_NEGOTIATED } from './abi.ts';
import { FreshAttributes } from './fresh-attributes.ts';
import { BusyPoll } from './busy-poll.ts';
import type { Callers } from './caller-state.ts';
import { KEPT_FOR_LONG, NOT_KEPT, SharedKeeping } from './keeping.ts';
import { NameNotifier } from './name-notifier.ts';
import { PageNotifier } from './page-notifier.ts';
import { PendingPoll } from './pending-poll.ts';
import { PendingRequests } from './pending-requests.ts';
import { describeExchange, describeRequest, isDispatched } from './debug.ts';
import { type Device, DeviceGoneError } from './device.ts';
import { negotiate, type Negotiation, UnsupportedProtocolError } from './negotiate.ts';
import { type OperationContext, type Reply, toInode, toNode } from './operation-replies.ts';
import { operationFor } from './operations.ts';
import { errorReply, initReply, notifyInvalInode } from './reply.ts';
import {
  decodeRequest,
  forgetsOf,
  MalformedRequestError,
  type Request,
  type RequestHeader,
  type RequestOf,
  uniqueKeyOf,
} from './request.ts';
import { SharedCpu } from './shared-cpu.ts';

/** So many requests are answered before sockets and timers get their turn. */
const REQUESTS_PER_TURN = 16;

/** Where the data of a FUSE_WRITE lands; a block store's leases, or plain memory. */
export interface PayloadSource {
  /** Memory of at least max_write + 4096 bytes, the session's until adopted or released. */
  lease(): BlockLease;
}

export interface SessionOptions {
  device: Device;
  vfs: Vfs;
  payloads: PayloadSource;
  logger: Logger;
  /** Logs a line for each request and what became of it, at level debug. */
  debug: boolean;
  /** The kernel is to enforce ACLs; off if absent. */
  acl?: boolean;
  /** How long to look for the next request before sleeping; 0 to sleep at once. */
  busyPollMs: number;
  /** How long a request may go on waiting after its caller has had a signal. */
  interruptMs?: number;
  /** Who says what has become of callers; /proc if absent. */
  callers?: Callers;
  /** Monotonic milliseconds; the machine's if absent. */
  nowMs?: () => number;
}

/** What the session tells its engine. */
export interface SessionEvents {
  /** The handshake is answered: the mount works. */
  ready(negotiated: Negotiation): void;
  /** The kernel has closed the connection; nothing more will come. */
  gone(): void;
  /** The session cannot go on. */
  failed(error: Error): void;
}

/** Errnos of a reply that the kernel has, or wants no more: the request was aborted, or the mount has ended. */
const NOBODY_WAITS: readonly number[] = [0, Errno.ENOENT, Errno.ENODEV];

export class Session {
  readonly #device: Device;
  readonly #vfs: Vfs;
  readonly #payloads: PayloadSource;
  readonly #logger: Logger;
  readonly #debug: boolean;
  readonly #acl: boolean;
  readonly #busyPoll: BusyPoll;
  readonly #events: SessionEvents;
  readonly #pending: PendingRequests;
  readonly #pendingPoll: PendingPoll;
  readonly #context: OperationContext;
  /** Set where there may be other mounts, and may be none. */
  readonly #shared: SharedKeeping | undefined;
  #negotiated: Negotiated = NOTHING_NEGOTIATED;
  #payload: BlockLease;
  #ended = false;

  constructor(options: SessionOptions, events: SessionEvents) {
    this.#device = options.device;
    this.#vfs = options.vfs;
    this.#payloads = options.payloads;
    this.#logger = options.logger;
    this.#debug = options.debug;
    this.#acl = options.acl ?? false;
    const cpu = new SharedCpu();
    this.#busyPoll = new BusyPoll(options.busyPollMs, cpu);
    const names = new NameNotifier(options);
    this.#pending = new PendingRequests({
      interruptMs: options.interruptMs,
      callers: options.callers,
      refuse: (request, error) => {
        names.forget(request);
        this.#refuse(request, error);
      },
    });
    this.#pendingPoll = new PendingPoll(options.busyPollMs, () => this.#pending.size > 0, cpu);
    this.#events = events;
    this.#payload = options.payloads.lease();
    const { vfs } = options;
    const keeping = vfs.shared ? NOT_KEPT : KEPT_FOR_LONG;
    this.#context = { vfs, fresh: new FreshAttributes(options.nowMs), keeping };
    this.#shared = vfs.lone && new SharedKeeping(vfs.lone);
    this.#vfs.onModeChanged = (inode) => {
      this.#forgetAttributes(inode);
    };
    const pages = new PageNotifier({
      device: options.device,
      logger: options.logger,
      pagesAreFree: (nodeid) => this.#pending.pagesAreFree(nodeid),
    });
    this.#vfs.onStalePages = (inode) => pages.forget(toNode(this.#context, inode));
  }

  /**
   * The kernel would trust the mode that it knows, set-uid bits and all, and run the program that an ordinary user
   * has just changed. Sent before the reply. A notice of attributes alone takes no lock that a request may hold
   * (`fuse_reverse_inval_inode`); those of pages and names do, and must never be sent from inside an operation.
   */
  #forgetAttributes(inode: InodeId): void {
    if (this.#ended) return;
    const nodeid = toNode(this.#context, inode);
    this.#device.write([notifyInvalInode({ nodeid, offset: -1, lengthBytes: 0 })]);
  }

  /** Begins to serve. */
  start(): void {
    this.#device.watch({
      onReadable: () => this.serve(),
      onGone: () => {
        this.#end(this.#tellGone);
      },
      onBug: (error) => {
        this.#fail(error);
      },
    });
  }

  /** How many requests wait for another node. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Answers the requests that are waiting, up to {@link REQUESTS_PER_TURN}; true if more may be waiting. */
  serve(): boolean {
    for (let count = 0; count < REQUESTS_PER_TURN; count++) {
      const lengthBytes = this.#nextRequest();
      if (lengthBytes === 0) return false;
      this.#receive(lengthBytes);
      if (this.#ended) return false;
    }
    return true;
  }

  /** Length of the request that was read, 0 if there is none. */
  #nextRequest(): number {
    const { bytes } = this.#payload;
    const lengthBytes = this.#device.read(bytes);
    // What waits for another node is finished by the event loop: it must not be kept from it.
    if (lengthBytes !== 0 || this.#pending.size > 0) return lengthBytes;
    return this.#busyPoll.read(this.#device, bytes);
  }

  #receive(lengthBytes: number): void {
    const message = { head: this.#device.head, payload: this.#payload.bytes, lengthBytes };
    try {
      const request = decodeRequest(message, this.#negotiated);
      this.#handle(request);
    } catch (error) {
      if (!(error instanceof MalformedRequestError)) throw error;
      this.#logger.error({ err: error }, 'malformed request from the kernel');
      const { header } = error;
      if (header !== undefined) this.#send(header, [errorReply(header.unique, Errno.EIO)]);
    }
  }

  #handle(request: Request): void {
    if (this.#debug && !isDispatched(request)) this.#logger.debug(describeRequest(request));
    switch (request.op) {
      case 'INIT':
        this.#init(request);
        break;
      case 'FORGET':
        this.#forget(request.header.nodeid, request.input.nlookup);
        break;
      case 'BATCH_FORGET':
        for (const { nodeid, nlookup } of forgetsOf(request)) this.#forget(nodeid, nlookup);
        break;
      case 'INTERRUPT':
        this.#pending.interrupt(uniqueKeyOf(request.input.unique));
        break;
      default:
        this.#dispatch(request);
    }
  }

  #init(request: RequestOf<'INIT'>): void {
    const { unique } = request.header;
    try {
      const locks = this.#vfs.locks !== undefined;
      const negotiation = negotiate(request.input, { locks, acl: this.#acl });
      const delivered = this.#send(request.header, [
        initReply(unique, negotiation.reply, request.input.minor),
      ]);
      if (!negotiation.settled || delivered !== 0) return;
      this.#negotiated = negotiation.negotiated;
      this.#events.ready(negotiation);
    } catch (error) {
      if (!(error instanceof UnsupportedProtocolError)) throw error;
      this.#send(request.header, [errorReply(unique, Errno.EPROTO)]);
      this.#fail(error);
    }
  }

  #forget(nodeid: number, count: number): void {
    if (this.#vfs.isShutDown) return;
    this.#vfs.references.forget(toInode(this.#context, nodeid), count);
  }

  #dispatch(request: Request): void {
    if (this.#vfs.isShutDown) {
      // Detached while in use, and told to end all the same: the stores are being closed.
      this.#send(request.header, [errorReply(request.header.unique, Errno.EIO)]);
      return;
    }
    if (request.op === 'RELEASE' && this.#postponed(request)) return;
    if (request.op !== 'GETATTR') this.#context.fresh.forget(request.header.pid);
    const begun = this.#shared?.begin(request);
    const context = begun ? { ...this.#context, keeping: begun.keeping } : this.#context;
    const task = operationFor(context, request, this.#payload);
    if (task === undefined) {
      this.#refuse(request, new FsError('ENOSYS'));
      begun?.end();
      return;
    }
    try {
      const outcome = runTask(this.#pending.inTurn(request, task), () => this.#suspend(request));
      if (isPromiseLike(outcome)) {
        this.#finishLater(request, outcome, begun?.end);
      } else {
        this.#answer(request, outcome);
        begun?.end();
      }
    } catch (error) {
      this.#refuse(request, error);
      begun?.end();
    }
    if (this.#payload.adopted) this.#payload = this.#payloads.lease();
  }

  /** Whether a handle cannot be released yet: the kernel takes for over what was answered with EINTR. */
  #postponed(request: RequestOf<'RELEASE'>): boolean {
    const before = this.#pending.givenUpBy(request.input.fh);
    if (before === undefined) return false;
    void before.then(() => {
      this.#guard(() => {
        this.#dispatch(request);
      });
    });
    return true;
  }

  /** The request waits: its payload, if it may have one, stays with it, and INTERRUPT can reach it. */
  #suspend(request: Request): Interruption {
    if (this.#debug) this.#logger.debug(`${describeRequest(request)} -> waits`);
    // Thousands may wait for locks, for ever: they do not keep memory for data, of which they have none.
    const payload = request.op === 'SETLKW' ? undefined : this.#payload;
    const interruption = this.#pending.add(request, payload);
    if (payload !== undefined) this.#payload = this.#payloads.lease();
    this.#pendingPoll.begin();
    return interruption;
  }

  /** `end` is called when nothing of it is under way any more, which may be long after its answer. */
  #finishLater(request: Request, outcome: PromiseLike<Reply>, end?: () => void): void {
    const settled = (finish: (isAwaited: boolean) => void): void => {
      const isAnswered = this.#pending.remove(request);
      this.#guard(() => {
        finish(!isAnswered);
      });
      end?.();
      if (this.#pending.size === 0) setImmediate(this.#lookForNext);
    };
    outcome.then(
      (reply) => {
        settled((isAwaited) => {
          if (isAwaited) this.#answer(request, reply);
          else this.#drop(reply);
        });
      },
      (error: unknown) => {
        settled((isAwaited) => {
          if (isAwaited) this.#refuse(request, error);
          else if (error instanceof InvariantError) throw error;
        });
      },
    );
  }

  /** A caller whose answer came from another node sends its next request as soon as one whose answer was here. */
  readonly #lookForNext = (): void => {
    this.#guard(() => {
      if (!this.#ended && this.#pending.size === 0) this.serve();
    });
  };

  /** Sends a reply; only what the kernel has received counts as looked up or open. */
  #answer(request: Request, reply: Reply): void {
    const { header } = request;
    if (this.#debug) this.#logger.debug(describeExchange(request, reply.parts));
    const errno = this.#send(header, reply.parts, reply.piped);
    if (errno !== 0) {
      // Whatever kept the reply from the kernel, its caller is not to wait for ever.
      if (!NOBODY_WAITS.includes(errno)) this.#device.write([errorReply(header.unique, Errno.EIO)]);
      this.#drop(reply);
      return;
    }
    reply.release?.();
    for (const inode of reply.lookups) this.#vfs.references.addLookup(inode);
  }

  /** Nobody hears of a reply: the kernel will not release a handle that it never heard of. */
  #drop(reply: Reply): void {
    reply.release?.();
    if (reply.opened === undefined) return;
    const released = runTask(this.#vfs.release(reply.opened));
    if (isPromiseLike(released)) released.then(undefined, this.#logFailure);
  }

  readonly #logFailure = (error: unknown): void => {
    this.#logger.error({ err: error }, 'releasing an undelivered handle failed');
  };

  /** Answers a failed request with its errno; what is no expected failure is logged, a bug ends the session. */
  #refuse(request: Request, error: unknown): void {
    if (error instanceof InvariantError) throw error;
    const { header } = request;
    const errno = error instanceof FsError ? error.errno : Errno.EIO;
    if (errno === Errno.EIO) {
      this.#logger.error(
        { err: error, request: describeRequest(request) },
        'request failed with EIO',
      );
    }
    const reply = errorReply(header.unique, errno);
    if (this.#debug) this.#logger.debug(describeExchange(request, reply));
    this.#send(header, [reply]);
  }

  /** Returns 0 or the errno; ENOENT means that the kernel no longer waits for this reply. */
  #send(header: RequestHeader, parts: readonly Buffer[], piped?: PipedBytes): number {
    if (this.#ended) return Errno.ENODEV;
    const errno = piped ? this.#device.writePiped(parts, piped) : this.#device.write(parts);
    if (!NOBODY_WAITS.includes(errno)) {
      this.#logger.error(
        { errno: errnoName(errno), opcode: header.opcode },
        'the kernel refused a reply',
      );
    }
    return errno;
  }

  /**
   * Runs what a promise calls back; a bug there must not vanish as an unhandled rejection. The mount may have ended
   * before the event loop could tell.
   */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof DeviceGoneError) this.#end(this.#tellGone);
      else this.#fail(error);
    }
  }

  readonly #tellGone = (): void => {
    this.#events.gone();
  };

  #fail(error: unknown): void {
    this.#end(() => {
      this.#events.failed(error instanceof Error ? error : new Error(String(error)));
    });
  }

  #end(tell: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#payload.release();
    this.#pending.abortAll();
    tell();
  }
}
