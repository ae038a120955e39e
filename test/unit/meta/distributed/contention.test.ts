/** Transactions that lose to others get their turn. All in virtual time. */
import test from 'ava';
import { serverForDirectory } from '../../../../src/meta/distributed/ownership.ts';
import type { InodeId } from '../../../../src/ids.ts';
import { inspect, replay } from '../../../support/metadata-cluster/checks.ts';
import { Cluster, SimulatedClient } from '../../../support/metadata-cluster/cluster.ts';
import { MemoryDatabase } from '../../../support/metadata-cluster/memory-database.ts';
import {
  type Operation,
  type Place,
  ROOT,
} from '../../../support/metadata-cluster/namespace-model.ts';

function nameOn(server: number, servers: number): string {
  for (let index = 0; ; index++) {
    const name = `on-${server}-${index}`;
    if (serverForDirectory(ROOT as InodeId, Buffer.from(name), servers) === server) return name;
  }
}

/** A cluster with a directory on each server. */
async function start(
  seed: number,
): Promise<{ cluster: Cluster; databases: MemoryDatabase[]; directories: number[] }> {
  const databases = [new MemoryDatabase(), new MemoryDatabase()];
  const cluster = new Cluster(seed, databases);
  cluster.conditions = { lost: 0, doubled: 0, mostDelayMs: 2 };
  const directories: number[] = [];
  const client = new SimulatedClient(cluster);
  const made = (async () => {
    for (const server of databases.keys()) {
      const at = { parent: ROOT, name: nameOn(server, databases.length) };
      const outcome = await client.perform({ kind: 'mkdir', at });
      directories.push((outcome?.ok === true ? outcome.record?.inode : undefined) ?? 0);
    }
  })();
  await until(cluster, made);
  return { cluster, databases, directories };
}

async function until<T>(cluster: Cluster, pending: Promise<T>): Promise<T> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  pending.then(note, note);
  await cluster.schedule.run(() => settled, 100_000);
  return pending;
}

function isOk(cluster: Cluster, operation: Operation): boolean {
  return cluster.history.some(
    (done) => done.result === 'OK' && JSON.stringify(done.operation) === JSON.stringify(operation),
  );
}

test('a rename gets through although its directory changes all the time', async (t) => {
  const { cluster, databases, directories } = await start(1);
  const [here = 0, there = 0] = directories;
  const client = new SimulatedClient(cluster);
  const from: Place = { parent: there, name: 'file' };
  await until(cluster, client.perform({ kind: 'create', at: from }));
  // A change of the directory's record for every 50 µs, without a message: far more often than two servers can agree.
  let changes = 0;
  let over = false;
  const session = { session: 1, acknowledgedBelow: 0 };
  const change = (): void => {
    if (over) return;
    const name = `busy-${changes++}`;
    const server = cluster.servers[1];
    const operation = { kind: 'create', at: { parent: there, name } } as const;
    void server?.execute(operation, { ...session, sequence: 1_000_000 + changes });
    cluster.schedule.after(0.05, change);
  };
  const busyFrom = cluster.schedule.nowMs();
  change();
  const rename: Operation = {
    kind: 'rename',
    from,
    to: { parent: here, name: 'moved' },
    flag: 'none',
  };
  await until(cluster, client.perform(rename, 0));
  over = true;
  const tookMs = cluster.schedule.nowMs() - busyFrom;
  t.true(isOk(cluster, rename));
  t.true(tookMs < 1000, `it took ${tookMs} ms of virtual time`);
  await cluster.calm();
  const { model, problems } = replay(cluster.history, []);
  t.deepEqual([...problems, ...inspect(databases, model)], []);
  const made = model.nodes.get(there)?.entries.size ?? 0;
  t.true(made > 100, `others made ${made} names meanwhile`);
});

test('many renames between the same two directories, both ways, all get through', async (t) => {
  const { cluster, databases, directories } = await start(2);
  const [here = 0, there = 0] = directories;
  const moves = Array.from({ length: 24 }, (_item, index) => {
    const [parent, to] = index % 2 === 0 ? [here, there] : [there, here];
    return { parent, to, name: `file-${index}` };
  });
  const clients = moves.map(() => new SimulatedClient(cluster));
  const performed = Promise.all(
    moves.map(async ({ parent, to, name }, index) => {
      await clients[index]?.perform({ kind: 'create', at: { parent, name } });
      const rename: Operation = {
        kind: 'rename',
        from: { parent, name },
        to: { parent: to, name },
        flag: 'none',
      };
      return clients[index]?.perform(rename);
    }),
  );
  const outcomes = await until(cluster, performed);
  t.true(outcomes.every((outcome) => outcome?.ok === true));
  await cluster.calm();
  const { model, problems } = replay(cluster.history, []);
  t.deepEqual([...problems, ...inspect(databases, model)], []);
  t.is(model.nodes.get(here)?.entries.size, 12);
});
