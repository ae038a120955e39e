import test from 'ava';
import fc from 'fast-check';
import {
  HostfileError,
  type HostNetwork,
  locateHosts,
  parseHostfile,
  readHostfile,
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

async function local(text: string, self?: string): Promise<boolean[]> {
  const hosts = await locateHosts(parseHostfile(text, 'f'), network, { name: 'f', self });
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

test('--node says which line is this machine', async (t) => {
  t.deepEqual(await local('node4\n10.0.0.5', 'node4'), [true, false]);
  await t.throwsAsync(local('node4', 'node9'), {
    instanceOf: HostfileError,
    message: /--node node9 is not in hostfile f; give a name as it stands there/,
  });
});

test('a name that does not resolve is told with its line', async (t) => {
  await t.throwsAsync(local('localhost\nnode77'), {
    instanceOf: HostfileError,
    message: /hostfile f, line 2: "node77" does not resolve \(no such host\); correct the name/,
  });
});
