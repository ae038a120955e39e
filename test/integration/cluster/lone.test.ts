/**
 * A mount that is the only one of its file system lets the kernel keep names and attributes, until a moment before another
 * joins: what either changes from then on, the other sees with its next system call.
 */
import test from 'ava';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlone, untilAlone } from '../../support/alone.ts';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { skipsMounts } from '../../support/mount.ts';
import { nodeProcessesOf } from '../../support/processes.ts';
import { describe } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;

const SHAPE = {
  meta: 2,
  blocks: 2,
  mounts: 2,
  mountArgs: ['--debug-fuse', '--log-level', 'debug'],
};
const STATS = 200;

/** Ends all mounts but number 0, and waits until that knows that it is the only one. */
async function leaveAlone(cluster: Cluster): Promise<void> {
  await cluster.unmount(1);
  await untilAlone(cluster);
}

/** Looks at what will be changed, so that the kernel of mount 0 has it all. */
function look(cluster: Cluster): void {
  const at = (name: string): string => cluster.at(0, 'folder', name);
  statSync(cluster.at(0, 'folder'));
  for (const name of ['mode', 'renamed', 'removed', 'grown']) statSync(at(name));
  for (const name of ['new-name', 'created']) existsSync(at(name));
}

/** Goes on looking until `action` is over: what the kernel keeps is as new as can be then. */
async function lookingDuring<T>(cluster: Cluster, action: Promise<T>): Promise<T> {
  const state = { isOver: false };
  const looking = (async (): Promise<void> => {
    while (!state.isOver) {
      look(cluster);
      await sleep(5);
    }
  })();
  try {
    return await action;
  } finally {
    state.isOver = true;
    await looking;
  }
}

function prepare(cluster: Cluster, mount: number): void {
  const folder = cluster.at(mount, 'folder');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const name of ['mode', 'renamed', 'removed', 'grown']) {
    writeFileSync(cluster.at(mount, 'folder', name), name, { mode: 0o644 });
  }
}

function change(cluster: Cluster, mount: number): void {
  const at = (name: string): string => cluster.at(mount, 'folder', name);
  chmodSync(at('mode'), 0o600);
  renameSync(at('renamed'), at('new-name'));
  rmSync(at('removed'));
  writeFileSync(at('created'), 'created');
  writeFileSync(at('grown'), 'much longer');
  chmodSync(cluster.at(mount, 'folder'), 0o711);
}

/** What `mount` sees of {@link change}. */
function seen(cluster: Cluster, mount: number): unknown {
  const at = (name: string): string => cluster.at(mount, 'folder', name);
  return {
    folder: statSync(cluster.at(mount, 'folder')).mode & 0o777,
    mode: statSync(at('mode')).mode & 0o777,
    renamed: existsSync(at('renamed')),
    newName: statSync(at('new-name')).size,
    removed: existsSync(at('removed')),
    created: statSync(at('created')).size,
    grown: statSync(at('grown')).size,
    text: readFileSync(at('grown'), 'utf8'),
    names: readdirSync(cluster.at(mount, 'folder')).sort(),
  };
}

const CHANGED = {
  folder: 0o711,
  mode: 0o600,
  renamed: false,
  newName: 'renamed'.length,
  removed: false,
  created: 'created'.length,
  grown: 'much longer'.length,
  text: 'much longer',
  names: ['created', 'grown', 'mode', 'new-name'],
};

/** How often the kernel has asked mount 0 for a name. */
function lookupsOf(cluster: Cluster, name: string): number {
  const log = readFileSync(cluster.servers.file('mount0.log'), 'utf8');
  const asked = log.match(new RegExp(`unique=\\d+ LOOKUP [^>]*\\\\"${name}\\\\"`, 'g'));
  return new Set(asked?.map((line) => /unique=\d+/.exec(line)?.[0])).size;
}

async function mountSecond(cluster: Cluster): Promise<void> {
  const result = await cluster.mount(1);
  if (result.status !== 0) throw new Error(describe(result));
}

clusterTest('the only mount asks for a name now and then, one of several each time', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    writeFileSync(cluster.at(0, 'wanted'), '');
    const asked = (): number => {
      const before = lookupsOf(cluster, 'wanted');
      for (let count = 0; count < STATS; count++) statSync(cluster.at(0, 'wanted'));
      return lookupsOf(cluster, 'wanted') - before;
    };
    t.false(await isAlone(cluster));
    t.is(asked(), STATS);
    await leaveAlone(cluster);
    t.true(asked() < STATS / 2);
    await mountSecond(cluster);
    t.is(asked(), STATS);
  });
});

clusterTest(
  'mounts see at once what others change, however shortly before they were alone',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      for (let round = 0; round < 2; round++) {
        await leaveAlone(cluster);
        prepare(cluster, 0);
        await lookingDuring(cluster, mountSecond(cluster));
        change(cluster, 1);
        t.deepEqual(seen(cluster, 0), CHANGED);
        prepare(cluster, 1);
        look(cluster);
        change(cluster, 0);
        t.deepEqual(seen(cluster, 1), CHANGED);
      }
      await leaveAlone(cluster);
      t.deepEqual(seen(cluster, 0), CHANGED);
      prepare(cluster, 0);
      look(cluster);
      change(cluster, 0);
      t.deepEqual(seen(cluster, 0), CHANGED);
    });
  },
);

clusterTest(
  'the only mount that stood still while another joined shows nothing old when it goes on',
  async (t) => {
    await withCluster(t, SHAPE, async (cluster) => {
      await leaveAlone(cluster);
      prepare(cluster, 0);
      const [daemon] = nodeProcessesOf(cluster.at(0));
      if (daemon === undefined) throw new Error('mount 0 has no daemon');
      look(cluster);
      t.true(await isAlone(cluster));
      look(cluster);
      process.kill(daemon, 'SIGSTOP');
      try {
        await mountSecond(cluster);
        change(cluster, 1);
      } finally {
        process.kill(daemon, 'SIGCONT');
      }
      t.deepEqual(seen(cluster, 0), CHANGED);
    });
  },
);

clusterTest('the only mount that was killed keeps nobody from joining', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    await leaveAlone(cluster);
    prepare(cluster, 0);
    look(cluster);
    for (const daemon of nodeProcessesOf(cluster.at(0))) process.kill(daemon, 'SIGKILL');
    await mountSecond(cluster);
    change(cluster, 1);
    t.deepEqual(seen(cluster, 1), CHANGED);
    await cluster.unmount(0);
  });
});

clusterTest(
  'a metadata server that is killed and comes back lets a second mount join the only one',
  async (t) => {
    await withCluster(t, { ...SHAPE, keepsMetadata: true }, async (cluster) => {
      await leaveAlone(cluster);
      prepare(cluster, 0);
      look(cluster);
      const [first] = cluster.metaServers;
      if (first === undefined) throw new Error('no metadata server');
      await cluster.kill(first);
      await cluster.start(first);
      await lookingDuring(cluster, mountSecond(cluster));
      change(cluster, 1);
      t.deepEqual(seen(cluster, 0), CHANGED);
    });
  },
);
