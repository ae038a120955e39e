import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UsageError } from '../../../src/cli/errors.ts';
import { type ServerPlan, planServer } from '../../../src/cli/server-config.ts';
import { type ServerLine, parseServerLine } from '../../../src/cli/server-options.ts';
import { ConfigError } from '../../../src/config.ts';
import { HostfileError, type HostNetwork } from '../../../src/net/hostfile.ts';

const MEMORY = 64 * 1024 ** 3;
const NAMES: Partial<Record<string, string[]>> = {
  node1: ['10.0.0.1'],
  node2: ['10.0.0.2'],
  node3: ['10.0.0.3'],
  node4: ['10.0.0.4'],
  loop2: ['127.0.0.2'],
};

function networkOf(number: number): HostNetwork {
  return {
    hostname: `node${number}`,
    localAddresses: ['127.0.0.1', `10.0.0.${number}`],
    lookup: (host) =>
      Promise.resolve(NAMES[host] ?? []).then((found) => {
        if (found.length > 0) return found;
        throw Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' });
      }),
  };
}

function parse(args: readonly string[]): ServerLine {
  const line = parseServerLine(args);
  if ('text' in line) throw new TypeError('help instead of a command line');
  return line;
}

interface Stage {
  plan: (number: number, text: string, env?: Record<string, string>) => Promise<ServerPlan>;
}

/** HOSTS is a file of node3 and node4, META of node1 and node2, LOOPS of 127.0.0.2 and 127.0.0.3. */
function stage(t: ExecutionContext): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-server-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const files = {
    HOSTS: 'node3\nnode4\n',
    META: 'node1\nnode2:7000\n',
    LOOPS: '127.0.0.2\n127.0.0.3\n',
    TWICE: 'node3:5555\nnode3:5556\nnode4\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return {
    plan: (number, text, env = {}) => {
      const args = text.split(' ').map((word) => (word in files ? join(folder, word) : word));
      return planServer(parse(args), { network: networkOf(number), memoryBytes: MEMORY, env });
    },
  };
}

test('a metadata server needs to be told nothing', async (t) => {
  t.deepEqual(await stage(t).plan(1, 'meta'), {
    kind: 'meta',
    notes: [],
    config: {
      listenHost: '0.0.0.0',
      port: 5569,
      index: undefined,
      metaServers: undefined,
      metadataFile: undefined,
      secret: { file: undefined, insecure: false },
    },
  });
});

test('the positional form of a metadata server names file and port', async (t) => {
  const { config, notes } = await stage(t).plan(1, './metadata 5570 0');
  t.like(config, { port: 5570, metadataFile: join(process.cwd(), 'metadata'), index: undefined });
  t.deepEqual(notes, []);
  const sized = await stage(t).plan(1, './metadata 5570 1G');
  t.regex(sized.notes[0] ?? '', /^the buffer size is not used/);
});

test('a metadata server finds its number, address and port in the hostfile', async (t) => {
  const { plan } = stage(t);
  t.like((await plan(2, 'meta -a META')).config, { index: 1, listenHost: '10.0.0.2', port: 7000 });
  t.like((await plan(1, 'meta -a META -m 9')).config, {
    index: 0,
    listenHost: '10.0.0.1',
    port: 9,
  });
  t.is((await plan(1, 'meta --meta-hosts node1')).config.index, 0);
});

test('a metadata server takes the first -x hosts of the hostfile, as mounts do', async (t) => {
  const { plan } = stage(t);
  const { config } = await plan(1, 'meta -a META -x 1');
  t.like(config, { index: 0, metaServers: [{ host: 'node1' }] });
  t.is(config.metaServers?.length, 1);
});

test('IMSSFS_NODE stands for --node, so that loopback addresses can stand for nodes', async (t) => {
  const { plan } = stage(t);
  const env = { IMSSFS_NODE: 'loop2' };
  t.is((await plan(9, './metadata 5569 0', env)).config.listenHost, '127.0.0.2');
  t.is((await plan(9, 'meta', { IMSSFS_NODE: '' })).config.listenHost, '0.0.0.0');
  const named = await plan(9, 'blocks -h LOOPS --meta-hosts node1', { IMSSFS_NODE: '127.0.0.3' });
  t.like(named.config, { index: 1, listenHost: '127.0.0.3', port: 5555 });
});

test('--listen says what to bind, and which line is meant', async (t) => {
  const { plan } = stage(t);
  const config = (await plan(9, 'blocks -h LOOPS --meta-hosts node1 --listen 127.0.0.3')).config;
  t.like(config, { index: 1, listenHost: '127.0.0.3' });
  t.is((await plan(3, 'meta --host 0.0.0.0')).config.listenHost, '0.0.0.0');
  await t.throwsAsync(plan(3, 'meta --listen node3:1'), {
    instanceOf: UsageError,
    message: /^--listen takes one name or address without a port; give the port with --port$/,
  });
});

test('a block server brings the list of all, and takes half of memory', async (t) => {
  t.deepEqual(await stage(t).plan(4, 'blocks -h HOSTS -a META'), {
    kind: 'blocks',
    notes: [],
    config: {
      listenHost: '10.0.0.4',
      port: 5555,
      index: 1,
      blockServers: [
        { host: 'node3', port: 5555 },
        { host: 'node4', port: 5555 },
      ],
      metaServers: [
        { host: 'node1', port: 5569 },
        { host: 'node2', port: 7000 },
      ],
      capacityBytes: MEMORY / 2,
      blockSizeBytes: 1024 ** 2,
      threads: 1,
      secret: { file: undefined, insecure: false },
    },
  });
});

test('the positional form of a block server is that of the public description', async (t) => {
  const { config, notes } = await stage(t).plan(3, 'imss:// 5556 0 node1 5570 4 HOSTS 2');
  t.like(config, {
    index: 0,
    port: 5556,
    metaServers: [{ host: 'node1', port: 5570 }],
    threads: 2,
    capacityBytes: MEMORY / 2,
  });
  t.regex(notes.join(), /^4 servers are announced, but hostfile \S+ names 2; there will be 2$/);
  const sized = await stage(t).plan(3, 'imss:// 5556 1G node1 5570 2 HOSTS 2');
  t.like(sized, { notes: [], config: { capacityBytes: 1024 ** 3 } });
});

test('a block server without a hostfile is the only one', async (t) => {
  const { config } = await stage(t).plan(3, 'blocks --meta-hosts node1');
  t.like(config, {
    index: 0,
    blockServers: [{ host: 'node3', port: 5555 }],
    listenHost: '0.0.0.0',
  });
});

function mpich(rank: number, localRank: number, size: number): Record<string, string> {
  return { PMI_RANK: String(rank), MPI_LOCALRANKID: String(localRank), PMI_SIZE: String(size) };
}

test('a launcher that starts more servers than lines starts several on a host, at the ports that follow', async (t) => {
  const { plan } = stage(t);
  const text = 'imss:// 5555 0 node1 5569 4 HOSTS 1';
  const launch = (number: number, rank: number, localRank: number): Promise<ServerPlan> =>
    plan(number, text, mpich(rank, localRank, 4));
  const plans = [await launch(3, 0, 0), await launch(4, 1, 0), await launch(3, 2, 1), await launch(4, 3, 1)]; // prettier-ignore
  t.deepEqual(
    plans.map(({ config }) => [config.index, config.listenHost, config.port]),
    [
      [0, '10.0.0.3', 5555],
      [1, '10.0.0.4', 5555],
      [2, '10.0.0.3', 5556],
      [3, '10.0.0.4', 5556],
    ],
  );
  for (const each of plans) t.deepEqual(each.config, { ...each.config, ...commonPart(plans[0]) });
  t.deepEqual(plans[0]?.notes, [
    'mounts need a hostfile of all servers: node3:5555 node4:5555 node3:5556 node4:5556',
  ]);
  t.is(plans[0]?.kind === 'blocks' ? plans[0].config.capacityBytes : 0, MEMORY / 4);
});

function commonPart(plan: ServerPlan | undefined): object {
  return plan?.kind === 'blocks' ? { blockServers: plan.config.blockServers } : {};
}

test('the size of the launch counts where no number of servers is given', async (t) => {
  const { config } = await stage(t).plan(3, 'blocks -h HOSTS -a META', mpich(2, 1, 4));
  t.like(config, { index: 2, port: 5556 });
});

test('servers that share a host by lines of their own are told apart by local rank, port or --node', async (t) => {
  const { plan } = stage(t);
  const text = 'blocks -h TWICE -a META';
  t.is((await plan(3, text, mpich(1, 1, 3))).config.index, 1);
  t.is((await plan(3, text, mpich(0, 0, 3))).config.index, 0);
  t.is((await plan(3, `${text} -p 5556`)).config.index, 1);
  const named = await plan(3, `${text} --node node3:5556`);
  t.like(named.config, { index: 1, port: 5556, capacityBytes: MEMORY / 4 });
});

test('loopback addresses that stand for nodes are told apart by what MPICH calls them, or by rank', async (t) => {
  const { plan } = stage(t);
  const text = 'blocks -h LOOPS -a META';
  const hinted = { ...mpich(0, 0, 2), MPIR_CVAR_CH3_INTERFACE_HOSTNAME: '127.0.0.3' };
  t.is((await plan(9, text, hinted)).config.index, 1);
  t.is((await plan(9, text, mpich(1, 1, 2))).config.index, 1);
  t.is((await plan(9, './m 5569 0', hinted)).config.listenHost, '127.0.0.3');
});

const REFUSED: [string, string, new () => Error, RegExp][] = [
  ['blocks without metadata servers', 'blocks -h HOSTS', UsageError, /^no metadata server is given to register at; name their hosts with -a/],
  ['a hostfile without this node', 'blocks -h HOSTS -a META', HostfileError, /^hostfile \S+ does not name this node, which is to serve there; add it/],
  ['a metadata hostfile without this node', 'meta -a META', HostfileError, /does not name this node/],
  ['more metadata servers than hosts', 'meta -a META -x 3', UsageError, /^-x asks for 3 metadata servers, but hostfile \S+ names 2; give as many hosts/],
  ['a metadata server behind the first -x', 'meta -a META -x 1', HostfileError, /does not name this node/],
  ['several lines of this machine', 'blocks -h LOOPS -a META', HostfileError, /^several lines of hostfile \S+ are this machine \(127\.0\.0\.2:5555, 127\.0\.0\.3:5555\); .* --node$/],
  ['a port that is none', 'meta -m 70000', ConfigError, /^metadata port \(-m\) "70000" is not valid/],
  ['too many threads', 'blocks --meta-hosts node1 -t 65', ConfigError, /^number of threads \(-t\) "65" is not valid; give a whole number from 1 to 64$/],
  ['a share per thread below a block', 'blocks --meta-hosts node1 -S 3M -t 4', ConfigError, /^capacity \(-S\) 3 MiB is below one block of 1 MiB for each of 4 threads/],
  ['a root that is none', 'imss://.. 1 0 node1 1 1 HOSTS 1', ConfigError, /^root \(-r\) "imss:\/\/\.\." is not/],
  ['two sizes of memory', 'imss:// 1 1G node1 1 2 LOOPS 1 -S 2G --node 127.0.0.2', UsageError, /^the buffer size 1G and -S 2G both say/],
  ['-a beside --meta-hosts', 'meta -a META --meta-hosts node1', UsageError, /^-a and --meta-hosts are given/],
]; // prettier-ignore
for (const [what, text, instanceOf, message] of REFUSED) {
  test(`${what} is refused in one line`, async (t) => {
    await t.throwsAsync(stage(t).plan(9, text), { instanceOf, message });
  });
}

test('several servers are not launched without a hostfile, nor unevenly', async (t) => {
  const { plan } = stage(t);
  await t.throwsAsync(plan(3, 'blocks --meta-hosts node1', mpich(0, 0, 2)), {
    instanceOf: UsageError,
    message: /^2 block servers are launched, and each needs to know the others; name their hosts/,
  });
  await t.throwsAsync(plan(3, 'blocks -h HOSTS -a META', mpich(2, 2, 4)), {
    instanceOf: HostfileError,
    message: /^3 servers or more are launched on one host, but 4 servers on 2 hosts leave it fewer/,
  });
});

test('--insecure is warned of', async (t) => {
  const { notes, config } = await stage(t).plan(3, 'meta --insecure');
  t.true(config.secret.insecure);
  t.regex(notes.join(), /^--insecure: whoever reaches a port/);
});

for (const [text, message] of [
  ['', /^no kind of server is given; write imssfs server meta or imssfs server blocks/],
  ['--port 1 meta', /^imssfs server --port: the kind of server comes first/],
  ['meta extra', /^"extra" is too much; imssfs server meta takes options/],
  [
    './metadata 5569',
    /^3 words are needed behind "imssfs server", 2 are given; write imssfs server METADATA_FILE PORT/,
  ],
  [
    'imss:// 5555 0 node1',
    /^8 words are needed behind "imssfs server", 4 are given; write imssfs server imss:\/\/ PORT/,
  ],
  ['./metadata 5569 0 --port 1', /^the port 5569 and 1 contradict each other; give one of them$/],
  ['meta --daemon -f', /^--daemon and --foreground contradict each other/],
  ['meta --capacity 1', /^unknown option '--capacity'; see imssfs server meta --help$/],
] as const) {
  test(`"imssfs server ${text}" is wrong usage`, (t) => {
    const args = text === '' ? [] : text.split(' ');
    t.throws(() => parseServerLine(args), { instanceOf: UsageError, message });
  });
}
