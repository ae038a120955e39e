import test from 'ava';
import type { ClusterConfig } from '../../../src/cli/cluster-config.ts';
import { type ClusterInput, clusterOf, listenHostOf } from '../../../src/cli/cluster-hosts.ts';
import { UsageError } from '../../../src/cli/errors.ts';
import { HostfileError, type HostNetwork, parseHostfile } from '../../../src/net/hostfile.ts';

const NAMES: Partial<Record<string, string[]>> = {
  node1: ['10.0.0.1'],
  node2: ['10.0.0.2'],
  node3: ['10.0.0.3'],
  'node3-ib': ['10.1.0.3'],
  same3: ['10.0.0.3'],
  loop5: ['127.0.0.5'],
};

/** The network as node `number` sees it. */
function networkOf(number: number): HostNetwork {
  return {
    hostname: `node${number}`,
    localAddresses: ['127.0.0.1', `10.0.0.${number}`, `10.1.0.${number}`, '::1'],
    lookup: (host) => {
      const found = NAMES[host];
      if (found !== undefined) return Promise.resolve(found);
      return Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }));
    },
  };
}

interface Written extends Partial<Omit<ClusterInput, 'data' | 'meta'>> {
  data?: string;
  meta?: string;
}

function cluster(number: number, written: Written): Promise<ClusterConfig | undefined> {
  const { data, meta, ...rest } = written;
  const list = (text: string | undefined, name: string): ClusterInput['data'] =>
    text === undefined
      ? undefined
      : { name, lines: parseHostfile(text.replaceAll(' ', '\n'), name) };
  return clusterOf(
    {
      deployment: 0,
      dataPort: 5555,
      metaPort: 5569,
      metaServerCount: undefined,
      node: undefined,
      nodeGuesses: [],
      secret: { file: undefined, insecure: false },
      waitSeconds: 60,
      blockSizeIsExplicit: false,
      data: list(data, 'hostfile data'),
      meta: list(meta, 'hostfile meta'),
      ...rest,
    },
    networkOf(number),
  );
}

async function found(number: number, written: Written): Promise<ClusterConfig> {
  const config = await cluster(number, written);
  if (config === undefined) throw new TypeError('alone');
  return config;
}

test('without hostfiles, or with hostfiles of this machine alone, a mount is alone', async (t) => {
  t.is(await cluster(3, {}), undefined);
  t.is(await cluster(3, { data: 'node3', meta: 'localhost' }), undefined);
  t.is(await cluster(3, { data: '10.1.0.3:7000' }), undefined);
  t.is(await cluster(3, { data: 'node9', node: 'node9' }), undefined);
});

test('attached, each node serves its own data, and the nodes of -a also metadata', async (t) => {
  const files = { data: 'node1 node2:6000 node3', meta: 'node2 node3:7000' };
  const second = await found(2, files);
  t.deepEqual(second.ownBlocks, { index: 1, listenHost: '10.0.0.2', port: 6000 });
  t.deepEqual(second.ownMeta, { index: 0, listenHost: '10.0.0.2', port: 5569 });
  t.is(second.nearBlockServer, 1);
  t.deepEqual(
    second.metaServers.map(({ host, port, thisMachine }) => [host, port, thisMachine]),
    [
      ['node2', 5569, true],
      ['node3', 7000, false],
    ],
  );
  const first = await found(1, files);
  t.deepEqual(first.ownBlocks, { index: 0, listenHost: '10.0.0.1', port: 5555 });
  t.is(first.ownMeta, undefined);
  t.deepEqual(
    first.blockServers?.map((host) => host.thisMachine),
    [true, false, false],
  );
});

test('with metadata detached a mount serves data only, also where -a names its machine', async (t) => {
  const config = await found(3, { deployment: 1, data: 'node3', meta: 'node3' });
  t.is(config.ownMeta, undefined);
  t.deepEqual(config.ownBlocks, { index: 0, listenHost: '10.0.0.3', port: 5555 });
});

test('detached, a mount serves nothing, knows the server beside it, and may do without a list', async (t) => {
  const config = await found(3, { deployment: 2, data: 'node1 node3', meta: 'node1' });
  t.deepEqual(
    [config.ownMeta, config.ownBlocks, config.nearBlockServer],
    [undefined, undefined, 1],
  );
  const elsewhere = await found(9, { deployment: 2, data: 'node1 node3', meta: 'node1' });
  t.is(elsewhere.nearBlockServer, undefined);
  const bare = await found(9, { deployment: 2, meta: 'node1' });
  t.is(bare.blockServers, undefined);
});

test('-x takes the first so many hosts of -a', async (t) => {
  const files = { data: 'node1 node2', meta: 'node1 node2', metaServerCount: 1 };
  const config = await found(2, files);
  t.deepEqual(
    config.metaServers.map((host) => host.host),
    ['node1'],
  );
  t.is(config.ownMeta, undefined);
});

test('of several lines of this machine, --node says which is this node, in every spelling and in both files', async (t) => {
  const loops = { data: '127.0.0.2 127.0.0.3', meta: '127.0.0.3' };
  const third = await found(1, { ...loops, node: '127.0.0.3' });
  t.deepEqual(third.ownBlocks, { index: 1, listenHost: '127.0.0.3', port: 5555 });
  t.deepEqual(third.ownMeta, { index: 0, listenHost: '127.0.0.3', port: 5569 });
  const second = await found(1, { ...loops, node: '127.0.0.2' });
  t.is(second.ownMeta, undefined);
  const named = await found(1, { data: 'node3 node1', meta: '10.0.0.3', node: 'NODE3.' });
  t.is(named.ownMeta?.index, 0);
  const ports = { data: 'node3:1 node3:2', meta: 'node3' };
  t.is((await found(3, { ...ports, node: 'node3:2' })).ownBlocks?.index, 1);
  t.is((await found(3, { ...ports, node: 'node3:2' })).ownMeta?.index, 0);
});

test('without --node, the name that a launcher gives this node counts if a hostfile has it', async (t) => {
  const loops = { data: '127.0.0.2 127.0.0.3', meta: '127.0.0.2' };
  const config = await found(1, { ...loops, nodeGuesses: ['elsewhere', '127.0.0.3'] });
  t.is(config.ownBlocks?.index, 1);
  const said = await found(1, { ...loops, nodeGuesses: ['127.0.0.3'], node: '127.0.0.2' });
  t.is(said.ownBlocks?.index, 0);
});

const REFUSED: [string, Written, RegExp][] = [
  ['a hostfile that does not name this node', { data: 'node1 node2', meta: 'node1' }, /^hostfile data does not name this node, which is to serve there; add it, or say with --node/],
  ['several lines of this machine', { data: '127.0.0.2 127.0.0.3', meta: 'node1' }, /^several lines of hostfile data are this machine \(127\.0\.0\.2:5555, 127\.0\.0\.3:5555\); say .* --node$/],
  ['one host twice', { data: 'node3 node1 node3', meta: 'node1' }, /^hostfile data names one server twice, as "node3" and "node3" \(both are 10\.0\.0\.3:5555\); remove one/],
  ['one host by two names', { data: 'node1 node3 same3:5555', meta: 'node1' }, /twice, as "node3" and "same3"/],
  ['one metadata host twice', { data: 'node3 node1', meta: 'node1 10.0.0.1:5569' }, /^hostfile meta names one server twice, as "node1" and "10\.0\.0\.1"/],
  ['a host that does not resolve', { data: 'node3 node77', meta: 'node1' }, /^hostfile data, line 2: "node77" does not resolve \(no such host\)/],
  ['a --node that is in neither file', { data: 'node1 node2', meta: 'node1', node: 'node8' }, /^--node node8 is not in hostfile meta or hostfile data; give a host as it stands there$/],
]; // prettier-ignore
for (const [what, written, message] of REFUSED) {
  test(`${what} is refused in one line`, async (t) => {
    await t.throwsAsync(cluster(3, written), { instanceOf: HostfileError, message });
  });
}

const USAGE: [string, Written, RegExp][] = [
  ['-x beyond the hosts of -a', { data: 'node3', meta: 'node1 node2', metaServerCount: 3 }, /^-x asks for 3 metadata servers, but hostfile meta names 2; give as many/],
  ['-x without -a', { metaServerCount: 2 }, /^-x asks for 2 metadata servers, but there is no metadata hostfile \(-a\); give/],
  ['-d 0 on several nodes without -a', { data: 'node1 node3' }, /^hostfile data names several nodes, but nothing says .* metadata; name them with -a$/],
  ['-d 0 on several nodes without -h', { meta: 'node1 node3' }, /^deployment \(-d\) 0 on several nodes keeps data on the mounting nodes; name them with -h$/],
  ['-d 1 without -a', { deployment: 1, data: 'node3' }, /^deployment \(-d\) 1 needs metadata servers; name their hosts with -a FILE/],
  ['-d 1 without -h', { deployment: 1, meta: 'node3' }, /^deployment \(-d\) 1 on several nodes keeps data/],
  ['-d 2 without -a', { deployment: 2, data: 'node3' }, /^deployment \(-d\) 2 needs metadata servers/],
]; // prettier-ignore
for (const [what, written, message] of USAGE) {
  test(`${what} is wrong usage`, async (t) => {
    await t.throwsAsync(cluster(3, written), { instanceOf: UsageError, message });
  });
}

test('a server binds the address that its line means, and all addresses where that cannot be told', (t) => {
  const network = networkOf(3);
  const bound = (host: string, addresses: string[]): string =>
    listenHostOf({ host, addresses }, network);
  t.is(bound('127.0.0.2', ['127.0.0.2']), '127.0.0.2');
  t.is(bound('node3-ib', ['10.1.0.3']), '10.1.0.3');
  t.is(bound('loop5', ['127.0.0.5']), '127.0.0.5', 'a name of a loopback address');
  t.is(bound('localhost', ['127.0.0.1']), '127.0.0.1');
  t.is(bound('node3', ['127.0.1.1']), '::', "a host's own name in /etc/hosts");
  t.is(bound('outside', ['192.0.2.1']), '::', 'an address that is translated on its way');
  t.is(bound('nowhere', []), '::');
  const onlyIPv4 = { ...network, localAddresses: ['127.0.0.1'] };
  t.is(listenHostOf({ host: 'nowhere', addresses: [] }, onlyIPv4), '0.0.0.0');
});
