import test from 'ava';
import { BlockLocations } from '../../../src/blocks/block-locations.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';

const inode = (n: number): InodeId => n as InodeId;
const block = (n: number): BlockIndex => n as BlockIndex;

test('what was learnt is found until the dataset is forgotten', (t) => {
  const locations = new BlockLocations();
  locations.learn(inode(1), block(1), 3);
  locations.learn(inode(1), block(2), 0);
  locations.learn(inode(2), block(1), 1);
  locations.learn(inode(2), block(1), 1);
  t.is(locations.blockCount, 3);
  t.is(locations.find(inode(1), block(2)), 0);
  t.is(locations.find(inode(1), block(9)), undefined);
  locations.forget(inode(1));
  locations.forget(inode(7));
  t.is(locations.find(inode(1), block(1)), undefined);
  t.is(locations.find(inode(2), block(1)), 1);
  t.is(locations.blockCount, 1);
});

test('the oldest datasets are forgotten when there are too many blocks', (t) => {
  const locations = new BlockLocations(10);
  for (let n = 1; n <= 6; n++) {
    locations.learn(inode(n), block(1), n);
    locations.learn(inode(n), block(2), n);
  }
  t.is(locations.blockCount, 10);
  t.is(locations.find(inode(1), block(1)), undefined);
  t.is(locations.find(inode(6), block(2)), 6);
  for (let n = 1; n <= 50; n++) locations.learn(inode(99), block(n), 1);
  t.true(locations.blockCount <= 10);
});
