/** Names that a killed process was about to make: whoever tidies up after it, on the same mount, is not surprised by them. */
import test, { type ExecutionContext } from 'ava';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { OperationName } from '../../../src/fs/fuse/abi.ts';
import type { InodeId } from '../../../src/ids.ts';
import { serverForDirectory } from '../../../src/meta/distributed/ownership.ts';
import { untilAlone } from '../../support/alone.ts';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { isPending, Locker } from '../../support/locker.ts';
import { engines, skipsMounts } from '../../support/mount.ts';

const clusterTest = skipsMounts || !engines.includes('kernel') ? test.skip : test.serial;
const SHAPE = {
  meta: 2,
  blocks: 1,
  mounts: 1,
  mountArgs: ['--debug-fuse', '--log-level', 'debug'],
};
/** The metadata server that stands still; the root is on the other one. */
const STOPPED = 1;
const GOES_ON = 0;
/** What waits for a server gives it up after ten seconds; nobody here is to wait for that. */
const SOON_MS = 5000;
const ATTEMPTS = 5;

interface Job {
  readonly op: OperationName;
  /** The system call that is killed, which makes `made` in `folder`. */
  readonly order: string;
  readonly made: string;
  readonly folder: string;
  /** How `made` is removed. */
  readonly remove: 'unlink' | 'rmdir';
}

/** The path in `folder` of a directory that is, or would be, on the given server. */
function pathOn(folder: string, name: string, server: number): string {
  const inode = statSync(folder).ino as InodeId;
  for (let count = 0; ; count++) {
    const each = `${name}-${count}`;
    const owner = serverForDirectory(inode, Buffer.from(each), SHAPE.meta);
    if (owner === server) return join(folder, each);
  }
}

/** A new directory of mount 0 on the given server. */
function folderOn(cluster: Cluster, name: string, server: number): string {
  const path = pathOn(cluster.at(0), name, server);
  mkdirSync(path);
  return path;
}

/** A file in a new directory on the server that is to be stopped, of which the kernel has just been told. */
function sourceFile(cluster: Cluster, name: string): string {
  const path = join(folderOn(cluster, name, STOPPED), 'file');
  writeFileSync(path, '');
  statSync(path);
  return path;
}

/**
 * Jobs with directories and names of their own. Before it makes a name, the kernel looks whether it is there, unless it has just
 * been told that it is not, and CREATE is all that it wants: the others look on the server that goes on.
 */
function prepare(cluster: Cluster, attempt: number): Job[] {
  const folderOf = (op: OperationName, server: number): string =>
    folderOn(cluster, `${op}-${attempt}`, server);
  const link = join(folderOf('LINK', GOES_ON), `made-${attempt}`);
  const rename = join(folderOf('RENAME', GOES_ON), `made-${attempt}`);
  const mkdir = pathOn(folderOf('MKDIR', GOES_ON), `made-${attempt}`, STOPPED);
  const create = join(folderOf('CREATE', STOPPED), `made-${attempt}`);
  const jobs = [
    ['LINK', `link ${sourceFile(cluster, `linked-${attempt}`)} ${link}`, link, 'unlink'],
    ['RENAME', `rename ${sourceFile(cluster, `renamed-${attempt}`)} ${rename}`, rename, 'unlink'],
    ['MKDIR', `mkdir ${mkdir}`, mkdir, 'rmdir'],
    ['CREATE', `open ${create}`, create, 'unlink'],
  ] as const;
  existsSync(create);
  return jobs.map(([op, order, made, remove]) => {
    return { op, order, made, folder: dirname(made), remove };
  });
}

/** Whether the mount waits for an answer to the changes themselves, not for what the kernel asks before. */
function areUnderWay(cluster: Cluster, jobs: readonly Job[]): boolean {
  const log = readFileSync(cluster.servers.file('mount0.log'), 'utf8');
  return jobs.every(({ op, made }) => {
    return new RegExp(` ${op} .*${basename(made)}.* -> waits`).test(log);
  });
}

/**
 * Kills one process per job in the middle of its system call, and runs `tidy` while the server stands still. False if the
 * kernel has asked for something else first, since it did not keep it for long enough: the jobs have not been done then.
 */
async function killAll(
  t: ExecutionContext,
  cluster: Cluster,
  jobs: readonly Job[],
  tidy: (goOn: () => void) => Promise<void>,
): Promise<boolean> {
  const server = cluster.metaServers[STOPPED]?.process;
  if (server === undefined) throw new Error('the server runs');
  return Locker.with(jobs.length, async (...doomed) => {
    const goOn = (): void => {
      server.kill('SIGCONT');
    };
    server.kill('SIGSTOP');
    try {
      const answers = jobs.map(({ order }, index) => (doomed[index] as Locker).do(order));
      t.true(await isPending(Promise.any(answers)), 'the server does not answer');
      if (!areUnderWay(cluster, jobs)) return false;
      for (const each of doomed) each.signal('SIGKILL');
      t.false(await isPending(Promise.all(answers), SOON_MS), 'they end at once');
      await tidy(goOn);
      return true;
    } finally {
      goOn();
    }
  });
}

async function whenUnderWay(attempt: (number: number) => Promise<boolean>): Promise<void> {
  for (let count = 1; count <= ATTEMPTS; count++) if (await attempt(count)) return;
  throw new Error(`the changes were not under way in any of ${ATTEMPTS} attempts`);
}

clusterTest(
  'what a killed process was making can be removed at once, and its folder after it',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      await untilAlone(cluster);
      await whenUnderWay(async (attempt) =>
        Locker.with(4, async (...tidying) => {
          const jobs = prepare(cluster, attempt);
          return await killAll(t, cluster, jobs, async (goOn) => {
            const answers = jobs.map(({ remove, made, folder }, index) => {
              const worker = tidying[index] as Locker;
              return Promise.all([worker.do(`${remove} ${made}`), worker.do(`rmdir ${folder}`)]);
            });
            t.true(await isPending(Promise.any(answers)), 'they wait to see what has become of it');
            goOn();
            for (const [index, answer] of answers.entries()) {
              t.deepEqual(await answer, ['ok', 'ok'], jobs[index]?.op);
            }
          });
        }),
      );
    });
  },
);

clusterTest('a folder shows, and is kept by, what a killed process was making in it', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    await untilAlone(cluster);
    await whenUnderWay(async (attempt) =>
      Locker.with(3, async (lister, remover, impatient) => {
        const job = prepare(cluster, attempt).at(-1);
        if (job === undefined) throw new Error('there are jobs');
        return await killAll(t, cluster, [job], async (goOn) => {
          const listed = lister.do(`list ${job.folder}`);
          const removed = remover.do(`rmdir ${job.folder}`);
          const given = impatient.do(`stat ${job.made}`);
          t.true(await isPending(Promise.any([listed, removed, given])));
          impatient.signal('SIGKILL');
          t.false(await isPending(given, SOON_MS), 'whoever waits can be killed, too');
          goOn();
          t.is(await listed, '1');
          t.is(await removed, 'ENOTEMPTY');
          t.is(await lister.do(`stat ${job.made}`), '0');
        });
      }),
    );
  });
});
