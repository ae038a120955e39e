import { join } from 'node:path';
import test from 'ava';
import { stopServers } from '../../src/meta/cluster-commands.ts';
import { silentLogger } from '../../src/log.ts';
import { type Cluster, withCluster } from '../support/cluster.ts';
import { openStores } from '../support/cluster-stores.ts';
import { IMSSFS } from '../support/mount.ts';
import { run, type RunResult } from '../support/run.ts';

const SERVERS = { meta: 1, blocks: 1, mounts: 0 };

/** As files in the cluster's folder. */
const CLUSTER_ARGS = ['-a', 'stat_hostfile', '--secret-file', 'secret'];

function runServer(cluster: Cluster, args: readonly string[]): Promise<RunResult> {
  return run(IMSSFS, ['server', ...args], { cwd: cluster.folder, timeoutMs: 30_000 });
}

function hostOf(cluster: Cluster, kind: 'metaServers' | 'blockServers'): string {
  return cluster[kind][0]?.address ?? '';
}

test('a second server at the same address ends with 1 and one line that names the port', async (t) => {
  await withCluster(t, SERVERS, async (cluster) => {
    const meta = ['meta', ...CLUSTER_ARGS, '--node', hostOf(cluster, 'metaServers')];
    const blocks = ['blocks', ...CLUSTER_ARGS, '-h', 'hostfile', '-S', '64M'];
    for (const [args, address] of [
      [meta, `${hostOf(cluster, 'metaServers')}:5569`],
      [
        [...blocks, '--node', hostOf(cluster, 'blockServers')],
        `${hostOf(cluster, 'blockServers')}:5555`,
      ],
    ] as const) {
      const { status, stderr } = await runServer(cluster, args);
      t.is(status, 1);
      t.regex(stderr, /^imssfs: cannot listen at [^\n]*: something else listens there[^\n]*\n$/);
      t.true(stderr.includes(address));
    }
  });
});

test('a second block server for a place that is taken ends with 1 and says who has it', async (t) => {
  await withCluster(t, SERVERS, async (cluster) => {
    const host = hostOf(cluster, 'blockServers');
    const place = ['--node', host, '-h', 'hostfile', '-S', '64M'];
    const elsewhere = ['--listen', '127.0.0.1', '-p', '5555'];
    const { status, stderr } = await runServer(cluster, [
      'blocks',
      ...CLUSTER_ARGS,
      ...place,
      ...elsewhere,
    ]);
    t.is(status, 1);
    t.true(stderr.includes(`block server 0 runs already, at ${host}:5555`), stderr);
  });
});

test('a block server with another secret ends with 1 and says so', async (t) => {
  await withCluster(t, SERVERS, async (cluster) => {
    const blocks = cluster.blockServers[0];
    if (blocks === undefined) throw new Error('no block server');
    await cluster.stop(blocks);
    const { status, stderr } = await runServer(cluster, [
      'blocks',
      ...['-a', 'stat_hostfile', '-h', 'hostfile', '--node', blocks.address, '-S', '64M'],
      ...['--secret-file', join(cluster.folder, 'another')],
    ]);
    t.is(status, 1);
    t.regex(stderr, /the shared secrets differ; give both sides the same file by --secret-file/);
    await cluster.start(blocks);
  });
});

test('stopping the servers ends all their processes with 0', async (t) => {
  await withCluster(t, { meta: 2, blocks: 2, mounts: 0 }, async (cluster) => {
    const { client, metaAddresses, secret } = await openStores(t, cluster);
    await client.close();
    const servers = [...cluster.metaServers, ...cluster.blockServers];
    const ends = servers.map(
      ({ process: child }) =>
        new Promise<number | null>((resolve) => {
          child?.once('exit', resolve);
        }),
    );
    const options = { metaServers: metaAddresses, secret, waitMs: 10_000, logger: silentLogger };
    const stopped = await stopServers({ ...options, force: false });
    t.true(stopped.ended);
    t.deepEqual(await Promise.all(ends), [0, 0, 0, 0]);
    for (const server of servers) server.process = undefined;
  });
});
