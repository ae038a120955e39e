/** What goes wrong between nodes of one file system: each a clear error of one line, and nothing is lost. */
import { connect } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { type Cluster, withCluster } from '../../support/cluster.ts';
import { IMSSFS, skipsMounts } from '../../support/mount.ts';
import { run, type RunResult } from '../../support/run.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;
const LIMIT_MS = 60_000;
const KEPT = 'kept';

/** The end of what a command said: one line with cause and remedy. */
function lastLine({ stderr }: RunResult): string {
  return stderr.trimEnd().split('\n').at(-1) ?? '';
}

async function isRefused(
  t: ExecutionContext,
  outcome: Promise<RunResult>,
  expected: { status: number; message: RegExp },
): Promise<void> {
  const result = await outcome;
  t.false(result.timedOut);
  t.is(result.status, expected.status, result.stderr);
  t.regex(lastLine(result), expected.message);
  t.notRegex(result.stderr, /^\s+at /m);
}

/** Runs `body` on one mount with a file, which is there afterwards as it was before. */
async function nothingLost(
  t: ExecutionContext,
  body: (cluster: Cluster, spare: string) => Promise<void>,
): Promise<void> {
  await withCluster(t, { meta: 2, blocks: 2, mounts: 2 }, async (cluster) => {
    const content = Buffer.alloc(3 * 2 ** 20, 'content');
    writeFileSync(cluster.at(0, KEPT), content);
    await cluster.unmount(1);
    await body(cluster, cluster.at(1));
    const again = await cluster.mount(1);
    t.is(again.status, 0, again.stderr);
    t.true(readFileSync(cluster.at(1, KEPT)).equals(content));
  });
}

function addressesOf(servers: readonly { address: string }[]): string[] {
  return servers.map(({ address }) => address);
}

clusterTest('mounts that contradict the file system are refused in one line', async (t) => {
  await nothingLost(t, async (cluster, spare) => {
    const [first = '', second = ''] = addressesOf(cluster.metaServers);
    const { servers } = cluster;
    const secret = ['--secret-file', servers.file('secret')];
    const mount = (...args: string[]): Promise<RunResult> =>
      run(IMSSFS, ['-d', '2', ...secret, '--wait', '2', ...args, spare], { timeoutMs: LIMIT_MS });
    const blocks = ['-h', servers.file('hostfile')];
    const both = ['--meta-hosts', `${first},${second}`];
    const other = servers.file('other_hostfile');
    writeFileSync(other, addressesOf(cluster.blockServers).reverse().join('\n'));
    const twice = servers.file('twice');
    writeFileSync(twice, `${first}\n${first}:5555\n`);

    const refused = (args: string[], status: number, message: RegExp): Promise<void> =>
      isRefused(t, mount(...args), { status, message });
    await refused([...both, ...blocks, '-b', '64K'], 1, /blocks of \d+ bytes, not 65536: give -b/);
    await refused([...both, '-h', other], 1, /block servers are .*: give the same hostfile/);
    await refused([...both, '-h', twice], 1, /names one server twice/);
    await refused(['--meta-hosts', `${second},${first}`], 1, /name the metadata servers .* order/);
    await refused(['--meta-hosts', first], 1, /give the same -a and -x everywhere/);
    await refused([...both, '-x', '3'], 2, /-x asks for 3 metadata servers/);
    await refused(['--meta-hosts', `${first}:9,${second}`], 1, /did not come in time .*correct -a/);
    const [blockServer = ''] = addressesOf(cluster.blockServers);
    await refused(
      ['--meta-hosts', `${blockServer}:5555,${second}`],
      1,
      /is a block server, but a metadata server was wanted; check the ports/,
    );
  });
});

/** Sends bytes to a port, and resolves when the server has closed the connection. */
function sendTo(host: string, port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve();
    });
    socket.resume();
  });
}

clusterTest('garbage and half frames at every port close that connection alone', async (t) => {
  await nothingLost(t, async (cluster) => {
    const half = Buffer.from('494d53530103', 'hex');
    const garbage = [Buffer.from('GET / HTTP/1.0\r\n\r\n'), Buffer.alloc(4096, 0xa5), half];
    const ports = [
      ...cluster.metaServers.map(({ address }) => [address, 5569] as const),
      ...cluster.blockServers.map(({ address }) => [address, 5555] as const),
    ];
    await Promise.all(
      ports.flatMap(([host, port]) => garbage.map((bytes) => sendTo(host, port, bytes))),
    );
    const status = await run(IMSSFS, ['status', ...cluster.servers.clusterArgs, '--json']);
    t.is(status.status, 0, status.stderr);
    for (const server of [...cluster.metaServers, ...cluster.blockServers]) {
      t.is(server.process?.exitCode, null);
      const log = readFileSync(cluster.servers.file(`${server.kind}${server.index}.log`), 'utf8');
      const told = log.split('\n').filter((line) => line.includes('"level":40'));
      t.true(told.length >= 1 && told.length <= garbage.length, log);
    }
  });
});
