/** Data, or all, in the mounts of several nodes (-d 1, -d 0). */
import test from 'ava';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { withCluster } from '../../support/cluster.ts';
import { IMSSFS, skipsMounts } from '../../support/mount.ts';
import { run, runOk } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;
const MIB = 2 ** 20;

clusterTest(
  'with -d 1 the mounts keep the data of each other, and a server the names',
  async (t) => {
    await withCluster(
      t,
      { meta: 1, blocks: 0, mounts: 0 },
      async ({ folder, servers, metaServers }) => {
        const network = (metaServers[0]?.address ?? '').replace(/\.\d+$/, '');
        const nodes = [`${network}.201`, `${network}.202`];
        const hostfile = servers.file('nodes');
        writeFileSync(hostfile, `${nodes.join('\n')}\n`);
        const mounts = nodes.map((_, index) => `${folder}/node${index}`);
        await runOk('mkdir', mounts);
        await Promise.all(
          mounts.map((mount, index) => {
            const own = ['-h', hostfile, '--node', nodes[index] ?? '', '-S', '128M'];
            const log = ['--log-file', servers.file(`node${index}.log`)];
            return runOk(IMSSFS, ['-d', '1', ...servers.clusterArgs, ...own, ...log, mount]);
          }),
        );
        const data = Buffer.alloc(6 * MIB, 'imss');
        writeFileSync(`${mounts[0] ?? ''}/file`, data);
        t.true(readFileSync(`${mounts[1] ?? ''}/file`).equals(data));
        const { stdout } = await runOk(IMSSFS, ['info', '--json', `${mounts[1] ?? ''}/file`]);
        const { blocks } = JSON.parse(stdout) as { blocks: { server: number }[] };
        t.deepEqual(new Set(blocks.map(({ server }) => server)), new Set([0, 1]));
        await runOk(IMSSFS.replace(/imssfs$/, 'umount-imss'), mounts, { timeoutMs: 60_000 });
      },
    );
  },
);

clusterTest('a node whose port is taken says so at once, and mounts nothing', async (t) => {
  await withCluster(
    t,
    { meta: 1, blocks: 0, mounts: 0 },
    async ({ folder, servers, metaServers }) => {
      const network = (metaServers[0]?.address ?? '').replace(/\.\d+$/, '');
      const [own, other] = [`${network}.201`, `${network}.202`];
      writeFileSync(servers.file('nodes'), `${own}\n${other}\n`);
      const taker = createServer().listen(5555, own);
      await once(taker, 'listening');
      try {
        const data = ['-h', servers.file('nodes'), '--node', own, '-S', '64M'];
        const log = ['--log-file', servers.file('node.log')];
        await runOk('mkdir', [`${folder}/node`]);
        const args = ['-d', '1', ...servers.clusterArgs, ...data, ...log, `${folder}/node`];
        const { status, stderr } = await run(IMSSFS, args);
        t.is(status, 1);
        t.regex(
          stderr,
          /^imssfs: cannot listen at [\d.]+:5555: something else listens there; [^\n]*\n$/,
        );
      } finally {
        taker.close();
      }
    },
  );
});
