import test from 'ava';
import { mayAccess } from '../../../src/fs/access.ts';
import { FileType } from '../../../src/stat.ts';

const file = { mode: FileType.REGULAR | 0o640, uid: 10, gid: 20 };

test('owner, group and others are judged by their own bits', (t) => {
  t.true(mayAccess(file, { uid: 10, gid: 99 }, 6));
  t.true(mayAccess(file, { uid: 11, gid: 20 }, 4));
  t.false(mayAccess(file, { uid: 11, gid: 20 }, 2));
  t.false(mayAccess(file, { uid: 11, gid: 21 }, 4));
});

test('an owner without a right does not get it as one of the others', (t) => {
  t.false(mayAccess({ ...file, mode: FileType.REGULAR | 0o007 }, { uid: 10, gid: 20 }, 4));
});

test('root may read and write all, and execute what anybody may', (t) => {
  const root = { uid: 0, gid: 0 };
  t.true(mayAccess({ ...file, mode: FileType.REGULAR }, root, 6));
  t.false(mayAccess(file, root, 1));
  t.true(mayAccess({ ...file, mode: FileType.REGULAR | 0o100 }, root, 1));
  t.true(mayAccess({ ...file, mode: FileType.DIRECTORY }, root, 1));
});
