/** Servers that die: errors in bounded time, never zeros for data that is lost, and service again when they are back. */
import test from 'ava';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { withCluster } from '../../support/cluster.ts';
import { skipsMounts } from '../../support/mount.ts';
import { run } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;
const MIB = 2 ** 20;

function errorOf(operation: () => unknown): string {
  try {
    operation();
    return 'none';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

clusterTest(
  'a block server that comes back empty gives EIO, and its files can be removed',
  async (t) => {
    await withCluster(t, { meta: 1, blocks: 2, mounts: 2 }, async (cluster) => {
      const names = Array.from({ length: 8 }, (_, i) => `f${i}`);
      for (const name of names) writeFileSync(cluster.at(0, name), Buffer.alloc(4 * MIB, name));
      const [, victim] = cluster.blockServers;
      if (victim === undefined) throw new Error('no second server');
      await cluster.kill(victim);
      await cluster.start(victim);
      // Each file has two of its four blocks there.
      for (const name of names) {
        t.is(
          errorOf(() => readFileSync(cluster.at(1, name))),
          'EIO',
          name,
        );
        t.is(statSync(cluster.at(1, name)).size, 4 * MIB, name);
      }
      for (const name of names) rmSync(cluster.at(1, name));
      t.deepEqual(readdirSync(cluster.at(0)), []);
      for (const name of names) writeFileSync(cluster.at(0, name), Buffer.alloc(4 * MIB, name));
      for (const name of names) {
        t.true(readFileSync(cluster.at(1, name)).equals(Buffer.alloc(4 * MIB, name)), name);
      }
    });
  },
);

clusterTest(
  'while a block server is away, requests fail in bounded time and the rest goes on',
  async (t) => {
    await withCluster(t, { meta: 1, blocks: 2, mounts: 2 }, async (cluster) => {
      writeFileSync(cluster.at(0, 'kept'), Buffer.alloc(4 * MIB, 1));
      const [, victim] = cluster.blockServers;
      if (victim === undefined) throw new Error('no second server');
      await cluster.kill(victim);
      // The kernel of the mount that has written it still has all of it.
      const read = await run('cat', [cluster.at(1, 'kept')], { timeoutMs: 60_000 });
      t.false(read.timedOut);
      t.regex(read.stderr, /Input\/output error/);
      mkdirSync(cluster.at(0, 'folder'));
      t.true(existsSync(cluster.at(0, 'folder')));
      t.is(statSync(cluster.at(0, 'kept')).size, 4 * MIB);
    });
  },
);

clusterTest(
  'a metadata server that is killed and started again goes on where it was',
  async (t) => {
    const shape = { meta: 2, blocks: 2, mounts: 2, keepsMetadata: true };
    await withCluster(t, shape, async (cluster) => {
      for (let i = 0; i < 20; i++) {
        mkdirSync(cluster.at(0, `d${i}`));
        writeFileSync(cluster.at(0, `d${i}`, 'file'), `content ${i}`);
      }
      for (const server of cluster.metaServers) {
        await cluster.kill(server);
        await cluster.start(server);
      }
      for (let i = 0; i < 20; i++) {
        t.is(readFileSync(cluster.at(1, `d${i}`, 'file'), 'utf8'), `content ${i}`);
        writeFileSync(cluster.at(1, `d${i}`, 'new'), 'new');
        t.deepEqual(readdirSync(cluster.at(0, `d${i}`)).sort(), ['file', 'new']);
      }
    });
  },
);
