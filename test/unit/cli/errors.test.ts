import test from 'ava';
import { FailureError, StartFailure, UsageError, failureOf } from '../../../src/cli/errors.ts';
import { ConfigError } from '../../../src/config.ts';
import { FsError } from '../../../src/errno.ts';
import { InvariantError } from '../../../src/invariant.ts';

test('wrong usage exits with 2, everything else with 1', (t) => {
  t.is(failureOf(new UsageError('x; y')).exitCode, 2);
  t.is(failureOf(new ConfigError('x; y')).exitCode, 2);
  t.is(failureOf(new FailureError('x; y')).exitCode, 1);
  t.is(failureOf(new FsError('EIO')).exitCode, 1);
  t.is(failureOf(new Error('x')).exitCode, 1);
  t.is(failureOf('x').exitCode, 1);
  t.is(failureOf(new StartFailure({ message: 'x', exitCode: 2 })).exitCode, 2);
});

test('a failure is one line', (t) => {
  t.is(failureOf(new FailureError('a\n  b\tc\u001b[1m')).message, 'a b c [1m');
});

test('a bug is told as one', (t) => {
  t.is(failureOf(new InvariantError('odd')).message, 'internal error: odd; please report it');
});
