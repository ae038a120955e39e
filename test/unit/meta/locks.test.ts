import test from 'ava';
import fc from 'fast-check';
import type { InodeId } from '../../../src/ids.ts';
import { closesCircle, closesCircleAmong, type WaitsOf } from '../../../src/meta/lock-deadlocks.ts';
import { type Segments, withLock, within, without } from '../../../src/meta/lock-ranges.ts';
import {
  type Lock,
  LOCK_END,
  type LockKind,
  type LockOwner,
  type LockRange,
  type LockType,
} from '../../../src/meta/lock-store.ts';
import { type Claim, globalOwner, LockTable } from '../../../src/meta/locks.ts';

const SIZE = 12;
const INODE = 7 as InodeId;
const process = { pid: 1, place: 2 };

const range = fc
  .tuple(fc.nat(SIZE - 1), fc.nat(SIZE - 1))
  .map(([a, b]): LockRange => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const type = fc.constantFrom<LockType>('read', 'write');

/** What is locked, byte by byte. */
function bytesOf(segments: Segments): string {
  const bytes = Array.from({ length: SIZE }, () => '.');
  for (const { start, end, type: each } of segments) {
    bytes.fill(each === 'read' ? 'r' : 'w', start, end + 1);
  }
  return bytes.join('');
}

test('segments are what locking and unlocking byte by byte leaves, merged', (t) => {
  const step = fc.tuple(range, fc.option(type));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      let segments: Segments = [];
      const bytes = Array.from({ length: SIZE }, () => '.');
      for (const [{ start, end }, kind] of steps) {
        const taken = kind === null ? undefined : { start, end, type: kind, process };
        segments =
          taken === undefined ? without(segments, { start, end }) : withLock(segments, taken);
        bytes.fill(kind === null ? '.' : kind === 'read' ? 'r' : 'w', start, end + 1);
        t.is(bytesOf(segments), bytes.join(''));
        for (const [index, segment] of segments.slice(1).entries()) {
          const before = segments[index] as Lock;
          t.true(before.end < segment.start);
          t.false(before.end + 1 === segment.start && before.type === segment.type);
        }
        const cut = within(segments, { start: 3, end: 8 });
        t.is(
          bytesOf(cut).replaceAll('.', ' ').trim(),
          bytes.slice(3, 9).join('').replaceAll('.', ' ').trim(),
        );
      }
    }),
  );
});

interface Order {
  readonly who: number;
  readonly kind: LockKind;
  readonly range: LockRange;
  readonly type: LockType | null;
  readonly waits: boolean;
}

const order: fc.Arbitrary<Order> = fc.record({
  who: fc.nat(3),
  kind: fc.constantFrom<LockKind>('posix', 'posix', 'flock'),
  range,
  type: fc.option(type, { freq: 3 }),
  waits: fc.boolean(),
});

function ownerOf({ who, kind }: Pick<Order, 'who' | 'kind'>): LockOwner {
  return { kind, low: who, high: 0 };
}

function claimOf({ who, kind, range: where, type: taken }: Order): Claim {
  const whole = kind === 'flock' ? { start: 0, end: SIZE - 1 } : where;
  const owner = ownerOf({ who, kind });
  // Owners 0 and 1 are of one client, 2 and 3 of another.
  const client = who < 2 ? 'aa' : 'bb';
  return { inode: INODE, client, owner, lock: { ...whole, type: taken ?? 'read', process } };
}

/** What the table should be: for each owner, a letter for each byte; and who waits, in order. */
class Model {
  readonly held = new Map<string, string[]>();
  readonly waiting: { claim: Claim; granted: boolean }[] = [];

  bytes({ client, owner }: Pick<Claim, 'client' | 'owner'>): string[] {
    const key = globalOwner({ client, owner });
    let bytes = this.held.get(key);
    if (bytes === undefined) this.held.set(key, (bytes = Array.from({ length: SIZE }, () => '.')));
    return bytes;
  }

  isFree(claim: Claim): boolean {
    const own = globalOwner(claim);
    for (const [key, bytes] of this.held) {
      if (key === own || key.includes(':posix:') !== own.includes(':posix:')) continue;
      for (let at = claim.lock.start; at <= claim.lock.end; at++) {
        if (bytes[at] === 'w' || (bytes[at] === 'r' && claim.lock.type === 'write')) return false;
      }
    }
    return true;
  }

  set(claim: Claim, letter: string): void {
    this.bytes(claim).fill(letter, claim.lock.start, claim.lock.end + 1);
  }

  take(claim: Claim): boolean {
    const letter = claim.lock.type === 'read' ? 'r' : 'w';
    const converts = this.bytes(claim).some((each) => each !== '.' && each !== letter);
    if (claim.owner.kind === 'flock' && converts) this.set(claim, '.');
    if (!this.isFree(claim)) return false;
    this.set(claim, letter);
    return true;
  }

  /** Whoever can be granted is, the first first. */
  settle(): void {
    for (;;) {
      const next = this.waiting.find(({ claim, granted }) => !granted && this.isFree(claim));
      if (next === undefined) return;
      next.granted = true;
      this.set(next.claim, next.claim.lock.type === 'read' ? 'r' : 'w');
    }
  }
}

test('the table grants what a model of single bytes grants, to whoever has come first', (t) => {
  fc.assert(
    fc.property(fc.array(order, { maxLength: 30 }), (orders) => {
      const table = new LockTable();
      const model = new Model();
      const granted = new Set<number>();
      for (const each of orders) {
        const claim = claimOf(each);
        if (each.type === null) {
          table.release(claim, claim.lock);
          model.set(claim, '.');
        } else {
          const isTaken = table.take(claim).length === 0;
          t.is(isTaken, model.take(claim));
          if (!isTaken && each.waits) {
            const number = model.waiting.push({ claim, granted: false }) - 1;
            table.wait({ claim, onGranted: () => granted.add(number) });
          }
        }
        model.settle();
        const expected = model.waiting.flatMap((waiter, index) => (waiter.granted ? [index] : []));
        t.deepEqual(
          [...granted].sort((a, b) => a - b),
          expected,
        );
      }
      t.is(table.waiterCount, model.waiting.length - granted.size);
      // Each byte that somebody has is in the way of a stranger.
      for (const kind of ['posix', 'flock'] as const) {
        for (let at = 0; at < SIZE; at++) {
          const owner = ownerOf({ who: 9, kind });
          const lock: Lock = { start: at, end: at, type: 'write', process };
          const found = table.obstacle({ inode: INODE, client: 'cc', owner, lock });
          const letters = [...model.held]
            .filter(([key]) => key.includes(`:${kind}:`))
            .map(([, bytes]) => bytes[at]);
          t.is(
            found !== undefined,
            letters.some((letter) => letter !== '.'),
          );
        }
      }
    }),
  );
});

const A: Claim = claimOf({
  who: 0,
  kind: 'posix',
  range: { start: 0, end: LOCK_END },
  type: 'write',
  waits: false,
});
const B: Claim = { ...A, client: 'bb', owner: { kind: 'posix', low: 2, high: 0 } };

test('what a client still has cannot be taken by those who wait while it says so again', (t) => {
  const table = new LockTable();
  t.deepEqual(table.take(A), []);
  let isGranted = false;
  t.deepEqual(table.take(B), [globalOwner(A)]);
  table.wait({ claim: B, onGranted: () => (isGranted = true) });
  t.deepEqual(table.replace('aa', [A]), [true]);
  t.false(isGranted);
  t.deepEqual(table.replace('aa', []), []);
  t.true(isGranted);
  t.deepEqual(table.replace('aa', [A]), [false]);
  t.is(table.count, 1);
});

test('a circle of those who wait is found, at one server and over several', async (t) => {
  const waits = new Map([
    ['a', ['b', 'x']],
    ['b', ['c']],
    ['c', ['d']],
  ]);
  const waitsFor = (owner: string): string[] => waits.get(owner) ?? [];
  t.true(closesCircle('d', ['a'], waitsFor));
  t.false(closesCircle('e', ['a'], waitsFor));
  const only =
    (...known: string[]): WaitsOf =>
    (owners) =>
      owners.filter((owner) => known.includes(owner)).map((owner) => [owner, waitsFor(owner)]);
  const away: WaitsOf = () => Promise.reject(new Error('away'));
  t.true(await closesCircleAmong('d', ['a'], [only('a', 'c'), away, only('b')]));
  t.false(await closesCircleAmong('e', ['a'], [only('a', 'c'), only('b')]));
  t.false(await closesCircleAmong('d', ['a'], [only('a', 'c'), away]));
});
