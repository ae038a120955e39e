import test from 'ava';
import { InodeCounts } from '../../../src/fs/inode-counts.ts';
import type { InodeId } from '../../../src/ids.ts';

const id = (number: number): InodeId => number as InodeId;

test('counts rise and fall, and what falls to 0 is forgotten', (t) => {
  const counts = new InodeCounts();
  t.is(counts.get(id(5)), 0);
  t.is(counts.add(id(5), 2), 2);
  t.is(counts.add(id(5), -1), 1);
  t.is(counts.add(id(6), 4), 4);
  t.is(counts.total, 5);
  t.is(counts.add(id(6), -9), 0);
  t.is(counts.total, 1);
  t.is(counts.size, 1);
  t.is(counts.add(id(5), -3), 0);
  t.is(counts.size, 0);
});

test('inodes that share a shard are counted apart', (t) => {
  const counts = new InodeCounts();
  const inodes = [1, 257, 2 ** 40 + 1, 2 ** 52 + 1].map(id);
  for (const [index, inode] of inodes.entries()) counts.add(inode, index + 1);
  t.deepEqual(
    inodes.map((inode) => counts.get(inode)),
    [1, 2, 3, 4],
  );
  t.is(counts.size, 4);
  counts.clear();
  t.is(counts.size, 0);
  t.is(counts.total, 0);
});
