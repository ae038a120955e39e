import test from 'ava';
import fc from 'fast-check';
import { DatasetTable, Field } from '../../../src/blocks/dataset-table.ts';
import { makeInodeId, type InodeId } from '../../../src/ids.ts';

test('rows are found by inode number whatever came and went before', (t) => {
  const inode = fc.oneof(
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 1, max: 30 }).map((n) => makeInodeId(n % 5, n)),
  );
  const steps = fc.array(fc.record({ inode, remove: fc.boolean() }), { maxLength: 400 });
  fc.assert(
    fc.property(steps, (list) => {
      const table = new DatasetTable();
      const model = new Map<number, number>();
      list.forEach(({ inode: number, remove }, n) => {
        const id = number as InodeId;
        if (remove) {
          table.remove(id);
          model.delete(id);
        } else if (!model.has(id)) {
          const row = table.insert(id);
          t.is(table.get(row, Field.COUNT), 0);
          table.set(row, Field.COUNT, n);
          model.set(id, n);
        }
        t.is(table.count, model.size);
      });
      for (let id = 1; id <= 60; id++) {
        const row = table.find(id as InodeId);
        t.is(row === 0 ? undefined : table.get(row, Field.COUNT), model.get(id));
      }
    }),
    { numRuns: 60 },
  );
});

test('100,000 datasets of several metadata servers are all found, and none after removal', (t) => {
  const table = new DatasetTable();
  const ids = Array.from({ length: 100_000 }, (_, n) => makeInodeId(n % 3, n + 1));
  for (const id of ids) table.insert(id);
  t.true(ids.every((id) => table.get(table.find(id), Field.INODE) === id));
  t.is(table.find(makeInodeId(7, 1)), 0);
  for (const id of ids) table.remove(id);
  t.is(table.count, 0);
  t.true(ids.every((id) => table.find(id) === 0));
});
