import test from 'ava';
import { FreshAttributes } from '../../../../src/fs/fuse/fresh-attributes.ts';
import type { InodeId } from '../../../../src/ids.ts';
import { statOf } from '../../blocks/fixtures.ts';

const INODE = 7 as InodeId;
const ENTRY = { inode: INODE, stat: statOf(INODE, { sizeBytes: 3 }) };

test('what a lookup told answers the next question of the same thread, once', (t) => {
  const fresh = new FreshAttributes(() => 0);
  fresh.remember(100, ENTRY);
  t.is(fresh.take(101, INODE), undefined);
  t.is(fresh.take(100, INODE), ENTRY.stat);
  t.is(fresh.take(100, INODE), undefined);
});

test('a question about another inode, or another request in between, ends it', (t) => {
  const fresh = new FreshAttributes(() => 0);
  fresh.remember(100, ENTRY);
  t.is(fresh.take(100, 8 as InodeId), undefined);
  t.is(fresh.take(100, INODE), undefined);
  fresh.remember(100, ENTRY);
  fresh.forget(100);
  t.is(fresh.take(100, INODE), undefined);
});

test('it is good for no longer than a system call may take', (t) => {
  let nowMs = 0;
  const fresh = new FreshAttributes(() => nowMs);
  fresh.remember(100, ENTRY);
  nowMs = 0.9;
  t.is(fresh.take(100, INODE), ENTRY.stat);
  fresh.remember(100, ENTRY);
  nowMs = 2;
  t.is(fresh.take(100, INODE), undefined);
});

test('many threads are not remembered for ever', (t) => {
  const fresh = new FreshAttributes(() => 0);
  fresh.remember(1, ENTRY);
  for (let pid = 2; pid < 600; pid++) fresh.remember(pid, ENTRY);
  t.is(fresh.take(1, INODE), undefined);
  t.is(fresh.take(599, INODE), ENTRY.stat);
});
