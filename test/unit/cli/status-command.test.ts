import test from 'ava';
import type { AskedServer } from '../../../src/cli/cluster-query.ts';
import { UsageError } from '../../../src/cli/errors.ts';
import {
  clusterRequest, duration, jsonOf, parseStatusLine, runStatusCommand, statusText,
} from '../../../src/cli/status-command.ts'; // prettier-ignore
import type { MetaStatus } from '../../../src/meta/cluster-protocol.ts';

const FIRST: MetaStatus = {
  clusterId: 'c1',
  number: 0,
  epoch: 2,
  isCurrent: true,
  pid: 12,
  uptimeMs: 7_400_000,
  inodes: 3,
  databaseBytes: 4096,
  connections: 2,
  requestsPerSecond: 12.3,
  metaServers: ['node1:5569', 'node2:5569'],
  mounts: ['node5:/mnt/imss (pid 7)'],
  blockServers: [
    {
      index: 0,
      declared: 'node3:5555',
      state: 'up',
      quietMs: 500,
      life: { host: 'node3', ports: [5555], incarnation: 'i', bornEpoch: 1, capacityBytes: 2 ** 30 },
      report: { usedBytes: 2 ** 20, datasets: 3, requestsPerSecond: 0.44, uptimeMs: 5000, clients: 1 },
    },
    { index: 1, declared: 'node4:5555', state: 'down', quietMs: 61_000, life: undefined, report: undefined },
    { index: 2, declared: 'node44:5555', state: 'awaited', quietMs: undefined, life: undefined, report: undefined },
  ],
  stopping: false,
}; // prettier-ignore

const SERVERS: AskedServer[] = [
  { address: 'node1:5569', answer: FIRST },
  { address: 'node2:5569', answer: new Error('node2:5569: away for more than 3000 ms') },
];

test('a person sees each server in a row, why one is down, and who has it mounted', (t) => {
  t.deepEqual(statusText(SERVERS).split('\n'), [
    'file system c1',
    'metadata servers',
    '  0  node1:5569  up    3 inodes in 4 KiB, 2 connections, 12 requests/s, up 2 h 3 min, pid 12',
    '  -  node2:5569  down  away for more than 3000 ms',
    'block servers',
    '  0  node3:5555   up       1 MiB of 1 GiB used, 3 datasets, 1 clients, 0.4 requests/s, up 5 s',
    '  1  node4:5555   down     not heard of for 1 min',
    '  2  node44:5555  awaited',
    'mounts',
    '  node5:/mnt/imss (pid 7)',
  ]);
});

test('without metadata server 0 it is said what cannot be known', (t) => {
  const second = { ...FIRST, number: 1, isCurrent: false, mounts: [], blockServers: [] };
  t.deepEqual(
    statusText([{ address: 'node2:5569', answer: second }])
      .split('\n')
      .slice(1),
    [
      'metadata servers',
      '  1  node2:5569  waiting  3 inodes in 4 KiB, 2 connections, 12 requests/s, up 2 h 3 min, pid 12',
      'block servers and mounts are known to metadata server 0, which does not answer',
    ],
  );
});

test('a file system without block servers and mounts says so', (t) => {
  const text = statusText([{ address: 'a:1', answer: { ...FIRST, mounts: [], blockServers: [] } }]);
  t.true(text.endsWith('block servers\n  none has registered yet\nmounts\n  none'));
});

test('--json has everything, what all share once', (t) => {
  const json = JSON.parse(JSON.stringify(jsonOf(SERVERS))) as Record<string, unknown[]>;
  t.deepEqual(Object.keys(json), ['clusterId', 'epoch', 'metaServers', 'blockServers', 'mounts']);
  t.like(json['metaServers']?.[0], { address: 'node1:5569', state: 'up', number: 0, inodes: 3 });
  t.deepEqual(json['metaServers']?.[1], {
    address: 'node2:5569',
    state: 'down',
    error: 'away for more than 3000 ms',
  });
  t.is(json['blockServers']?.length, 3);
  t.deepEqual(jsonOf([]), {
    clusterId: null,
    epoch: null,
    metaServers: [],
    blockServers: [],
    mounts: [],
  });
});

test('times are as short as they can be', (t) => {
  const ms = [900, 61_000, 3_600_000, 93_600_000];
  t.deepEqual(ms.map(duration), ['0 s', '1 min', '1 h 0 min', '1 d 2 h']);
});

test('servers are named in a word, a list or a file', async (t) => {
  const asked = async (...args: string[]): Promise<unknown> => {
    const line = parseStatusLine(args);
    if ('text' in line) throw new TypeError('help');
    return (await clusterRequest(line, { host: line.host, wait: line.wait ?? '3' }))?.metaServers;
  };
  t.deepEqual(await asked('node1'), [{ host: 'node1', port: 5569 }]);
  t.deepEqual(await asked('-m', '7', '[::1]:5,b'), [{ host: '::1', port: 5 }, { host: 'b', port: 7 }]); // prettier-ignore
  t.is(await asked(), undefined);
  await t.throwsAsync(asked('node1', '--meta-hosts', 'node2'), {
    instanceOf: UsageError,
    message: /^node1 and --meta-hosts both name metadata servers; leave out one of them$/,
  });
  await t.throwsAsync(runStatusCommand([]), { message: /^no metadata server is named; write/ });
});
