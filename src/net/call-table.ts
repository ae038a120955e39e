/**
 * The calls of one Peer that have not settled, in the order in which they were made, with their tags and deadlines.
 * No I/O; a call leaves the table exactly when it settles.
 */
import type { Answer, CallOptions } from './call.ts';
import { DeadlineError } from './errors.ts';
import type { AnyOperation, CallTag } from './operation.ts';

/** A call that has not settled. */
export interface PendingCall {
  readonly id: number;
  readonly operation: AnyOperation;
  readonly request: unknown;
  readonly options: CallOptions;
  readonly payloadLength: number;
  /** 0 for operations that do not mutate. */
  readonly sequence: number;
  /** Made by onConnect: belongs to one connection, is not repeated. */
  readonly isOpening: boolean;
  readonly dueMs: number;
  readonly resolve: (answer: Answer<unknown>) => void;
  readonly reject: (error: Error) => void;
  /** Sent over the present connection. */
  sent: boolean;
  /** The socket still reads from the caller's payload. */
  writing: boolean;
  /** The socket may write into the caller's buffer. */
  landing: boolean;
  /** How it is to settle once its memory is free. */
  outcome: { answer: Answer<unknown> } | { error: Error } | undefined;
  stopListening: (() => void) | undefined;
}

const MAX_REQUEST_ID = 0xffff_ffff;
const LEAST_WAIT_MS = 5;

export class CallTable {
  readonly #calls = new Map<number, PendingCall>();
  readonly #sequences = new Set<number>();
  readonly #onDue: (call: PendingCall, error: DeadlineError) => void;
  #lastId = 0;
  #lastSequence = 0;
  /** No lower sequence number is outstanding. */
  #lowest = 1;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Infinity;

  /** `onDue` is told of calls whose deadline has passed, and settles them. */
  constructor(onDue: (call: PendingCall, error: DeadlineError) => void) {
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#calls.size;
  }

  get(id: number): PendingCall | undefined {
    return this.#calls.get(id);
  }

  /** All calls in the order in which they were made; a copy. */
  all(): PendingCall[] {
    return [...this.#calls.values()];
  }

  /** Ids count up and skip 0, which is for pings. */
  nextId(): number {
    do {
      this.#lastId = this.#lastId === MAX_REQUEST_ID ? 1 : this.#lastId + 1;
    } while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  nextSequence(): number {
    this.#lastSequence++;
    this.#sequences.add(this.#lastSequence);
    return this.#lastSequence;
  }

  /** The tag as it is to be sent now. */
  tagOf(call: PendingCall): CallTag | null {
    if (call.sequence === 0) return null;
    return { sequence: call.sequence, acknowledgedBelow: this.#lowest };
  }

  add(call: PendingCall): void {
    this.#calls.set(call.id, call);
    if (call.dueMs < this.#timerDueMs) this.#arm(call.dueMs);
  }

  /** Takes a call out; its sequence number counts as acknowledged from now on. */
  remove(call: PendingCall): void {
    this.#calls.delete(call.id);
    if (call.sequence === 0) return;
    this.#sequences.delete(call.sequence);
    while (this.#lowest <= this.#lastSequence && !this.#sequences.has(this.#lowest)) this.#lowest++;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #arm(dueMs: number): void {
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    const waitMs = Math.max(LEAST_WAIT_MS, Math.ceil(dueMs - performance.now()));
    this.#timer = setTimeout(() => {
      this.#expire();
    }, waitMs);
    // Whoever waits for a call also has a socket or a timer that keeps the process.
    this.#timer.unref();
  }

  #expire(): void {
    this.#timerDueMs = Infinity;
    const nowMs = performance.now();
    let nextMs = Infinity;
    for (const call of this.all()) {
      if (call.dueMs <= nowMs) {
        this.#onDue(call, new DeadlineError(`${call.operation.name}: no answer in time`));
      } else {
        nextMs = Math.min(nextMs, call.dueMs);
      }
    }
    if (nextMs < this.#timerDueMs) this.#arm(nextMs);
  }
}
