/**
 * The locks that a metadata server keeps for its clients, in memory alone: those of a client go with its session. After a
 * restart the clients that the database knows say what they have before anybody gets anything.
 */
import { FsError } from '../errno.ts';
import type { MaybePromise } from '../task.ts';
import { closesCircle, closesCircleAmong, type WaitsOf } from './lock-deadlocks.ts';
import type {
  LockAnswer,
  LockRequest,
  OwnedLock,
  UnlockRequest,
  WaitEdges,
} from './lock-protocol.ts';
import type { Lock } from './lock-store.ts';
import { type Claim, type GlobalOwner, globalOwner, LockTable, type Waiter } from './locks.ts';

/** A request that waits is answered after so long at the latest, and comes again: calls have deadlines. */
const ANSWER_MS = 10_000;
/** A wait that nobody asks for any more goes after so long. */
const UNASKED_MS = 20_000;
/** Segments of all files together: those of one client must fit into one message. */
const MOST_SEGMENTS = 200_000;
/** Waits of one client; fewer than the requests that a server runs of one connection at a time. */
const MOST_WAITS = 2048;

export interface ServedLocksOptions {
  /** Asked about waits at other metadata servers. */
  readonly others?: readonly WaitsOf[];
  readonly answerMs?: number;
}

interface Wait extends Waiter {
  readonly client: string;
  readonly number: number;
  /** Answers the request that is held, if one is. */
  answer: ((answer: LockAnswer) => void) | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class ServedLocks {
  readonly #table = new LockTable();
  readonly #others: readonly WaitsOf[];
  readonly #answerMs: number;
  /** By client, then by the client's number. */
  readonly #waits = new Map<string, Map<number, Wait>>();
  /** Clients that are known from before the restart, and have not said what they have. */
  readonly #awaited = new Set<string>();
  #closed = false;
  #grace: { over: Promise<void>; end: () => void } | undefined;

  constructor({ others = [], answerMs = ANSWER_MS }: ServedLocksOptions = {}) {
    this.#others = others;
    this.#answerMs = answerMs;
  }

  /** Nothing is granted before each of these clients has synced or is dropped. */
  await(clients: Iterable<string>): void {
    for (const client of clients) this.#awaited.add(client);
    if (this.#awaited.size === 0 || this.#grace !== undefined) return;
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#grace = { over, end };
  }

  #heardOf(client: string): void {
    this.#awaited.delete(client);
    if (this.#awaited.size > 0) return;
    this.#grace?.end();
    this.#grace = undefined;
  }

  /** When requests for locks may be carried out; at once, but for the beginning. */
  ready(): MaybePromise<void> {
    return this.#grace?.over;
  }

  /** ENOLCK. */
  lock(client: string, request: LockRequest): MaybePromise<LockAnswer> {
    const { wait: number } = request;
    const before = number === undefined ? undefined : this.#waits.get(client)?.get(number);
    if (before !== undefined) return this.#hold(before);
    if (this.#table.count >= MOST_SEGMENTS) throw new FsError('ENOLCK', 'too many locks');
    const claim = claimOf(client, request);
    const blockers = this.#table.take(claim);
    if (blockers.length === 0) return 'granted';
    if (number === undefined) return 'blocked';
    const owner = globalOwner(claim);
    if (claim.owner.kind === 'posix') {
      const waitsFor = (other: string): GlobalOwner[] => this.#table.waitsFor(other as GlobalOwner);
      if (closesCircle(owner, blockers, waitsFor)) return 'deadlock';
    }
    return this.#hold(this.#wait(claim, number, blockers));
  }

  #wait(claim: Claim, number: number, blockers: readonly GlobalOwner[]): Wait {
    const { client } = claim;
    const waits = this.#waits.get(client) ?? new Map<number, Wait>();
    if (waits.size >= MOST_WAITS) throw new FsError('ENOLCK', 'too many wait for locks');
    this.#waits.set(client, waits);
    const wait: Wait = {
      client,
      claim,
      number,
      answer: undefined,
      timer: undefined,
      onGranted: () => {
        this.#end(wait, 'granted');
      },
    };
    waits.set(number, wait);
    this.#table.wait(wait);
    if (claim.owner.kind === 'posix' && this.#others.length > 0) void this.#search(wait, blockers);
    return wait;
  }

  /** Looks for a deadlock that other servers have a part of. */
  async #search(wait: Wait, blockers: readonly GlobalOwner[]): Promise<void> {
    const servers = [(owners: readonly string[]) => this.waitsOf(owners), ...this.#others];
    if (!(await closesCircleAmong(globalOwner(wait.claim), blockers, servers))) return;
    if (this.#waits.get(wait.client)?.get(wait.number) !== wait) return;
    this.#table.giveUp(wait);
    this.#end(wait, 'deadlock');
  }

  /** Answers when there is something to tell, or when it takes long. */
  #hold(wait: Wait): MaybePromise<LockAnswer> {
    if (this.#closed) return 'waiting';
    return new Promise((resolve) => {
      wait.answer?.('waiting');
      clearTimeout(wait.timer);
      wait.answer = resolve;
      wait.timer = setTimeout(() => {
        wait.answer = undefined;
        wait.timer = setTimeout(() => {
          this.#table.giveUp(wait);
          this.#end(wait, 'cancelled');
        }, UNASKED_MS).unref();
        resolve('waiting');
      }, this.#answerMs).unref();
    });
  }

  #end(wait: Wait, answer: LockAnswer): void {
    clearTimeout(wait.timer);
    const waits = this.#waits.get(wait.client);
    waits?.delete(wait.number);
    if (waits?.size === 0) this.#waits.delete(wait.client);
    wait.answer?.(answer);
  }

  unlock(client: string, { inode, owner, range }: UnlockRequest): void {
    this.#table.release({ client, inode, owner }, range);
  }

  test(client: string, request: OwnedLock): Lock | undefined {
    return this.#table.obstacle(claimOf(client, request))?.lock;
  }

  /** True if the wait was under way. */
  cancel(client: string, number: number): boolean {
    const wait = this.#waits.get(client)?.get(number);
    if (wait === undefined) return false;
    this.#table.giveUp(wait);
    this.#end(wait, 'cancelled');
    return true;
  }

  /** The client has what it says and nothing else; false for each lock that others were given meanwhile. */
  sync(client: string, locks: readonly OwnedLock[]): boolean[] {
    const taken = this.#table.replace(
      client,
      locks.map((lock) => claimOf(client, lock)),
    );
    this.#cancelAll(client);
    this.#heardOf(client);
    return taken;
  }

  /** The client is dead. */
  drop(client: string): void {
    this.sync(client, []);
  }

  #cancelAll(client: string): void {
    for (const wait of this.#waits.get(client)?.values() ?? []) this.#end(wait, 'cancelled');
  }

  /** For whom these owners wait here; those who do not are left out. */
  waitsOf(owners: readonly string[]): WaitEdges[] {
    const edges: WaitEdges[] = [];
    for (const owner of owners) {
      const blockers = this.#table.waitsFor(owner as GlobalOwner);
      if (blockers.length > 0) edges.push([owner, blockers]);
    }
    return edges;
  }

  /** Answers what is held: the server ends. */
  close(): void {
    this.#closed = true;
    for (const waits of this.#waits.values()) {
      for (const { timer, answer } of waits.values()) {
        clearTimeout(timer);
        answer?.('waiting');
      }
    }
  }

  /** What is held, for tests and the log. */
  counts(): { locks: number; waits: number } {
    return { locks: this.#table.count, waits: this.#table.waiterCount };
  }
}

function claimOf(client: string, { inode, owner, lock }: OwnedLock): Claim {
  if (lock.start > lock.end) throw new FsError('EINVAL', 'a lock that ends before it starts');
  return { client, inode, owner, lock };
}
