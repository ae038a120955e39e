import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusterError } from '../../../src/meta/cluster-errors.ts';
import { SystemKey, systemKey } from '../../../src/meta/keys.ts';
import { LmdbKeyValue } from '../../../src/meta/lmdb-kv.ts';
import {
  declareBlocks,
  learnMap,
  readCluster,
  type Registration,
  registerLife,
  settleLayout,
  tellMetaServers,
} from '../../../src/meta/members.ts';
import {
  awaitedMembers,
  parseAddress,
  sameList,
  type ServerMap,
} from '../../../src/meta/server-map.ts';
import { getSystemNumber } from '../../../src/meta/tables.ts';
import { runSync, wait } from '../../../src/task.ts';
import { FsError } from '../../../src/errno.ts';
import { LAYOUT, temporaryFolder } from './helpers.ts';

const LIST = ['node1:5555', 'node2:5555'];

function openDatabase(t: ExecutionContext): LmdbKeyValue {
  const kv = LmdbKeyValue.open(join(temporaryFolder(t), 'data'));
  t.teardown(() => kv.close());
  return kv;
}

function life(index: number, incarnation: string): Registration {
  return {
    index,
    list: LIST,
    host: `node${index + 1}`,
    ports: [5555, 40_001],
    capacityBytes: 1024,
    incarnation,
  };
}

function refusal(action: () => unknown): string {
  try {
    action();
    return 'accepted';
  } catch (error) {
    if (error instanceof ClusterError) return error.reason;
    throw error;
  }
}

test('the first list of block servers is kept, also in the database, and awaits all of them', (t) => {
  const kv = openDatabase(t);
  const map = kv.transact((transaction) => declareBlocks(transaction, LIST));
  t.deepEqual(awaitedMembers(map), LIST);
  t.deepEqual(runSync(readCluster(kv)).map, map);
  t.deepEqual(
    kv.transact((transaction) => declareBlocks(transaction, ['NODE1:5555', 'node2:5555'])),
    map,
  );
});

for (const other of [['node1:5555'], ['node2:5555', 'node1:5555'], [...LIST, 'node3:5555']]) {
  test(`the list ${other.join(' ')} takes the place of another that no server has come for`, (t) => {
    const kv = openDatabase(t);
    const before = kv.transact((transaction) => declareBlocks(transaction, LIST));
    const map = kv.transact((transaction) => declareBlocks(transaction, other));
    t.deepEqual(awaitedMembers(map), other);
    t.true(map.version > before.version);
  });

  test(`the list ${other.join(' ')} is refused where another is served, and both are named`, (t) => {
    const kv = openDatabase(t);
    const { map } = kv.transact((transaction) => registerLife(transaction, life(0, 'a')));
    const error = t.throws(() => kv.transact((transaction) => declareBlocks(transaction, other)), {
      instanceOf: ClusterError,
    });
    t.is(error.reason, 'other-block-servers');
    t.true(error.message.includes('node1:5555, node2:5555'));
    t.true(error.message.includes(other.join(', ')));
    t.deepEqual(runSync(readCluster(kv)).map, map);
  });
}

test('a first life leaves the epoch, a second one raises it and is born in it, a retry changes nothing', (t) => {
  const kv = openDatabase(t);
  const register = (index: number, incarnation: string) =>
    kv.transact((transaction) => registerLife(transaction, life(index, incarnation)));
  const first = register(0, 'a');
  t.like(first, { bornEpoch: 1, raised: false, map: { epoch: 1 } });
  t.deepEqual(awaitedMembers(first.map), ['node2:5555']);
  const again = register(0, 'a');
  t.deepEqual(again, { map: first.map, bornEpoch: 1, raised: false });
  const second = register(0, 'b');
  t.like(second, { bornEpoch: 2, raised: true, map: { epoch: 2 } });
  t.is(second.map.version, first.map.version + 1);
  t.is(second.map.blocks[0]?.life?.incarnation, 'b');
  t.is(runSync(getSystemNumber(kv, SystemKey.MAP_EPOCH)), 2);
  t.deepEqual(runSync(readCluster(kv)).map, second.map);
});

test('a place that had no server before is born in the first epoch, however high the epoch is', (t) => {
  const kv = openDatabase(t);
  for (const incarnation of ['a', 'b', 'c']) {
    kv.transact((transaction) => registerLife(transaction, life(0, incarnation)));
  }
  const late = kv.transact((transaction) => registerLife(transaction, life(1, 'd')));
  t.like(late, { bornEpoch: 1, raised: false, map: { epoch: 3 } });
});

test('an index beyond the list is refused', (t) => {
  const kv = openDatabase(t);
  t.is(
    refusal(() => kv.transact((transaction) => registerLife(transaction, life(2, 'a')))),
    'other-block-servers',
  );
  t.deepEqual(runSync(readCluster(kv)).map.blocks, []);
});

test('the metadata servers are told once; the same list is accepted again, another is refused', (t) => {
  const kv = openDatabase(t);
  const tell = (...list: string[]) => {
    kv.transact((transaction) => tellMetaServers(transaction, list));
  };
  tell('m1:5569', 'm2:5569');
  tell('m1:5569', 'M2:5569');
  t.is(
    refusal(() => {
      tell('m1:5569');
    }),
    'other-meta-servers',
  );
  t.deepEqual(runSync(readCluster(kv)).metaServers, ['m1:5569', 'm2:5569']);
});

test('the first layout stays', (t) => {
  const kv = openDatabase(t);
  const settle = (blockSizeBytes: number) =>
    kv.transact((transaction) => settleLayout(transaction, { ...LAYOUT, blockSizeBytes }));
  t.is(settle(4096).blockSizeBytes, 4096);
  t.is(settle(8192).blockSizeBytes, 4096);
});

test('an older map than the known one is not learnt', (t) => {
  const kv = openDatabase(t);
  const map = (version: number, epoch: number): ServerMap => ({ version, epoch, blocks: [] });
  const learn = (learnt: ServerMap) => kv.transact((transaction) => learnMap(transaction, learnt));
  t.like(learn(map(7, 3)), { version: 7, epoch: 3 });
  t.like(learn(map(6, 2)), { version: 7, epoch: 3 });
  t.is(runSync(getSystemNumber(kv, SystemKey.MAP_EPOCH)), 3);
});

for (const damaged of ['', '{', '[2,[]]', '[1,[]]', '[1,[null,null,[1,"x",[]]]]', '7']) {
  test(`a record that reads ${JSON.stringify(damaged)} is EIO, not a crash`, (t) => {
    const kv = openDatabase(t);
    kv.transact((transaction) =>
      wait(transaction.put(systemKey(SystemKey.CLUSTER), Buffer.from(damaged))),
    );
    t.is(t.throws(() => runSync(readCluster(kv)), { instanceOf: FsError }).code, 'EIO');
  });
}

test('addresses are taken apart, IPv6 in brackets', (t) => {
  t.deepEqual(parseAddress('node1:5555'), { host: 'node1', port: 5555 });
  t.deepEqual(parseAddress('[fe80::1%eth0]:1'), { host: 'fe80::1%eth0', port: 1 });
  for (const wrong of ['node1', 'node1:0', 'node1:65536', 'a:b:1', ':1', '[]:1', '']) {
    t.is(parseAddress(wrong), undefined, wrong);
  }
  t.false(sameList(['a:1'], ['a:1', 'b:1']));
});
