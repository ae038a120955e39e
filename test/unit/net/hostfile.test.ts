import test from 'ava';
import fc from 'fast-check';
import {
  HostfileError,
  type HostNetwork,
  formatAddress,
  locateHosts,
  parseHostList,
  parseHostfile,
  readHostfile,
  sameHost,
} from '../../../src/net/hostfile.ts';

function parsed(text: string): [string, number | undefined][] {
  return parseHostfile(text, './hosts').map((host) => [host.host, host.port]);
}

test('a hostfile has one host per line, with comments and blank lines between', (t) => {
  t.deepEqual(
    parseHostfile('# nodes\n\nnode3\r\n  node4:6000  # second\n10.0.0.1:1\n', 'f').map((host) => [
      host.host,
      host.port,
      host.line,
    ]),
    [
      ['node3', undefined, 3],
      ['node4', 6000, 4],
      ['10.0.0.1', 1, 5],
    ],
  );
});

test('IPv6 addresses take a port in brackets only', (t) => {
  t.deepEqual(parsed('[::1]:5555\n[fe80::1%eth0]\n2001:db8::5:80\n'), [
    ['::1', 5555],
    ['fe80::1%eth0', undefined],
    ['2001:db8::5:80', undefined],
  ]);
});

const REFUSED: [string, RegExp][] = [
  ['', /hostfile \.\/hosts names no host; write one host\[:port\] per line/],
  ['# only\n  \n', /names no host/],
  ['a\nb:0', /line 2: port "0" is not valid; give 1 to 65535/],
  ['a:65536', /line 1: port "65536" is not valid/],
  ['a:http', /port "http" is not valid/],
  ['a:', /port "" is not valid/],
  ['a b', /"a b" is no host/],
  [':5555', /is no host/],
  ['[node]:1', /"node" is no IPv6 address; brackets are for IPv6 addresses only/],
  ['300.1.2.3', /is no host name/],
  ['bad/name', /is no host name/],
  ['[::1', /is no host/],
];
for (const [text, message] of REFUSED) {
  test(`hostfile ${JSON.stringify(text)} is refused in one line`, (t) => {
    const error = t.throws(() => parseHostfile(text, './hosts'), {
      instanceOf: HostfileError,
      message,
    });
    t.false(error.message.includes('\n'));
  });
}

test('whatever a hostfile holds, it is parsed or refused with a HostfileError of one line', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        t.true(parseHostfile(text, 'f').length > 0);
      } catch (error) {
        t.true(error instanceof HostfileError);
        t.false((error as Error).message.includes('\n'));
      }
    }),
  );
});

test('a hostfile that cannot be read is told as such', async (t) => {
  await t.throwsAsync(readHostfile('/nowhere/hosts', './hosts'), {
    instanceOf: HostfileError,
    message: /cannot read hostfile \.\/hosts: it does not exist; give the path/,
  });
  await t.throwsAsync(readHostfile('/', '/'), { message: /it is a directory/ });
});

const network: HostNetwork = {
  hostname: 'node3.cluster.example',
  localAddresses: ['127.0.0.1', '10.0.0.3', 'fe80::3%eth0', '2001:DB8::3'],
  lookup: (host) => {
    const known: Partial<Record<string, string[]>> = {
      node4: ['10.0.0.4'],
      alias3: ['2001:db8:0:0::3'],
      mapped3: ['::ffff:10.0.0.3'],
      loop: ['127.0.1.1'],
    };
    const found = known[host];
    if (found !== undefined) return Promise.resolve(found);
    return Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }));
  },
};

async function local(text: string, known?: string): Promise<boolean[]> {
  const list = { name: 'hostfile f', lines: parseHostfile(text, 'f') };
  const hosts = await locateHosts(list, network, known);
  return hosts.map((host) => host.thisMachine);
}

test('this machine is known by localhost, by its long and short name, and by its addresses', async (t) => {
  t.deepEqual(
    await local(
      'localhost\nnode3\nNODE3.cluster.example\n127.9.9.9\n[::1]:1\n10.0.0.3\n2001:db8::3\nalias3\nmapped3\nloop\n[fe80::3%eth0]',
    ),
    Array<boolean>(11).fill(true),
  );
});

test('other machines are known by their addresses', async (t) => {
  t.deepEqual(await local('node4\n10.0.0.5\nnode3'), [false, false, true]);
});

test('a name that does not resolve is told with its line', async (t) => {
  await t.throwsAsync(local('localhost\nnode77'), {
    instanceOf: HostfileError,
    message: /hostfile f, line 2: "node77" does not resolve \(no such host\); correct the name/,
  });
});

test('a name that is known to be right need not resolve here', async (t) => {
  t.deepEqual(await local('node4\nnode77', 'NODE77.'), [false, false]);
});

test('a list in one argument is read as a hostfile is', (t) => {
  t.deepEqual(parseHostList('node1, [::1]:5570,node2:1,', '--meta-hosts'), {
    name: '--meta-hosts',
    lines: [
      { host: 'node1', port: undefined, line: 1 },
      { host: '::1', port: 5570, line: 2 },
      { host: 'node2', port: 1, line: 3 },
    ],
  });
  for (const [text, message] of [
    ['', /^--meta-hosts names no host; write host\[:port\], separated by commas$/],
    ['a,b:0', /^--meta-hosts: port "0" is not valid; give 1 to 65535$/],
  ] as const) {
    t.throws(() => parseHostList(text, '--meta-hosts'), { instanceOf: HostfileError, message });
  }
});

test('a name of an argument that does not resolve is told without a line', async (t) => {
  await t.throwsAsync(locateHosts(parseHostList('node77', '--meta-hosts'), network), {
    instanceOf: HostfileError,
    message: /^--meta-hosts: "node77" does not resolve \(no such host\); correct the name/,
  });
});

test('hosts are the same in every spelling, and IPv6 takes brackets before a port', (t) => {
  t.true(sameHost('Node1.', 'node1'));
  t.true(sameHost('2001:DB8:0:0::1', '2001:db8::1'));
  t.false(sameHost('node1', 'node2'));
  t.is(formatAddress('node1', 5555), 'node1:5555');
  t.is(formatAddress('fe80::1%eth0', 5555), '[fe80::1%eth0]:5555');
});
