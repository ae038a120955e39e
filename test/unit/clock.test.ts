import test from 'ava';
import {
  compareTime,
  fromMilliseconds,
  laterOf,
  ManualClock,
  SystemClock,
} from '../../src/clock.ts';

test('milliseconds before 1970 have non-negative nanoseconds', (t) => {
  t.deepEqual(fromMilliseconds(-1), { seconds: -1, nanoseconds: 999_000_000 });
  t.deepEqual(fromMilliseconds(1500), { seconds: 1, nanoseconds: 500_000_000 });
});

test('times compare by seconds, then nanoseconds', (t) => {
  const early = { seconds: 1, nanoseconds: 9 };
  const late = { seconds: 2, nanoseconds: 0 };
  t.is(compareTime(early, late), -1);
  t.is(compareTime(late, early), 1);
  t.is(compareTime(early, { ...early }), 0);
  t.is(laterOf(early, late), late);
});

test('the system clock shows the same millisecond as Date.now, with further digits', (t) => {
  const clock = new SystemClock();
  let withDigits = 0;
  for (let i = 0; i < 1000; i++) {
    const before = Date.now();
    const { seconds, nanoseconds } = clock.now();
    const after = Date.now();
    const ms = seconds * 1000 + Math.floor(nanoseconds / 1e6);
    t.true(ms >= before && ms <= after);
    if (nanoseconds % 1e6 !== 0) withDigits += 1;
  }
  t.true(withDigits > 0);
});

test('the digits below a millisecond count from the first reading on', (t) => {
  let wholeMs = 0;
  for (let i = 0; i < 20; i++) {
    if (new SystemClock().now().nanoseconds % 1e6 === 0) wholeMs += 1;
  }
  t.true(wholeMs < 10, `${wholeMs} of 20 first readings showed whole milliseconds`);
});

test('a manual clock stands still until it is moved', (t) => {
  const clock = new ManualClock(5);
  t.deepEqual(clock.now(), clock.now());
  clock.advance(2);
  t.deepEqual(clock.now(), fromMilliseconds(7));
  t.is(clock.monotonicMs(), 7);
});
