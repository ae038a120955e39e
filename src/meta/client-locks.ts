/**
 * The locks of one client at one metadata server, as the client knows them: what it has been granted and not given back.
 * A server that forgets is told anew, and one that has granted what nobody waits for any more learns to take it back.
 */
import { type ErrnoName, FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { MaybePromise } from '../task.ts';
import type { LockAnswer, LockRequest, OwnedLock, UnlockRequest } from './lock-protocol.ts';
import { type Segments, within, without, withLock } from './lock-ranges.ts';
import {
  type Lock,
  type LockAttempt,
  type LockOwner,
  type LockRange,
  type LockStore,
  ownerKey,
} from './lock-store.ts';

/** The requests that a server answers to a client. */
export interface LockServer {
  lock(request: LockRequest): MaybePromise<LockAnswer>;
  unlock(request: UnlockRequest): MaybePromise<void>;
  test(request: OwnedLock): MaybePromise<Lock | undefined>;
  cancel(wait: number): MaybePromise<boolean>;
}

/** What is known of one owner and one file. */
interface Owned {
  readonly inode: InodeId;
  readonly owner: LockOwner;
  segments: Segments;
  /** Requests that have not been answered. */
  running: number;
  /** Settles when what was cancelled is undone; never rejects. */
  undoing: Promise<void> | undefined;
  /** Others were given what it had. */
  isLost: boolean;
}

export class ClientLocks implements LockStore {
  readonly #server: LockServer;
  readonly #owned = new Map<string, Owned>();
  #lastWait = 0;

  constructor(server: LockServer) {
    this.#server = server;
  }

  #find(inode: InodeId, owner: LockOwner): Owned | undefined {
    return this.#owned.get(keyOf(inode, owner));
  }

  #make(inode: InodeId, owner: LockOwner): Owned {
    const key = keyOf(inode, owner);
    let owned = this.#owned.get(key);
    if (owned === undefined) {
      owned = { inode, owner, segments: [], running: 0, undoing: undefined, isLost: false };
      this.#owned.set(key, owned);
    }
    return owned;
  }

  #tidy(owned: Owned): void {
    const { segments, running, undoing, isLost } = owned;
    if (segments.length > 0 || running > 0 || undoing !== undefined || isLost) return;
    this.#owned.delete(keyOf(owned.inode, owned.owner));
  }

  /** Runs a request of an owner whose cancelled waits have been undone. */
  async #running<T>(owned: Owned, request: () => Promise<T>): Promise<T> {
    owned.running++;
    try {
      while (owned.undoing !== undefined) await owned.undoing;
      return await request();
    } finally {
      owned.running--;
      this.#tidy(owned);
    }
  }

  holds(inode: InodeId, owner: LockOwner): boolean {
    return this.#owned.has(keyOf(inode, owner));
  }

  lock(inode: InodeId, owner: LockOwner, demand: { lock: Lock; waits: boolean }): LockAttempt {
    const { lock } = demand;
    const owned = this.#make(inode, owner);
    const wait = demand.waits ? ++this.#lastWait : undefined;
    let before: Segments = owned.segments;
    let isOver = false;
    let asked: Promise<LockAnswer> | undefined;
    const cancel = (): Promise<void> => {
      if (isOver) return owned.undoing ?? Promise.resolve();
      isOver = true;
      return this.#undo(owned, async () => {
        if (!(await this.#isCancelled(wait, asked))) await this.#restore(owned, lock, before);
        // As in Linux, an flock(2) that waited to be converted is gone.
        else if (owner.kind === 'flock') owned.segments = [];
      });
    };
    const ask = (): Promise<LockAnswer> => {
      asked = Promise.resolve(this.#server.lock({ inode, owner, lock, wait }));
      return asked;
    };
    const granted = this.#running(owned, async () => {
      before = owned.segments;
      try {
        requireKept(owned);
        await this.#untilGranted(ask, () => isOver);
      } catch (error) {
        // As in Linux, an flock(2) that could not be converted is gone.
        if (owner.kind === 'flock' && isErrno(error, ['EAGAIN'])) owned.segments = [];
        if (isErrno(error, ANSWERS)) isOver = true;
        void cancel();
        throw error;
      }
      before = owned.segments;
      owned.segments = withLock(owned.segments, lock);
    });
    granted.catch(nothing); // Whoever has cancelled does not look any more.
    return { granted, cancel };
  }

  async #untilGranted(ask: () => Promise<LockAnswer>, isOver: () => boolean): Promise<void> {
    // Not begun at all if it was cancelled while an earlier one was being undone.
    for (let answer: LockAnswer = 'waiting'; answer !== 'granted';) {
      if (answer === 'blocked') throw new FsError('EAGAIN');
      if (answer === 'deadlock') throw new FsError('EDEADLK');
      if (answer === 'cancelled') throw new FsError('EINTR', 'the wait was ended at the server');
      if (isOver()) throw new FsError('EINTR');
      answer = await ask();
    }
    if (isOver()) throw new FsError('EINTR');
  }

  /**
   * Whether it is certain that nothing was granted. The request may come to the server after what cancels it, held up
   * there or sent again over another connection: only its answer tells.
   */
  async #isCancelled(
    wait: number | undefined,
    asked: Promise<LockAnswer> | undefined,
  ): Promise<boolean> {
    if (asked === undefined) return true;
    const cancel = async (): Promise<void> => {
      if (wait !== undefined) await this.#server.cancel(wait);
    };
    await cancel().catch(nothing);
    const answer = await asked.catch(nothing);
    if (answer === 'waiting') await cancel();
    return answer === 'cancelled' || answer === 'blocked' || answer === 'deadlock';
  }

  /** Further requests of the owner wait for `undo`. If it fails, the next connection tells the server what is true. */
  #undo(owned: Owned, undo: () => Promise<void>): Promise<void> {
    const previous = owned.undoing ?? Promise.resolve();
    const undoing = previous.then(undo).then(nothing, nothing);
    owned.undoing = undoing;
    return undoing.then(() => {
      if (owned.undoing === undoing) owned.undoing = undefined;
      this.#tidy(owned);
    });
  }

  /** The server may have granted what nobody wants: of the range, the owner has what it had before. */
  async #restore(owned: Owned, range: LockRange, before: Segments): Promise<void> {
    const { inode, owner } = owned;
    const kept = within(before, range);
    owned.segments = kept.reduce(withLock, without(owned.segments, range));
    for (const lock of kept) {
      const answer = await this.#server.lock({ inode, owner, lock, wait: undefined });
      if (answer !== 'granted') this.lose({ inode, owner, lock });
    }
    const whole: Lock[] = [{ ...range, type: 'read', process: { pid: 0, place: 0 } }];
    for (const gap of kept.reduce<Lock[]>(without, whole)) {
      await this.#server.unlock({ inode, owner, range: { start: gap.start, end: gap.end } });
    }
  }

  async unlock(inode: InodeId, owner: LockOwner, range: LockRange): Promise<void> {
    const owned = this.#find(inode, owner);
    if (owned === undefined) return;
    await this.#running(owned, async () => {
      owned.segments = without(owned.segments, range);
      if (owned.segments.length === 0) owned.isLost = false;
      await this.#server.unlock({ inode, owner, range });
    });
  }

  async test(inode: InodeId, owner: LockOwner, lock: Lock): Promise<Lock | undefined> {
    return await this.#server.test({ inode, owner, lock });
  }

  /** All that is held. */
  all(): OwnedLock[] {
    return [...this.#owned.values()].flatMap(({ inode, owner, segments }) =>
      segments.map((lock) => ({ inode, owner, lock })),
    );
  }

  /**
   * The session has ended. Others may have had any of the locks meanwhile and given it back, and have changed what is
   * under it: none is taken again as if nothing had happened.
   */
  loseAll(): void {
    for (const lock of this.all()) this.lose(lock);
  }

  /** Others were given this lock while the server did not know of it: whoever had it hears so at the next request. */
  lose({ inode, owner, lock }: OwnedLock): void {
    const owned = this.#find(inode, owner);
    if (owned === undefined || within(owned.segments, lock).length === 0) return;
    owned.segments = without(owned.segments, lock);
    owned.isLost = true;
  }
}

/** By which the server has said no, so that nothing need be undone. */
const ANSWERS: readonly ErrnoName[] = ['EAGAIN', 'EDEADLK', 'ENOLCK', 'EINVAL'];

function isErrno(error: unknown, codes: readonly ErrnoName[]): boolean {
  return error instanceof FsError && codes.includes(error.code);
}

function nothing(): void {
  // For promises whose outcome nobody needs.
}

function keyOf(inode: InodeId, owner: LockOwner): string {
  return `${inode}/${ownerKey(owner)}`;
}

/** A lock that was lost is not to be taken again as if nothing had happened. */
function requireKept({ isLost, inode }: Owned): void {
  if (isLost) throw new FsError('EIO', `a lock of inode ${inode} was lost with its session`);
}
