import test from 'ava';
import { median, ratioOf, rotated, spreadOf } from '../../../bench/harness/statistics.ts';

test('the median is the middle of the sorted figures', (t) => {
  t.is(median([30, 1, 200]), 30);
  t.is(median([7]), 7);
});

test('the median of an even number of figures is the mean of the middle two', (t) => {
  t.is(median([4, 1, 100, 2]), 3);
});

test('figures are not reordered by taking their median', (t) => {
  const figures = [3, 1, 2];
  median(figures);
  t.deepEqual(figures, [3, 1, 2]);
});

test('a spread is the median with the lowest and the highest figure', (t) => {
  t.deepEqual(spreadOf([5, 9, 1]), { median: 5, lowest: 1, highest: 9 });
  t.is(spreadOf([]), undefined);
});

test('a ratio is taken within each round, so that a slow round changes nothing', (t) => {
  t.deepEqual(ratioOf([10, 1, 30], [20, 2, 60]), { median: 0.5, lowest: 0.5, highest: 0.5 });
  t.deepEqual(ratioOf([10, 40, 30], [10, 10, 10]), { median: 3, lowest: 1, highest: 4 });
});

test('rounds in which one of the two has no figure do not count', (t) => {
  t.deepEqual(ratioOf([10, null, 30, 40], [null, 2, 60, 0]), spreadOf([0.5]));
  t.is(ratioOf([null], [1]), undefined);
  t.is(ratioOf([1, 2], []), undefined);
});

test('each target comes first in one of as many rounds as there are targets', (t) => {
  const orders = [0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round).join(''));
  t.deepEqual(orders, ['abc', 'bca', 'cab', 'abc']);
  t.deepEqual(rotated([], 5), []);
});
