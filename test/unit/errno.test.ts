import test from 'ava';
import { FsError } from '../../src/errno.ts';

test('an expected failure takes no stack, EIO and other errors do', (t) => {
  const made = () => ({ expected: new FsError('ENOENT', 'x'), failed: new FsError('EIO', 'y') });
  const { expected, failed } = made();
  t.regex(expected.stack ?? '', /^\w+: ENOENT: x$/);
  t.regex(failed.stack ?? '', /^\w+: EIO: y\n +at made /);
  t.regex(new Error('z').stack ?? '', /\n +at /);
});
