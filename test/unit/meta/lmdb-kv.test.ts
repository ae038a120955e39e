import { statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FsError } from '../../../src/errno.ts';
import { InvariantError } from '../../../src/invariant.ts';
import { KeyValueError } from '../../../src/meta/kv.ts';
import { LmdbKeyValue } from '../../../src/meta/lmdb-kv.ts';
import { wait } from '../../../src/task.ts';
import { temporaryFolder } from './helpers.ts';

const key = (...bytes: number[]): Buffer => Buffer.from(bytes);

function openDatabase(t: ExecutionContext, mapBytes?: number): { kv: LmdbKeyValue; path: string } {
  const path = join(temporaryFolder(t), 'data');
  const kv = LmdbKeyValue.open(path, mapBytes === undefined ? {} : { mapBytes });
  t.teardown(() => kv.close());
  return { kv, path };
}

function put(kv: LmdbKeyValue, ...pairs: [Buffer, Buffer][]): void {
  kv.transact(function* (transaction) {
    for (const [at, value] of pairs) yield* wait(transaction.put(at, value));
  });
}

test('a read in the same turn sees what was just committed, again and again', (t) => {
  const { kv } = openDatabase(t);
  for (let value = 0; value < 50; value++) {
    put(kv, [key(1), key(value)]);
    t.deepEqual(kv.get(key(1)), key(value));
    t.deepEqual(kv.range({ start: key(1), end: key(2) }), [{ key: key(1), value: key(value) }]);
  }
});

test('a transaction reads its own writes, also in ranges', (t) => {
  const { kv } = openDatabase(t);
  put(kv, [key(1), key(1)], [key(2), key(2)]);
  const seen = kv.transact(function* (transaction) {
    yield* wait(transaction.put(key(3), key(3)));
    yield* wait(transaction.remove(key(1)));
    yield* wait(transaction.remove(key(9)));
    return yield* wait(transaction.range({ start: key(0), end: key(9) }));
  });
  t.deepEqual(
    seen.map((pair) => pair.value),
    [key(2), key(3)],
  );
});

test('a transaction that throws leaves nothing, and passes its error on', (t) => {
  const { kv } = openDatabase(t);
  const error = new FsError('EEXIST');
  const thrown = t.throws(() =>
    kv.transact(function* (transaction) {
      yield* wait(transaction.put(key(1), key(1)));
      throw error;
    }),
  );
  t.is(thrown, error);
  t.is(kv.get(key(1)), undefined);
  put(kv, [key(1), key(2)]);
  t.deepEqual(kv.get(key(1)), key(2));
});

test('a transaction that would wait is refused and leaves nothing', (t) => {
  const { kv } = openDatabase(t);
  t.throws(
    () => {
      kv.transact(function* (transaction) {
        yield* wait(transaction.put(key(1), key(1)));
        yield Promise.resolve();
      });
    },
    { instanceOf: TypeError },
  );
  t.is(kv.get(key(1)), undefined);
});

test('ranges begin at the start, end before the end, and keep to the limit', (t) => {
  const { kv } = openDatabase(t);
  put(kv, [key(1, 255), key(1)], [key(2), key(2)], [key(2, 0), key(3)], [key(3), key(4)]);
  const values = (start: Buffer, end: Buffer, limit?: number): number[] =>
    kv
      .range(limit === undefined ? { start, end } : { start, end, limit })
      .map((pair) => pair.value[0] ?? -1);
  t.deepEqual(values(key(2), key(3)), [2, 3]);
  t.deepEqual(values(key(1), key(9)), [1, 2, 3, 4]);
  t.deepEqual(values(key(1), key(9), 2), [1, 2]);
  t.is(kv.count({ start: key(2), end: key(4) }), 3);
});

test('what a range returns survives later reads, and small and large values mix', (t) => {
  const { kv } = openDatabase(t);
  const large = Buffer.alloc(9000, 7);
  put(kv, [key(1), large], [key(2), key(5)]);
  const pairs = kv.range({ start: key(1), end: key(3) });
  t.deepEqual(kv.get(key(1)), large);
  t.deepEqual(kv.get(key(2)), key(5));
  t.deepEqual(kv.get(key(2))?.subarray(0, 10), key(5));
  t.deepEqual(
    pairs.map((pair) => pair.value),
    [large, key(5)],
  );
});

test('keys and values may be reused once a call has returned', (t) => {
  const { kv } = openDatabase(t);
  const scratch = key(1);
  kv.transact(function* (transaction) {
    yield* wait(transaction.append(scratch, scratch));
    scratch[0] = 2;
    yield* wait(transaction.append(scratch, scratch));
  });
  t.deepEqual(kv.get(key(1)), key(1));
  t.deepEqual(kv.get(key(2)), key(2));
});

test('the mapping grows with the file', (t) => {
  const { kv, path } = openDatabase(t, 1 << 18);
  const value = Buffer.alloc(1000, 3);
  for (let at = 0; at < 20; at++) {
    put(kv, ...Array.from({ length: 100 }, (_, i): [Buffer, Buffer] => [key(at, i), value]));
  }
  t.true(statSync(path).size > 1 << 20);
  t.is(kv.count({ start: key(0), end: key(99) }), 2000);
  t.true(kv.usage().usedBytes > 1 << 20);
});

test('a closed database fails with EIO', async (t) => {
  const { kv } = openDatabase(t);
  await kv.close();
  t.is(t.throws(() => kv.get(key(1)), { instanceOf: KeyValueError }).code, 'EIO');
  t.is(
    t.throws(
      () => {
        put(kv, [key(1), key(1)]);
      },
      { instanceOf: KeyValueError },
    ).code,
    'EIO',
  );
});

test('to append a key that is not above all others is a bug, and stores nothing of its transaction', (t) => {
  const { kv } = openDatabase(t);
  put(kv, [key(5), key(5)]);
  const appending = (): void => {
    kv.transact(function* (transaction) {
      yield* wait(transaction.put(key(1), key(1)));
      yield* wait(transaction.append(key(3), key(3)));
    });
  };
  t.throws(appending, { instanceOf: InvariantError });
  t.deepEqual(kv.range({ start: key(0), end: key(9) }), [{ key: key(5), value: key(5) }]);
});
