/** How an operation over two servers ends, whatever it throws. */
import test from 'ava';
import { FsError } from '../../../../src/errno.ts';
import { makeInodeId } from '../../../../src/ids.ts';
import { InodeNumbers } from '../../../../src/meta/inode-numbers.ts';
import { numberKey, Table } from '../../../../src/meta/keys.ts';
import type { KeyValueTransaction } from '../../../../src/meta/kv.ts';
import { runSync, type Task, wait } from '../../../../src/task.ts';
import { Cluster } from '../../../support/metadata-cluster/cluster.ts';
import { MemoryDatabase } from '../../../support/metadata-cluster/memory-database.ts';

const ELSEWHERE = numberKey(Table.ORPHANS, makeInodeId(1, 5));
const HERE = numberKey(Table.ORPHANS, makeInodeId(0, 5));
const OLD = Buffer.from('old');
const NEW = Buffer.from('new');

function start(): { cluster: Cluster; databases: MemoryDatabase[] } {
  const databases = [new MemoryDatabase(), new MemoryDatabase()];
  databases[1]?.transact((kv) => wait(kv.put(ELSEWHERE, OLD)));
  return { cluster: new Cluster(1, databases), databases };
}

/** Runs an operation on server 0 to its end. */
async function mutate<T>(
  cluster: Cluster,
  run: (kv: KeyValueTransaction) => Task<T>,
): Promise<T | Error> {
  let ended: { result: T | Error } | undefined;
  const transactions = cluster.servers[0]?.distributed.transactions;
  const mutation = { run, around: (kv: KeyValueTransaction, inner: typeof run) => inner(kv) };
  (async () => transactions?.mutate<T, T>(mutation))().then(
    (result) => {
      ended = { result: result as T };
    },
    (error: unknown) => {
      ended = { result: error as Error };
    },
  );
  await cluster.schedule.run(() => ended !== undefined, 60_000);
  await cluster.calm();
  return ended?.result ?? new Error('no end');
}

test('an operation changes what two servers keep, at once', async (t) => {
  const { cluster, databases } = start();
  const result = await mutate(cluster, function* (kv) {
    const value = yield* wait(kv.get(ELSEWHERE));
    yield* wait(kv.put(HERE, value ?? NEW));
    yield* wait(kv.put(ELSEWHERE, NEW));
    return 'done';
  });
  t.is(result, 'done');
  t.deepEqual(databases[0]?.get(HERE), OLD);
  t.deepEqual(databases[1]?.get(ELSEWHERE), NEW);
});

test('whatever comes of reads that were never true together does not count', async (t) => {
  for (const failure of [new FsError('ENOENT'), new RangeError('nlink of -1')]) {
    const { cluster, databases } = start();
    let attempts = 0;
    const result = await mutate(cluster, function* (kv) {
      const value = yield* wait(kv.get(ELSEWHERE));
      attempts++;
      if (value?.equals(OLD) === true) {
        databases[1]?.transact((other) => wait(other.put(ELSEWHERE, NEW)));
        throw failure;
      }
      return 'done';
    });
    t.is(result, 'done', failure.name);
    t.true(attempts > 1, failure.name);
  }
});

test('what an operation throws although its reads hold is thrown, and nothing is changed', async (t) => {
  for (const failure of [new FsError('ENOTEMPTY'), new RangeError('a bug')]) {
    const { cluster, databases } = start();
    const result = await mutate(cluster, function* (kv) {
      yield* wait(kv.get(ELSEWHERE));
      yield* wait(kv.put(HERE, NEW));
      throw failure;
    });
    t.is(result, failure);
    t.is(databases[0]?.get(HERE), undefined);
    t.deepEqual(databases[1]?.get(ELSEWHERE), OLD);
  }
});

test('numbers that an operation took before it met another server are given out once', async (t) => {
  const { cluster, databases } = start();
  const [database] = databases;
  if (database === undefined) throw new Error('no database');
  const use = { parent: makeInodeId(0, 1), name: Buffer.from('name'), directory: false };
  const numbers = cluster.servers[0]?.distributed.numbers;
  const given: number[] = [];
  const take = function* (kv: KeyValueTransaction, elsewhere: boolean): Task<number> {
    const inode = yield* numbers?.next(kv, use) ?? wait(makeInodeId(0, 0));
    if (elsewhere) yield* wait(kv.get(ELSEWHERE));
    given.push(inode);
    return inode;
  };
  await mutate(cluster, (kv) => take(kv, true));
  await mutate(cluster, (kv) => take(kv, false));
  const next = new InodeNumbers(0);
  runSync(next.load(database));
  const later = database.transact((kv) => next.next(kv));
  t.is(new Set([...given, later]).size, given.length + 1);
  for (const inode of given) t.true(inode < later);
});
