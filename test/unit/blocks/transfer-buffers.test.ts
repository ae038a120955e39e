import test from 'ava';
import { TransferBuffers } from '../../../src/blocks/transfer-buffers.ts';
import { MIB } from './fixtures.ts';

test('transfers beyond the limit wait in their order', async (t) => {
  const buffers = new TransferBuffers(100);
  t.is(buffers.begin(60), undefined);
  t.is(buffers.begin(40), undefined);
  const order: string[] = [];
  const large = buffers.begin(90)?.then(() => order.push('large'));
  const small = buffers.begin(1)?.then(() => order.push('small'));
  t.truthy(large);
  t.truthy(small);
  buffers.end(60);
  await Promise.resolve();
  t.deepEqual(order, [], 'the small one would fit, but came later');
  buffers.end(40);
  await Promise.all([large, small]);
  t.deepEqual(order, ['large', 'small']);
  t.is(buffers.underWayBytes, 91);
});

test('a transfer larger than the limit goes alone', async (t) => {
  const buffers = new TransferBuffers(100);
  t.is(buffers.begin(1000), undefined);
  const next = buffers.begin(1);
  t.truthy(next);
  buffers.end(1000);
  await next;
  buffers.end(1);
  t.is(buffers.underWayBytes, 0);
});

test('a released buffer is used again, by one holder at a time', (t) => {
  const buffers = new TransferBuffers(4 * MIB);
  const first = buffers.lend(MIB);
  const second = buffers.lend(MIB);
  t.not(first.bytes.buffer, second.bytes.buffer);
  first.release();
  first.release();
  t.is(buffers.freeBytes, MIB);
  const third = buffers.lend(MIB - 10);
  t.is(third.bytes, first.bytes);
  t.not(buffers.lend(MIB).bytes, third.bytes);
});

test('no more memory is kept than the limit', (t) => {
  const buffers = new TransferBuffers(2 * MIB);
  const lent = Array.from({ length: 5 }, () => buffers.lend(MIB));
  for (const one of lent) one.release();
  t.is(buffers.freeBytes, 2 * MIB);
});

test('short answers do not hold large buffers', (t) => {
  const buffers = new TransferBuffers(MIB);
  const lent = buffers.lend(100);
  t.is(lent.bytes.buffer.byteLength, 100);
  lent.release();
  t.is(buffers.freeBytes, 0);
});
