import test from 'ava';
import fc from 'fast-check';
import type { InodeId } from '../../../src/ids.ts';
import {
  entryKey,
  firstNumber,
  keyAfter,
  numberKey,
  pairKey,
  secondNumber,
  Table,
} from '../../../src/meta/keys.ts';

const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('keys have their fixed layout', (t) => {
  t.is(numberKey(Table.INODES, 2 ** 40 + 1).toString('hex'), '400000010000000001');
  t.is(pairKey(Table.LISTING, 1, 2).toString('hex'), '0700000000000000010000000000000002');
  t.is(entryKey(5 as InodeId, Buffer.from([0xff])).toString('hex'), '060000000000000005ff');
});

test('keys sort as their numbers do, and give them back', (t) => {
  fc.assert(
    fc.property(number, number, number, number, (a, b, c, d) => {
      const one = pairKey(Table.LISTING, a, b);
      const two = pairKey(Table.LISTING, c, d);
      t.is(one.compare(two), Math.sign(a - c || b - d) as -1 | 0 | 1);
      t.deepEqual([firstNumber(one), secondNumber(one)], [a, b]);
    }),
  );
  t.pass();
});

test('nothing sorts between a key and the one after it', (t) => {
  t.is(keyAfter(Buffer.from([1, 255])).toString('hex'), '01ff00');
});
