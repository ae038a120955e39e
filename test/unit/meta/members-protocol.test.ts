import { readFileSync } from 'node:fs';
import test from 'ava';
import { CLUSTER_REFUSALS, ClusterError } from '../../../src/meta/cluster-errors.ts';
import * as protocol from '../../../src/meta/cluster-protocol.ts';
import type { ServerMap } from '../../../src/meta/server-map.ts';
import type { Codec } from '../../../src/net/codec.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import { FIRST_SERVICE_STATUS, OPERATION_CODES } from '../../../src/net/operation.ts';
import { BLOCK_FAILURES } from '../../../src/blocks/protocol.ts';
import { META_FAILURES } from '../../../src/meta/protocol.ts';

const LIFE = { host: 'n1', ports: [5, 6], incarnation: 'ab', bornEpoch: 2, capacityBytes: 9 };
const RAW_LIFE = ['n1', [5, 6], 'ab', 2, 9];
const MAP: ServerMap = {
  version: 3,
  epoch: 2,
  blocks: [
    { declared: 'n1:5', life: LIFE },
    { declared: 'n2:5', life: undefined },
  ],
};
const RAW_MAP = [
  3,
  2,
  [
    ['n1:5', RAW_LIFE],
    ['n2:5', null],
  ],
];
const LAYOUT = { policy: 'RR', blockSizeBytes: 4096, replication: 1 } as const;
const RAW_LAYOUT = ['RR', 4096, 1];
const REPORT = { usedBytes: 1, datasets: 2, requestsPerSecond: 0.5, uptimeMs: 4.5, clients: 5 };
const RAW_REPORT = [1, 2, 0.5, 4.5, 5];

interface Sample {
  name: string;
  codec: Codec<never>;
  value: unknown;
  raw: unknown;
}

function sample<T>(name: string, codec: Codec<T>, value: T, raw: unknown): Sample {
  return { name, codec: codec as Codec<never>, value, raw };
}

const { ADOPT, ATTACH, WATCH_MAP, REGISTER_BLOCKS, HEARTBEAT, LEAVE_BLOCKS, STATUS, STOP } =
  protocol;

const SAMPLES: readonly Sample[] = [
  sample('adopt request', ADOPT.request, { clusterId: null, number: 0, metaServers: ['m1:5'] }, [
    null,
    0,
    ['m1:5'],
  ]),
  sample('adopt reply', ADOPT.reply, { clusterId: 'c', number: 1, map: MAP }, ['c', 1, RAW_MAP]),
  sample(
    'attach request',
    ATTACH.request,
    { name: 'n', list: undefined, layout: LAYOUT, blockSizeIsExplicit: true },
    ['n', null, RAW_LAYOUT, true],
  ),
  sample('attach reply', ATTACH.reply, { layout: LAYOUT, map: MAP }, [RAW_LAYOUT, RAW_MAP]),
  sample('watchMap request', WATCH_MAP.request, { version: 3, number: undefined }, [3, null]),
  sample('watchMap reply', WATCH_MAP.reply, { map: MAP, stopping: false }, [RAW_MAP, false]),
  sample(
    'registerBlocks request',
    REGISTER_BLOCKS.request,
    {
      ...{ clusterId: null, index: 1, list: ['n1:5', 'n2:5'], host: 'n2', ports: [5] },
      ...{ capacityBytes: 7, incarnation: 'ab' },
    },
    [null, 1, ['n1:5', 'n2:5'], 'n2', [5], 7, 'ab'],
  ),
  sample(
    'registerBlocks reply',
    REGISTER_BLOCKS.reply,
    { clusterId: 'c', epoch: 2, bornEpoch: 1 },
    ['c', 2, 1],
  ),
  sample('heartbeat request', HEARTBEAT.request, { index: 1, incarnation: 'ab', report: REPORT }, [
    1,
    'ab',
    RAW_REPORT,
  ]),
  sample('heartbeat reply', HEARTBEAT.reply, { known: true, stopping: false }, [true, false]),
  sample('leaveBlocks request', LEAVE_BLOCKS.request, { index: 1, incarnation: 'ab' }, [1, 'ab']),
  sample('stop request', STOP.request, { force: true }, [true]),
  sample('stop reply', STOP.reply, { servers: ['n1:5'] }, [['n1:5']]),
  sample(
    'status reply',
    STATUS.reply,
    {
      ...{ clusterId: 'c', number: 0, epoch: 2, isCurrent: true, pid: 7, uptimeMs: 1.5, inodes: 8 },
      ...{ databaseBytes: 9, connections: 3, requestsPerSecond: 0.25, metaServers: undefined },
      mounts: ['n1:/mnt'],
      blockServers: [
        {
          ...{ index: 0, declared: 'n1:5', state: 'up', quietMs: 12.5 },
          ...{ life: LIFE, report: REPORT },
        },
        {
          ...{ index: 1, declared: 'n2:5', state: 'awaited', quietMs: undefined },
          ...{ life: undefined, report: undefined },
        },
      ],
      stopping: false,
    },
    [
      ...['c', 0, 2, true, 7, 1.5, 8, 9, 3, 0.25, null, ['n1:/mnt']],
      [
        [0, 'n1:5', 'up', 12.5, RAW_LIFE, RAW_REPORT],
        [1, 'n2:5', 'awaited', null, null, null],
      ],
      false,
    ],
  ),
];

for (const { name, codec, value, raw } of SAMPLES) {
  test(`${name}: the fields travel in the order of the documentation, and nothing else is understood`, (t) => {
    t.deepEqual(codec.encode(value as never), raw);
    t.deepEqual(codec.decode(raw), value as never);
    const fields = raw as unknown[];
    for (let length = 0; length < fields.length; length++) {
      t.throws(() => codec.decode(fields.slice(0, length)), { instanceOf: ProtocolError });
    }
    t.throws(() => codec.decode([...fields, null]), { instanceOf: ProtocolError });
    for (let index = 0; index < fields.length; index++) {
      const wrong = fields.with(index, { a: 'map' });
      t.throws(() => codec.decode(wrong), { instanceOf: ProtocolError }, `field ${index}`);
    }
  });
}

test('every operation and reason is documented, and its code belongs to the cluster', (t) => {
  const text = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('## Cluster operations'));
  const operations = [
    ADOPT,
    ATTACH,
    WATCH_MAP,
    REGISTER_BLOCKS,
    HEARTBEAT,
    LEAVE_BLOCKS,
    STATUS,
    STOP,
  ];
  const [first, last] = OPERATION_CODES.cluster;
  for (const { code, name, mutates } of operations) {
    t.true(code >= first && code <= last);
    t.regex(section, new RegExp(`\\| ${code} +\\| ${name} +\\|`));
    t.false(mutates);
  }
  for (const reason of CLUSTER_REFUSALS) t.true(section.includes(`\`"${reason}"\``), reason);
});

test('a refusal keeps its reason and its words', (t) => {
  const { clusterFailure } = protocol;
  const error = new ClusterError('taken', 'it lives: stop it');
  t.true(clusterFailure.matches(error));
  t.false(clusterFailure.matches(new Error('taken')));
  t.deepEqual(clusterFailure.encode(error), ['taken', 'it lives: stop it']);
  const decoded = clusterFailure.decode(['taken', 'it lives: stop it']);
  t.true(decoded instanceof ClusterError && decoded.reason === 'taken');
  t.is(decoded.message, error.message);
  t.throws(() => clusterFailure.decode(['unheard-of', '']), { instanceOf: ProtocolError });
  const statuses = [...BLOCK_FAILURES, ...META_FAILURES, clusterFailure].map(
    ({ status }) => status,
  );
  t.is(new Set(statuses).size, statuses.length);
  t.true(statuses.every((status) => status >= FIRST_SERVICE_STATUS));
});
