/** Metadata on a server of its own, data in the mounts (-d 1). */
import test from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { withCluster } from '../../support/cluster.ts';
import { IMSSFS, skipsMounts } from '../../support/mount.ts';
import { runOk } from '../../support/run.ts';

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
