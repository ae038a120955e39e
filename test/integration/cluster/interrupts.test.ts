/** Signals to processes whose system calls wait for a server that has been stopped. */
import test, { type ExecutionContext } from 'ava';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { isPending, Locker } from '../../support/locker.ts';
import { engines, skipsMounts } from '../../support/mount.ts';
import type { ServerProcess } from '../../support/servers.ts';

const clusterTest = skipsMounts || !engines.includes('kernel') ? test.skip : test.serial;
const SHAPE = { meta: 1, blocks: 2, mounts: 2 };
/** What waits for the server gives it up after ten seconds; whoever is interrupted must not wait for that. */
const SOON_MS = 5000;
const FILES = Array.from({ length: 4 }, (_, index) => `f${index}`);

/** Stops a server for the time of `body`; it goes on afterwards whatever happens. */
async function whileStopped(
  server: ServerProcess | undefined,
  body: () => Promise<void>,
): Promise<void> {
  const child = server?.process;
  if (child === undefined) throw new Error('the server runs');
  child.kill('SIGSTOP');
  try {
    await body();
  } finally {
    child.kill('SIGCONT');
  }
}

interface Job {
  readonly what: string;
  /** What is done while all servers run. */
  readonly before: string[];
  readonly orders: string[];
}

/**
 * Runs each job in a process of its own, those of `before` while all servers run. Returns what kinds of jobs have waited
 * for the stopped server; all of those have ended soon after SIGINT.
 */
async function interruptAll(
  t: ExecutionContext,
  server: ServerProcess | undefined,
  jobs: readonly Job[],
): Promise<Set<string>> {
  const waited = new Set<string>();
  await Locker.with(jobs.length, async (...workers) => {
    await Promise.all(
      jobs.map(async ({ before }, index) => {
        for (const order of before) await workers[index]?.do(order);
      }),
    );
    await whileStopped(server, async () => {
      const ends = jobs.map(async ({ what, orders }, index) => {
        const worker = workers[index] as Locker;
        const answers = Promise.all(orders.map((order) => worker.do(order)));
        if (!(await isPending(answers, 1000))) return;
        waited.add(what);
        worker.signal('SIGINT');
        t.false(await isPending(answers, SOON_MS), `${what} ends soon`);
        t.is((await answers).at(-1), 'gone', what);
      });
      await Promise.all(ends);
    });
  });
  return waited;
}

/** All of it works, on both mounts. */
async function assertGoesOn(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await Locker.with(2, async (...workers) => {
    for (const [index, worker] of workers.entries()) {
      const at = (name: string): string => cluster.at(index, name);
      for (const name of FILES) t.is(await worker.do(`stat ${at(name)}`), '5');
      t.is(await worker.do(`mkdir ${at(`goes-on-${index}`)}`), 'ok');
      t.is(await worker.do(`open ${at('f0')}`), '3');
      t.is(await worker.do('pread 3 0 3'), 'x'.repeat(3));
      t.is(await worker.do('pwrite 3 0 xxx'), '3');
      t.is(await worker.do('fsync 3'), 'ok');
    }
  });
}

clusterTest(
  'a process that waits for a stopped block server ends at once when it is killed',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      for (const name of FILES) writeFileSync(cluster.at(0, name), 'xxxxx');
      const jobs = FILES.flatMap((name): Job[] => {
        const here = `open ${cluster.at(0, name)}`;
        const there = `open ${cluster.at(1, name)}`;
        return [
          // Whoever else asks for a size has to ask block 0 while one has the file open for writing.
          { what: 'write and fsync', before: [here], orders: ['pwrite 3 0 xxxxx', 'fsync 3'] },
          { what: 'read', before: [there], orders: ['pread 3 0 5'] },
          { what: 'stat', before: [], orders: [`stat ${cluster.at(1, name)}`] },
          { what: 'open', before: [], orders: [there] },
        ];
      });
      jobs.push({ what: 'readdir', before: [], orders: [`list ${cluster.at(1)}`] });
      const waited = await interruptAll(t, cluster.blockServers[1], jobs);
      t.deepEqual(waited, new Set(['write and fsync', 'read', 'stat', 'open', 'readdir']));
      await assertGoesOn(t, cluster);
    });
  },
);

clusterTest(
  'a process that waits for a stopped metadata server ends at once when it is killed',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      for (const name of FILES) writeFileSync(cluster.at(0, name), 'xxxxx');
      mkdirSync(cluster.at(0, 'd'));
      const jobs: Job[] = [
        { what: 'stat', before: [], orders: [`stat ${cluster.at(0, 'f0')}`] },
        { what: 'open', before: [], orders: [`open ${cluster.at(0, 'f1')}`] },
        { what: 'readdir', before: [], orders: [`list ${cluster.at(1)}`] },
        { what: 'mkdir', before: [], orders: [`mkdir ${cluster.at(1, 'd/e')}`] },
        {
          what: 'flock',
          before: [`open ${cluster.at(0, 'f2')}`],
          orders: ['flock 3 EX'],
        },
      ];
      const waited = await interruptAll(t, cluster.metaServers[0], jobs);
      t.deepEqual(waited, new Set(jobs.map(({ what }) => what)));
      await assertGoesOn(t, cluster);
      await handledSignal(t, cluster);
    });
  },
);

/** A signal that the program handles ends what hangs, too, and the program goes on. */
async function handledSignal(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await Locker.with(1, async (worker: Locker) => {
    await whileStopped(cluster.metaServers[0], async () => {
      const answer = worker.do(`stat ${cluster.at(0, 'f0')}`);
      t.true(await isPending(answer));
      worker.interrupt();
      t.false(await isPending(answer, SOON_MS));
      t.is(await answer, 'EINTR');
    });
    t.is(await worker.do(`stat ${cluster.at(0, 'f0')}`), '5');
  });
}
