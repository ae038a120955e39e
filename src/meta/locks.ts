/**
 * Who has locked what, and who waits for it. No I/O, no time. A waiter is granted in the turn in which the last lock goes
 * that is in its way, those who came first before the others; a request that nothing held is in the way of is granted
 * although others wait, as in Linux.
 */
import type { InodeId } from '../ids.ts';
import { overlap, type Segments, withLock, without } from './lock-ranges.ts';
import { type Lock, type LockOwner, ownerKey, type LockRange } from './lock-store.ts';

/** A lock that a client wants for one of its owners. */
export interface Claim {
  readonly inode: InodeId;
  readonly client: string;
  readonly owner: LockOwner;
  readonly lock: Lock;
}

/** A claim that others are in the way of. */
export interface Waiter {
  readonly claim: Claim;
  /** Called once, in the turn in which it is granted; must not call the table. */
  readonly onGranted: () => void;
}

/** An owner of any client. */
export type GlobalOwner = string & { readonly __brand: 'GlobalOwner' };

export function globalOwner({ client, owner }: Pick<Claim, 'client' | 'owner'>): GlobalOwner {
  return `${client}:${ownerKey(owner)}` as GlobalOwner;
}

interface Holder {
  readonly client: string;
  readonly owner: LockOwner;
  segments: Segments;
}

interface LockedFile {
  readonly holders: Map<GlobalOwner, Holder>;
  waiters: Waiter[];
}

/** A lock, and whose it is. */
export interface HeldLock {
  readonly owner: GlobalOwner;
  readonly lock: Lock;
}

export class LockTable {
  readonly #files = new Map<InodeId, LockedFile>();
  readonly #waiting = new Map<GlobalOwner, Set<Waiter>>();
  #count = 0;

  /** Segments that are held. */
  get count(): number {
    return this.#count;
  }

  /** How many wait. */
  get waiterCount(): number {
    let count = 0;
    for (const waiters of this.#waiting.values()) count += waiters.size;
    return count;
  }

  /**
   * Takes the lock, or returns the owners that are in its way; what the owner has already is converted. An flock(2) that
   * fails to be converted is gone, as in Linux.
   */
  take(claim: Claim): readonly GlobalOwner[] {
    const { inode, owner, lock } = claim;
    const file = this.#file(inode);
    const key = globalOwner(claim);
    const held = file.holders.get(key)?.segments ?? [];
    const converts = held.some((segment) => segment.type !== lock.type && overlap(segment, lock));
    if (converts && owner.kind === 'flock') this.#put(file, claim, without(held, lock));
    const blockers = this.#blockers(file, claim);
    if (blockers.length === 0) {
      this.#put(file, claim, withLock(file.holders.get(key)?.segments ?? [], lock));
    }
    if (converts) this.#grant(file);
    this.#tidy(inode, file);
    return blockers;
  }

  /** The owner has nothing of `range` any more. */
  release(claim: Omit<Claim, 'lock'>, range: LockRange): void {
    const file = this.#files.get(claim.inode);
    const holder = file?.holders.get(globalOwner(claim));
    if (file === undefined || holder === undefined) return;
    this.#put(file, claim, without(holder.segments, range));
    this.#grant(file);
    this.#tidy(claim.inode, file);
  }

  /** Waits for what {@link take} could not get. */
  wait(waiter: Waiter): void {
    this.#file(waiter.claim.inode).waiters.push(waiter);
    const key = globalOwner(waiter.claim);
    const waiters = this.#waiting.get(key);
    if (waiters === undefined) this.#waiting.set(key, new Set([waiter]));
    else waiters.add(waiter);
  }

  /** The waiter waits no more; nothing happens to one that has been granted. */
  giveUp(waiter: Waiter): void {
    const { inode } = waiter.claim;
    const file = this.#files.get(inode);
    if (file === undefined) return;
    file.waiters = file.waiters.filter((other) => other !== waiter);
    this.#forget(waiter);
    this.#tidy(inode, file);
  }

  #forget(waiter: Waiter): void {
    const key = globalOwner(waiter.claim);
    const waiters = this.#waiting.get(key);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiting.delete(key);
  }

  /** The lock with the lowest start that is in the way of a claim. */
  obstacle(claim: Claim): HeldLock | undefined {
    const file = this.#files.get(claim.inode);
    let first: HeldLock | undefined;
    if (file === undefined) return undefined;
    for (const [owner, holder] of this.#others(file, claim)) {
      const lock = holder.segments.find((segment) => conflict(segment, claim.lock));
      if (lock === undefined) continue;
      if (first === undefined || lock.start < first.lock.start) first = { owner, lock };
    }
    return first;
  }

  /** Owners that are in the way of what `owner` waits for. */
  waitsFor(owner: GlobalOwner): GlobalOwner[] {
    const found = new Set<GlobalOwner>();
    for (const { claim } of this.#waiting.get(owner) ?? []) {
      const file = this.#files.get(claim.inode);
      if (file === undefined) continue;
      for (const blocker of this.#blockers(file, claim)) found.add(blocker);
    }
    return [...found];
  }

  /**
   * The client has these locks and no others, and waits for none. What it had already, nobody can get in between. False
   * for each that others are in the way of by now.
   */
  replace(client: string, claims: readonly Claim[]): boolean[] {
    const touched = new Set<InodeId>();
    for (const [inode, file] of this.#files) {
      const own = [...file.holders.values()].filter((holder) => holder.client === client);
      for (const { owner } of own) this.#put(file, { client, owner }, []);
      const gone = file.waiters.filter((waiter) => waiter.claim.client === client);
      file.waiters = file.waiters.filter((waiter) => !gone.includes(waiter));
      for (const waiter of gone) this.#forget(waiter);
      if (own.length > 0 || gone.length > 0) touched.add(inode);
    }
    const taken = claims.map((claim) => {
      const file = this.#file(claim.inode);
      touched.add(claim.inode);
      if (this.#blockers(file, claim).length > 0) return false;
      const segments = file.holders.get(globalOwner(claim))?.segments ?? [];
      this.#put(file, claim, withLock(segments, claim.lock));
      return true;
    });
    for (const inode of touched) {
      const file = this.#file(inode);
      this.#grant(file);
      this.#tidy(inode, file);
    }
    return taken;
  }

  #file(inode: InodeId): LockedFile {
    let file = this.#files.get(inode);
    if (file === undefined) {
      file = { holders: new Map(), waiters: [] };
      this.#files.set(inode, file);
    }
    return file;
  }

  #tidy(inode: InodeId, { holders, waiters }: LockedFile): void {
    if (holders.size === 0 && waiters.length === 0) this.#files.delete(inode);
  }

  #put(
    file: LockedFile,
    { client, owner }: Pick<Claim, 'client' | 'owner'>,
    segments: Segments,
  ): void {
    const key = globalOwner({ client, owner });
    const holder = file.holders.get(key);
    this.#count += segments.length - (holder?.segments.length ?? 0);
    if (segments.length === 0) file.holders.delete(key);
    else if (holder === undefined) file.holders.set(key, { client, owner, segments });
    else holder.segments = segments;
  }

  *#others(file: LockedFile, claim: Claim): Generator<[GlobalOwner, Holder]> {
    const own = globalOwner(claim);
    for (const entry of file.holders) {
      const [key, { owner }] = entry;
      if (key !== own && owner.kind === claim.owner.kind) yield entry;
    }
  }

  #blockers(file: LockedFile, claim: Claim): GlobalOwner[] {
    const blockers: GlobalOwner[] = [];
    for (const [key, { segments }] of this.#others(file, claim)) {
      if (segments.some((segment) => conflict(segment, claim.lock))) blockers.push(key);
    }
    return blockers;
  }

  #isFree(file: LockedFile, claim: Claim): boolean {
    for (const [, { segments }] of this.#others(file, claim)) {
      if (segments.some((segment) => conflict(segment, claim.lock))) return false;
    }
    return true;
  }

  /** Grants whom nothing is in the way of now, until nobody is left who could be: a grant may free what it converts. */
  #grant(file: LockedFile): void {
    for (let some = true; some;) {
      some = false;
      for (const waiter of [...file.waiters]) {
        const { claim } = waiter;
        if (!this.#isFree(file, claim)) continue;
        const segments = file.holders.get(globalOwner(claim))?.segments ?? [];
        this.#put(file, claim, withLock(segments, claim.lock));
        file.waiters.splice(file.waiters.indexOf(waiter), 1);
        this.#forget(waiter);
        waiter.onGranted();
        some = true;
      }
    }
  }
}

function conflict(held: Lock, wanted: Lock): boolean {
  return (held.type === 'write' || wanted.type === 'write') && overlap(held, wanted);
}
