/** Locks between two mounts of one file system, each used by processes of its own. */
import test, { type ExecutionContext } from 'ava';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { daemonOf } from '../../support/command.ts';
import { isPending, Locker } from '../../support/locker.ts';
import { engines, skipsMounts } from '../../support/mount.ts';
import { isAlive, killNow } from '../../support/processes.ts';
import { run, runOk, sh } from '../../support/run.ts';

const clusterTest = skipsMounts || !engines.includes('kernel') ? test.skip : test.serial;
const SHAPE = { meta: 2, blocks: 2, mounts: 2 };

/** Two processes, each with the same file open as descriptor 3, one on each mount, and a third that has nothing. */
async function withBoth(
  cluster: Cluster,
  name: string,
  body: (here: Locker, there: Locker, third: Locker) => Promise<void>,
): Promise<void> {
  await Locker.with(3, async (here, there, third) => {
    await here.do(`open ${cluster.at(0, name)}`);
    await there.do(`open ${cluster.at(1, name)}`);
    await body(here, there, third);
  });
}

async function flocks(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await withBoth(cluster, 'flock', async (here, there) => {
    t.is(await here.do('flock 3 SH'), 'ok');
    t.is(await there.do('flock 3 SH NB'), 'ok');
    t.is(await there.do('flock 3 EX NB'), 'EAGAIN');
    t.is(await here.do('flock 3 EX NB'), 'ok', 'a conversion that failed has dropped the lock');
    const waiting = there.do('flock 3 SH');
    t.true(await isPending(waiting));
    t.is(await here.do('flock 3 UN'), 'ok');
    t.is(await waiting, 'ok');
    t.is(await here.do('flock 3 EX NB'), 'EAGAIN');
    t.is(await there.do('dup 3'), '4');
    t.is(await there.do('close 3'), 'ok');
    t.is(await here.do('flock 3 EX NB'), 'EAGAIN', 'another descriptor keeps it');
    t.is(await there.do('close 4'), 'ok');
    t.is(await here.do('flock 3 EX'), 'ok', 'the last close drops it');
  });
}

async function records(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await withBoth(cluster, 'records', async (here, there) => {
    const pid = await here.do('pid');
    t.is(await here.do('set 3 posix W 10 20'), 'ok');
    t.is(await here.do('set 3 posix R 15 5'), 'ok', 'a lock of one’s own is converted');
    t.is(await there.do('set 3 posix R 15 5'), 'ok');
    t.is(await there.do('set 3 posix R 14 2'), 'EAGAIN');
    t.is(await there.do('test 3 posix W 0 0'), `W 10 5 ${pid}`);
    t.is(await there.do('test 3 posix R 0 10'), 'U');
    t.is(await there.do('test 3 posix W 17 0'), `R 15 5 ${pid}`);
    t.is(await here.do('set 3 posix W 100 0'), 'ok');
    t.is(
      await there.do('test 3 posix W 50 0'),
      `W 100 0 ${pid}`,
      'length 0: to the end of the file',
    );
    const waiting = there.do('wait 3 posix W 12 1');
    t.true(await isPending(waiting));
    t.is(await here.do('set 3 posix U 12 1'), 'ok');
    t.is(await waiting, 'ok');
    t.is(await here.do('set 3 posix W 10 0'), 'EAGAIN');
    await here.do(`open ${cluster.at(0, 'records')}`);
    t.is(await there.do('set 3 posix W 200 1'), 'EAGAIN');
    t.is(await here.do('close 4'), 'ok');
    t.is(await there.do('set 3 posix W 200 1'), 'ok', 'any close drops all of a process');
  });
}

async function descriptions(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await withBoth(cluster, 'descriptions', async (here, there) => {
    t.is(await here.do('set 3 ofd W 0 10'), 'ok');
    t.is(await here.do('set 3 posix W 0 10'), 'EAGAIN', 'another owner, although the same process');
    t.is(await there.do('set 3 ofd R 9 1'), 'EAGAIN');
    t.is(await there.do('test 3 ofd R 0 0'), `W 0 10 -1`);
    await here.do(`open ${cluster.at(0, 'descriptions')}`);
    t.is(await here.do('close 4'), 'ok');
    t.is(
      await there.do('set 3 ofd R 9 1'),
      'EAGAIN',
      'the close of another description drops nothing',
    );
    t.is(await here.do('dup 3'), '4');
    t.is(await here.do('close 3'), 'ok');
    t.is(await there.do('set 3 ofd R 9 1'), 'EAGAIN');
    const waiting = there.do('wait 3 ofd W 0 0');
    t.true(await isPending(waiting));
    t.is(await here.do('close 4'), 'ok');
    t.is(await waiting, 'ok', 'the last close drops it');
  });
}

async function interrupted(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await withBoth(cluster, 'interrupted', async (here, there, third) => {
    await third.do(`open ${cluster.at(0, 'interrupted')}`);
    for (const [take, wait, drop] of [
      ['flock 3 EX', 'flock 3 EX', 'flock 3 UN'],
      ['set 3 posix W 0 0', 'wait 3 posix W 0 0', 'set 3 posix U 0 0'],
    ]) {
      t.is(await here.do(take ?? ''), 'ok');
      const waiting = there.do(wait ?? '');
      t.true(await isPending(waiting));
      there.interrupt();
      t.is(await waiting, 'EINTR');
      t.is(await here.do(drop ?? ''), 'ok');
      t.is(await third.do(take ?? ''), 'ok', 'nothing is left of the wait');
      t.is(await third.do(drop ?? ''), 'ok');
    }
    t.is(await here.do('flock 3 EX'), 'ok');
    const dying = there.do('flock 3 EX');
    t.true(await isPending(dying));
    there.signal('SIGINT');
    t.is(await dying, 'gone');
    t.is(await here.do('flock 3 UN'), 'ok');
    t.is(await third.do('flock 3 EX NB'), 'ok');
  });
}

async function deadlocks(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await withBoth(cluster, 'deadlock', async (here, there) => {
    t.is(await here.do('set 3 posix W 0 1'), 'ok');
    t.is(await there.do('set 3 posix W 1 1'), 'ok');
    const waiting = here.do('wait 3 posix W 1 1');
    t.true(await isPending(waiting));
    t.is(await there.do('wait 3 posix W 0 1'), 'EDEADLK');
    t.is(await there.do('set 3 posix U 1 1'), 'ok');
    t.is(await waiting, 'ok');
  });
}

clusterTest(
  'between two mounts: flock, fcntl and description locks, interrupts and deadlocks',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      await flocks(t, cluster);
      await records(t, cluster);
      await descriptions(t, cluster);
      await interrupted(t, cluster);
      await deadlocks(t, cluster);
      await acrossServers(t, cluster);
      await withProgram(t, cluster);
    });
  },
);

/** Files of directories that different metadata servers keep: a new directory goes to another server. */
async function acrossServers(t: ExecutionContext, cluster: Cluster): Promise<void> {
  const script = 'for d in one two three four; do mkdir $d; touch $d/f; done; stat -c "%n %i" */f';
  const inodes = await sh(script, { cwd: cluster.at(0) });
  const byServer = new Map<number, string>();
  for (const line of inodes.split('\n')) {
    const [name = '', inode] = line.split(' ');
    byServer.set(Math.floor(Number(inode) / 2 ** 40), name);
  }
  const [first = '', second = ''] = byServer.values();
  t.is(byServer.size, 2);
  await Locker.with(2, async (here, there) => {
    for (const name of [first, second]) {
      await here.do(`open ${cluster.at(0, name)}`);
      await there.do(`open ${cluster.at(1, name)}`);
    }
    t.is(await here.do('set 3 posix W 0 1'), 'ok');
    t.is(await there.do('set 4 posix W 0 1'), 'ok');
    const waiting = here.do('wait 4 posix W 0 1');
    t.true(await isPending(waiting));
    t.is(await there.do('wait 3 posix W 0 1'), 'EDEADLK', 'the circle spans two servers');
    t.is(await there.do('close 4'), 'ok');
    t.is(await waiting, 'ok');
  });
}

/** flock(1), as scripts use it. */
async function withProgram(t: ExecutionContext, cluster: Cluster): Promise<void> {
  const held = run('flock', [cluster.at(0, 'lockfile'), 'sh', '-c', 'echo held; sleep 1']);
  await sh('while [ ! -s lockfile ] && flock -n lockfile true; do sleep 0.02; done', {
    cwd: cluster.at(1),
  });
  t.is((await run('flock', ['-n', cluster.at(1, 'lockfile'), 'true'])).status, 1);
  await runOk('flock', [cluster.at(1, 'lockfile'), 'true']);
  t.is((await held).stdout, 'held\n');
}

/** Raises the number in a file under a lock of the whole file; the descriptor stays open. */
const COUNTER = `
import fcntl, os, sys
path, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
lock, free = (
  (lambda: fcntl.flock(fd, fcntl.LOCK_EX), lambda: fcntl.flock(fd, fcntl.LOCK_UN)) if kind == 'flock' else
  (lambda: fcntl.lockf(fd, fcntl.LOCK_EX), lambda: fcntl.lockf(fd, fcntl.LOCK_UN)))
for _ in range(count):
    lock()
    number = int(os.pread(fd, 20, 0) or b'0')
    os.pwrite(fd, b'%d' % (number + 1), 0)
    free()
`;

clusterTest(
  'eight processes on two mounts count in a locked file: no update is lost',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      for (const kind of ['flock', 'fcntl']) {
        const each = 40;
        const counters = Array.from({ length: 8 }, (_, index) =>
          runOk('python3', ['-c', COUNTER, cluster.at(index % 2, kind), String(each), kind]),
        );
        await Promise.all(counters);
        for (const mount of [0, 1]) {
          t.is(
            await sh(`cat ${cluster.at(mount, kind)}`),
            String(8 * each),
            `${kind}, mount ${mount}`,
          );
        }
      }
    });
  },
);

clusterTest('the locks of a mount that is killed are free within ten seconds', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    await withBoth(cluster, 'orphaned', async (here, there) => {
      t.is(await here.do('set 3 posix W 0 0'), 'ok');
      const daemon = daemonOf(cluster.at(0));
      const waiting = there.do('wait 3 posix W 0 0');
      t.true(await isPending(waiting));
      killNow(daemon);
      t.false(await isPending(waiting, 10_000));
      t.is(await waiting, 'ok');
      t.false(isAlive(daemon));
      here.kill();
    });
    await runOk('umount', ['-l', cluster.at(0)]);
  });
});

clusterTest(
  'locks, and who waits for them, outlive the restart of their metadata server',
  async (t) => {
    await withCluster(t, { ...SHAPE, meta: 1, keepsMetadata: true }, async (cluster) => {
      await withBoth(cluster, 'kept', async (here, there, third) => {
        const [meta] = cluster.metaServers;
        if (meta === undefined) throw new Error('there is a metadata server');
        await third.do(`open ${cluster.at(1, 'kept')}`);
        t.is(await here.do('set 3 posix W 0 10'), 'ok');
        t.is(await here.do('flock 3 SH'), 'ok');
        const waiting = there.do('wait 3 posix W 5 1');
        t.true(await isPending(waiting));
        await cluster.kill(meta);
        await cluster.start(meta);
        t.is(await third.do('set 3 posix R 9 1'), 'EAGAIN');
        t.is(await third.do('flock 3 EX NB'), 'EAGAIN');
        t.is(await third.do('set 3 posix W 10 1'), 'ok');
        t.is(await here.do('set 3 posix U 0 6'), 'ok');
        t.is(await waiting, 'ok');
        t.is(await third.do('set 3 posix R 6 1'), 'EAGAIN');
      });
    });
  },
);

/** Adds rows in transactions of their own, and waits for the others' locks. */
const INSERTER = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for number in range(int(sys.argv[3])):
    database.execute('BEGIN IMMEDIATE')
    (total,) = database.execute('SELECT count(*) FROM rows').fetchone()
    database.execute('INSERT INTO rows VALUES (?, ?, ?)', (total, sys.argv[2], number))
    database.execute('COMMIT')
`;

clusterTest(
  'sqlite on two mounts: all rows are there, in order, and the database is sound',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      const each = 15;
      const here = cluster.at(0, 'database');
      await runOk('sqlite3', [
        here,
        'CREATE TABLE rows(total INTEGER PRIMARY KEY, who TEXT, number INTEGER)',
      ]);
      await Promise.all(
        ['a', 'b', 'c', 'd'].map((who, index) =>
          runOk('python3', ['-c', INSERTER, cluster.at(index % 2, 'database'), who, String(each)]),
        ),
      );
      for (const mount of [0, 1]) {
        const query =
          'PRAGMA integrity_check; SELECT count(*), max(total), count(DISTINCT who) FROM rows';
        const { stdout } = await runOk('sqlite3', [cluster.at(mount, 'database'), query]);
        t.is(stdout, `ok\n${4 * each}|${4 * each - 1}|4\n`, `mount ${mount}`);
      }
    });
  },
);
