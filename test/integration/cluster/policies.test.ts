/** Where blocks are, by each policy: what `imssfs info` says of a mounted file system of two block servers. */
import test, { type ExecutionContext } from 'ava';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { placeOf } from '../../../src/blocks/placement.ts';
import type { BlockInfo, DatasetInfo } from '../../../src/fs/dataset-info.ts';
import type { InodeId } from '../../../src/ids.ts';
import { policyNamed } from '../../../src/policy.ts';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { IMSSFS, skipsMounts } from '../../support/mount.ts';
import { run, runOk } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;
const PLACED = ['RR', 'BUCKETS', 'HASH', 'CRC16', 'CRC64'] as const;
const KIB = 1024;
const BLOCKS = 12;

type Info = Omit<DatasetInfo, 'blocks'> & { path: string; blocks: BlockInfo[] };

async function infoOf(...paths: string[]): Promise<Info[]> {
  const { stdout } = await runOk(IMSSFS, ['info', '--json', ...paths]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Info);
}

async function setLayout(path: string, values: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    await runOk('setfattr', ['-n', `user.imss.${name}`, '-v', value, path]);
  }
}

/** Fails unless each block is where the policy places it, whole. */
function placedAs(
  t: ExecutionContext,
  info: Info,
  wanted: { policy: string; blockSizeBytes: number; servers: number },
): void {
  const { policy, blockSizeBytes, servers } = wanted;
  t.like(info, { policy, blockSizeBytes });
  const name = policyNamed(policy);
  if (name === undefined) throw new Error(`no policy ${policy}`);
  const layout = { policy: name, blockSizeBytes, replication: info.replication };
  const dataset = { inode: info.inode as InodeId, uri: info.uri, layout, mapEpoch: 1, home: 0 };
  t.is(info.blocks.length, 1 + Math.ceil(info.sizeBytes / blockSizeBytes));
  for (const { block, server, storedBytes } of info.blocks) {
    t.is(server, placeOf(dataset, block, servers) ?? null, `${info.path}, block ${block}`);
    if (block > 0) t.is(storedBytes, blockSizeBytes, `${info.path}, block ${block}`);
  }
}

clusterTest('an attribute of a directory places what is created in it', async (t) => {
  await withCluster(t, { meta: 1, blocks: 2, mounts: 2 }, async (cluster) => {
    for (const policy of PLACED) {
      const directory = cluster.at(0, policy);
      mkdirSync(directory);
      await setLayout(directory, { policy, block_size: '64K' });
      mkdirSync(join(directory, 'below'));
      for (const name of ['file', 'below/file']) {
        writeFileSync(join(directory, name), Buffer.alloc(BLOCKS * 64 * KIB, policy));
      }
      const [first, below] = await infoOf(
        cluster.at(1, policy, 'file'),
        cluster.at(1, policy, 'below', 'file'),
      );
      for (const info of [first, below]) {
        if (info === undefined) throw new Error('no answer');
        placedAs(t, info, { policy, blockSizeBytes: 64 * KIB, servers: 2 });
        t.deepEqual([...new Set(info.blocks.map(({ server }) => server))].sort(), [0, 1]);
        const read = readFileSync(join(cluster.at(1), info.path.slice(cluster.at(1).length)));
        t.true(read.equals(Buffer.alloc(BLOCKS * 64 * KIB, policy)), info.path);
      }
    }
  });
});

clusterTest('the layout of a file that another mount is writing stays', async (t) => {
  await withCluster(t, { meta: 1, blocks: 2, mounts: 2 }, async (cluster) => {
    const fd = openSync(cluster.at(0, 'file'), 'w');
    try {
      writeSync(fd, 'written, and not closed');
      const refused = await run('setfattr', [
        ...['-n', 'user.imss.block_size', '-v', '64K', cluster.at(1, 'file')],
      ]);
      t.regex(refused.stderr, /File exists/);
    } finally {
      closeSync(fd);
    }
    t.is(readFileSync(cluster.at(1, 'file'), 'latin1'), 'written, and not closed');
    const closed = openSync(cluster.at(0, 'other'), 'w');
    closeSync(closed);
    await setLayout(cluster.at(1, 'other'), { block_size: '64K' });
  });
});

clusterTest('a layout changes what comes after, and not what has data', async (t) => {
  await withCluster(t, { meta: 1, blocks: 2, mounts: 1 }, async (cluster) => {
    const directory = cluster.at(0, 'directory');
    mkdirSync(directory);
    writeFileSync(join(directory, 'before'), 'data');
    writeFileSync(join(directory, 'empty'), '');
    await setLayout(directory, { policy: 'CRC64', block_size: '128KiB' });
    writeFileSync(join(directory, 'after'), 'data');
    await setLayout(join(directory, 'empty'), { policy: 'HASH', block_size: '64K' });
    const paths = ['before', 'after', 'empty'].map((name) => join(directory, name));
    const layouts = (await infoOf(...paths)).map(({ policy, blockSizeBytes }) => [
      policy,
      blockSizeBytes,
    ]);
    t.deepEqual(layouts, [
      ['RR', 1024 * KIB],
      ['CRC64', 128 * KIB],
      ['HASH', 64 * KIB],
    ]);
    const { stdout } = await runOk('getfattr', [
      '--only-values',
      '-n',
      'user.imss.block_size',
      join(directory, 'after'),
    ]);
    t.is(stdout, String(128 * KIB));
    const late = await run('setfattr', [
      ...['-n', 'user.imss.policy', '-v', 'RR', join(directory, 'after')],
    ]);
    t.not(late.status, 0);
    const wrong = await run('setfattr', ['-n', 'user.imss.policy', '-v', 'NONE', directory]);
    t.regex(wrong.stderr, /Invalid argument/);
  });
});

for (const policy of PLACED) {
  clusterTest(`-P ${policy} places what the mount creates`, async (t) => {
    const mountArgs = ['-P', policy, '-b', '256K'];
    await withCluster(t, { meta: 1, blocks: 2, mounts: 1, mountArgs }, async (cluster) => {
      writeFileSync(cluster.at(0, 'file'), Buffer.alloc(BLOCKS * 256 * KIB, policy));
      const [info] = await infoOf(cluster.at(0, 'file'));
      if (info === undefined) throw new Error('no answer');
      placedAs(t, info, { policy, blockSizeBytes: 256 * KIB, servers: 2 });
    });
  });
}

/** Writes block after block of a file that others write, too. */
const FILLER = `
const fs = require('node:fs');
const [path, letter, count, size] = process.argv.slice(1);
const fd = fs.openSync(path, 'r+');
for (let i = 0; i < Number(count); i++) {
  fs.writeSync(fd, Buffer.alloc(Number(size), letter), 0, Number(size), i * Number(size));
}
fs.closeSync(fd);
`;

/** Mounts that serve blocks themselves, and the first of which keeps the metadata. */
async function mountAttached(cluster: Cluster, count: number, args: string[]): Promise<string[]> {
  const { servers, folder } = cluster;
  const network = `127.${200 + (process.pid % 50)}.${1 + (Math.floor(process.pid / 50) % 254)}`;
  const hosts = Array.from({ length: count }, (_, index) => `${network}.${11 + index}`);
  writeFileSync(join(folder, 'nodes'), hosts.map((host) => `${host}\n`).join(''));
  writeFileSync(join(folder, 'first'), `${hosts[0] ?? ''}\n`);
  const points = hosts.map((_, index) => join(folder, `attached${index}`));
  await Promise.all(
    hosts.map(async (host, index) => {
      const logFile = servers.file(`attached${index}.log`);
      servers.logFiles.push(logFile);
      mkdirSync(points[index] ?? '');
      await runOk(IMSSFS, [
        ...['-d', '0', '-h', join(folder, 'nodes'), '-a', join(folder, 'first')],
        ...['--secret-file', join(folder, 'secret'), '--node', host, '--log-file', logFile],
        ...['-S', '128M', ...args, points[index] ?? ''],
      ]);
    }),
  );
  return points;
}

async function unmountAll(points: readonly string[]): Promise<void> {
  const umount = join(IMSSFS, '..', 'umount-imss');
  // The one that keeps the metadata goes last.
  for (const point of points.toReversed()) await runOk(umount, [point]);
}

clusterTest('LOCAL keeps what each attached mount writes on its own node', async (t) => {
  await withCluster(t, { meta: 0, blocks: 0, mounts: 0 }, async (cluster) => {
    const points = await mountAttached(cluster, 2, ['-P', 'LOCAL', '-b', '64K']);
    const data = Buffer.alloc(BLOCKS * 64 * KIB, 'local');
    for (const [index, point] of points.entries()) writeFileSync(join(point, `by${index}`), data);
    for (const index of points.keys()) {
      for (const point of points) {
        const [info] = await infoOf(join(point, `by${index}`));
        if (info === undefined) throw new Error('no answer');
        const stored = { server: index, storedBytes: 64 * KIB };
        t.is(info.policy, 'LOCAL');
        t.is(info.blocks[0]?.server, index);
        t.deepEqual(
          info.blocks.slice(1),
          Array.from({ length: BLOCKS }, (_, block) => ({ block: block + 1, ...stored })),
        );
        t.true(readFileSync(join(point, `by${index}`)).equals(data));
      }
    }
    await unmountAll(points);
  });
});

clusterTest(
  'of two mounts that race for the blocks of a LOCAL file, each block has one winner',
  async (t) => {
    await withCluster(t, { meta: 0, blocks: 0, mounts: 0 }, async (cluster) => {
      const points = await mountAttached(cluster, 2, ['-P', 'LOCAL', '-b', '64K']);
      const [here = '', there = ''] = points;
      const size = 64 * KIB;
      writeFileSync(join(here, 'race'), '');
      await Promise.all(
        points.map((point, index) =>
          runOk(process.execPath, [
            ...['-e', FILLER, join(point, 'race'), 'ab'.charAt(index)],
            ...[String(BLOCKS), String(size)],
          ]),
        ),
      );
      t.is(statSync(join(there, 'race')).size, BLOCKS * size);
      const [seen, seenThere] = await infoOf(join(here, 'race'), join(there, 'race'));
      t.deepEqual(seen?.blocks, seenThere?.blocks);
      const data = readFileSync(join(here, 'race'));
      t.true(data.equals(readFileSync(join(there, 'race'))));
      for (let block = 1; block <= BLOCKS; block++) {
        const content = data.subarray((block - 1) * size, block * size);
        t.true(
          ['a', 'b'].some((letter) => content.equals(Buffer.alloc(size, letter))),
          `${block}`,
        );
        t.is(seen?.blocks[block]?.storedBytes, size);
      }
      await unmountAll(points);
    });
  },
);

clusterTest('info while a server is down tells which blocks it does not know of', async (t) => {
  await withCluster(t, { meta: 1, blocks: 2, mounts: 1 }, async (cluster) => {
    const file = cluster.at(0, 'file');
    writeFileSync(file, Buffer.alloc(4 * 1024 * KIB, 1));
    symlinkSync('file', cluster.at(0, 'link'));
    const [, victim] = cluster.blockServers;
    if (victim === undefined) throw new Error('no second server');
    await cluster.kill(victim);
    const asked = await run(IMSSFS, ['info', '--json', file]);
    t.is(asked.status, 0, asked.stderr);
    const { blocks } = JSON.parse(asked.stdout) as Info;
    t.is(blocks.length, 5);
    const data = blocks.filter(({ block }) => block > 0);
    for (const { server, storedBytes } of data) {
      t.is(storedBytes, server === 1 ? null : 1024 * KIB);
    }
    t.is(data.filter(({ server }) => server === 1).length, 2);
    const shown = await run(IMSSFS, ['info', file]);
    t.is(shown.status, 0);
    t.is(
      shown.stdout.match(/lost, or its server is away/g)?.length,
      blocks.filter((b) => b.server === 1).length,
    );
  });
});
