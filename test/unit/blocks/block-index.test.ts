import test from 'ava';
import fc from 'fast-check';
import { BlockIndex } from '../../../src/blocks/block-index.ts';
import { DatasetTable, Field } from '../../../src/blocks/dataset-table.ts';
import type { InodeId } from '../../../src/ids.ts';

function make(): { table: DatasetTable; index: BlockIndex; row: number } {
  const table = new DatasetTable();
  return { table, index: new BlockIndex(table), row: table.insert(1 as InodeId) };
}

test('a dataset with one block, wherever it is, needs no node', (t) => {
  const { index, row } = make();
  index.insert(row, 2 ** 41, { ref: 7, storedBytes: 10 });
  const place = index.find(row, 2 ** 41);
  t.deepEqual([index.slotAt(place), index.storedAt(place), index.nodeCount], [7, 10, 0]);
  t.is(index.find(row, 1), 0);
});

test('far apart blocks need few nodes', (t) => {
  const { index, row } = make();
  for (const block of [1, 2 ** 41, 2 ** 20])
    index.insert(row, block, { ref: block, storedBytes: 1 });
  for (const block of [1, 2 ** 41, 2 ** 20]) t.is(index.slotAt(index.find(row, block)), block);
  t.is(index.find(row, 2 ** 41 - 1), 0);
  t.is(index.find(row, 2 ** 43), 0);
  t.true(index.nodeCount < 25);
});

test('blocks are kept as a plain map would keep them, and removal returns every node', (t) => {
  const block = fc.oneof(
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 5000 }),
    fc.integer({ min: 1, max: 2 ** 41 }),
  );
  const step = fc.record({ block, cut: fc.integer({ min: 0, max: 9 }).map((n) => n === 0) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const { table, index, row } = make();
      const model = new Map<number, number>();
      steps.forEach(({ block: number, cut }, n) => {
        if (cut) {
          const seen: number[] = [];
          index.removeFrom(row, number, (ref) => seen.push(ref));
          const expected = [...model].filter(([key]) => key >= number);
          expected.sort(([a], [b]) => b - a);
          t.deepEqual(
            seen,
            expected.map(([, ref]) => ref),
          );
          for (const [key] of expected) model.delete(key);
        } else if (!model.has(number)) {
          index.insert(row, number, { ref: n + 1, storedBytes: n });
          model.set(number, n + 1);
        }
        t.is(table.get(row, Field.COUNT), model.size);
      });
      for (const [key, ref] of model) t.is(index.slotAt(index.find(row, key)), ref);
      index.removeFrom(row, 1, () => undefined);
      t.deepEqual([table.get(row, Field.COUNT), index.nodeCount], [0, 0]);
    }),
    { numRuns: 80 },
  );
});

test('a detached tree is removed in steps of the size asked for', (t) => {
  const { table, index, row } = make();
  for (let block = 1; block <= 1000; block++)
    index.insert(row, block, { ref: block, storedBytes: 1 });
  const tree = index.detach(row);
  t.is(table.get(row, Field.COUNT), 0);
  t.is(index.find(row, 5), 0);
  const seen = new Set<number>();
  const counts = [];
  while (tree.root !== 0) counts.push(index.removeSome(tree, 300, (ref) => seen.add(ref)));
  t.deepEqual(counts, [300, 300, 300, 100]);
  t.deepEqual([seen.size, index.nodeCount], [1000, 0]);
});
