/** What an operation sees and leaves while it is collected. */
import test from 'ava';
import { type InodeId, makeInodeId } from '../../../../src/ids.ts';
import { CollectingTransaction } from '../../../../src/meta/distributed/collecting-transaction.ts';
import type { ReadRequest } from '../../../../src/meta/distributed/participant.ts';
import { numberKey, Table } from '../../../../src/meta/keys.ts';
import type { KeyRange } from '../../../../src/meta/kv.ts';
import { wait } from '../../../../src/task.ts';
import { MemoryDatabase } from '../../../support/metadata-cluster/memory-database.ts';

function keyOn(server: number, counter: number): Buffer {
  return numberKey(Table.ORPHANS, makeInodeId(server, counter));
}

const VALUE = Buffer.from('value');
const CHANGED = Buffer.from('changed');

/** Two servers with keys 1, 3 and 5 each; server 0 collects. */
function collecting(): { kv: CollectingTransaction; asked: [number, ReadRequest][] } {
  const databases = [0, 1].map((server) => {
    const database = new MemoryDatabase();
    for (const counter of [1, 3, 5]) {
      database.transact((kv) => wait(kv.put(keyOn(server, counter), VALUE)));
    }
    return database;
  });
  const asked: [number, ReadRequest][] = [];
  const kv = new CollectingTransaction({
    server: 0,
    read: (server, request) => {
      asked.push([server, request]);
      const database = databases[server];
      return Promise.resolve({
        values: request.keys.map((key) => database?.get(key)),
        pairs: request.ranges.map((range) => database?.range(range) ?? []),
      });
    },
    newNumber: () => 7 as InodeId,
  });
  return { kv, asked };
}

test('a key is read where it is kept, once', async (t) => {
  const { kv, asked } = collecting();
  t.deepEqual(await kv.get(keyOn(1, 3)), VALUE);
  t.deepEqual(await kv.get(keyOn(1, 3)), VALUE);
  t.is(await kv.get(keyOn(0, 4)), undefined);
  t.deepEqual(
    asked.map(([server]) => server),
    [1, 0],
  );
});

test('what was written is read again, and goes nowhere else', async (t) => {
  const { kv, asked } = collecting();
  kv.put(keyOn(1, 3), CHANGED);
  kv.remove(keyOn(1, 5));
  t.deepEqual(await kv.get(keyOn(1, 3)), CHANGED);
  t.is(await kv.get(keyOn(1, 5)), undefined);
  t.deepEqual(asked, []);
});

test('a range shows what was written and removed in it, as many as were asked for', async (t) => {
  const { kv } = collecting();
  const range: KeyRange = { start: keyOn(1, 1), end: keyOn(1, 9), limit: 2 };
  kv.remove(keyOn(1, 1));
  kv.put(keyOn(1, 4), CHANGED);
  const pairs = await kv.range(range);
  t.deepEqual(pairs, [
    { key: keyOn(1, 3), value: VALUE },
    { key: keyOn(1, 4), value: CHANGED },
  ]);
});

test('each server gets what concerns it; of a failed operation no writes', async (t) => {
  const { kv } = collecting();
  await kv.get(keyOn(0, 1));
  await kv.get(keyOn(1, 2));
  kv.put(keyOn(1, 2), CHANGED);
  kv.append(keyOn(0, 8), CHANGED);
  kv.remove(keyOn(0, 1));
  const done = kv.footprints(false);
  t.deepEqual(done.get(0), {
    reads: [{ key: keyOn(0, 1), value: VALUE }],
    ranges: [],
    writes: [
      { key: keyOn(0, 8), value: CHANGED },
      { key: keyOn(0, 1), value: undefined },
    ],
  });
  t.deepEqual(done.get(1), {
    reads: [{ key: keyOn(1, 2), value: undefined }],
    ranges: [],
    writes: [{ key: keyOn(1, 2), value: CHANGED }],
  });
  const failed = kv.footprints(true);
  t.deepEqual(failed.get(0)?.writes, []);
  t.is(failed.get(1)?.reads.length, 1);
});
