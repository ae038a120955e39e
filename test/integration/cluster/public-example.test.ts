/**
 * The example set-up of the public description: two metadata nodes, two data nodes, two clients, servers started by its
 * positional forms. Once on loopback addresses that stand for nodes, once on nodes with a network and names of their own.
 */
import test, { type ExecutionContext } from 'ava';
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  IMSSFS,
  isRoot,
  logTail,
  skipsMounts,
  UMOUNT_IMSS,
  withFolder,
} from '../../support/mount.ts';
import { run, runOk } from '../../support/run.ts';

const TEST_MS = 120_000;
const READY_MS = 60_000;
const NODES = ['node1', 'node2', 'node3', 'node4', 'client1', 'client2'] as const;
const CLIENTS = ['client1', 'client2'] as const;
type Node = (typeof NODES)[number];

const META_LINE = './metadata 5569 0';
const DATA_LINE = (metaHost: string): string => `imss:// 5555 0 ${metaHost} 5569 4 ./hostfile 1`;
/** The public mount line with both services detached, and less memory. */
const MOUNT_LINE =
  '-p 5555 -m 5569 -M ./metadata -h ./hostfile -b 1000000 -r imss:// -a ./stat_hostfile -S 100000000 -d 2 -B 1048576000 -l';

/** How things are run on nodes. */
interface Site {
  readonly folder: string;
  /** What stands for the node in hostfiles. */
  readonly nameOf: (node: Node) => string;
  /** Program and arguments that run `imssfs` and the like on a node. */
  readonly on: (node: Node, command: readonly string[]) => readonly string[];
  readonly envOf: (node: Node) => Record<string, string>;
}

class Started {
  readonly #children: ChildProcess[] = [];
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Resolves at the line that says it is ready; its working directory is the node's own. */
  async server(node: Node, words: string): Promise<void> {
    const { on, envOf, folder } = this.#site;
    const [file = '', ...args] = on(node, [IMSSFS, 'server', ...words.split(' ')]);
    const child = spawn(file, args, {
      cwd: join(folder, node),
      env: { ...process.env, ...envOf(node) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      let said = '';
      const fail = (why: string): void => {
        reject(new Error(`${node}: imssfs server ${words} ${why}\n${said}`));
      };
      const timer = setTimeout(fail, READY_MS, 'is not ready in time');
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (/^ready: /m.test(said)) resolve();
      });
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.once('exit', (status) => {
        clearTimeout(timer);
        fail(`ended with ${String(status)}`);
      });
    });
  }

  /** Exit codes after SIGTERM. */
  async stop(): Promise<(number | null)[]> {
    return await Promise.all(
      this.#children.map(
        (child) =>
          new Promise<number | null>((resolve) => {
            child.once('exit', resolve);
            child.kill('SIGTERM');
          }),
      ),
    );
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

function prepare({ folder, nameOf }: Site): void {
  const lines = (nodes: readonly Node[]): string =>
    nodes.map((node) => `${nameOf(node)}\n`).join('');
  for (const node of NODES) {
    mkdirSync(join(folder, node, 'mnt'), { recursive: true });
    writeFileSync(join(folder, node, 'hostfile'), lines(['node3', 'node4']));
    writeFileSync(join(folder, node, 'stat_hostfile'), lines(['node1', 'node2']));
  }
}

/** What the public description does, and that a file of one client is there for the other. */
async function runExample(t: ExecutionContext, site: Site): Promise<void> {
  prepare(site);
  const { folder, on, envOf, nameOf } = site;
  const command = async (node: Node, words: readonly string[]): Promise<string> => {
    const [file = '', ...args] = on(node, words);
    const cwd = join(folder, node);
    const options = { cwd, env: envOf(node), timeoutMs: READY_MS };
    return (await runOk(file, args, options)).stdout;
  };
  const started = new Started(site);
  const log = (node: Node): string => join(folder, `${node}.log`);
  try {
    await Promise.all([
      ...(['node1', 'node2'] as const).map((node) => started.server(node, META_LINE)),
      ...(['node3', 'node4'] as const).map((node) =>
        started.server(node, DATA_LINE(nameOf('node1'))),
      ),
      ...CLIENTS.map((node) =>
        command(node, [IMSSFS, ...MOUNT_LINE.split(' '), './mnt', '--log-file', log(node)]),
      ),
    ]);
    // Over the mounts as processes of the nodes see them.
    await command('client1', ['sh', '-c', 'mkdir mnt/d && seq 1000000 > mnt/d/numbers']);
    const sum = async (node: Node): Promise<string> =>
      (await command(node, ['sh', '-c', 'cat mnt/d/numbers | md5sum'])).trim();
    t.is(await sum('client2'), await sum('client1'));
    t.is(await command('client2', ['sh', '-c', 'wc -l < mnt/d/numbers']), '1000000\n');
    const info = await command('client2', [IMSSFS, 'info', '--json', './mnt/d/numbers']);
    const { blocks } = JSON.parse(info) as { blocks: { server: number }[] };
    t.deepEqual([...new Set(blocks.map(({ server }) => server))].sort(), [0, 1]);
    for (const node of CLIENTS) await command(node, [UMOUNT_IMSS, './mnt']);
    t.deepEqual(await started.stop(), [0, 0, 0, 0]);
  } catch (error) {
    for (const node of CLIENTS) t.log(`${node}:\n${logTail(log(node))}`);
    throw error;
  } finally {
    started.kill();
  }
}

(skipsMounts ? test.skip : test.serial)(
  'the public example runs on loopback addresses that stand for its nodes',
  async (t) => {
    t.timeout(2 * TEST_MS);
    const network = `127.${16 + (process.pid % 40)}.${1 + (Math.floor(process.pid / 40) % 254)}`;
    await withFolder(TEST_MS, async (folder) => {
      const nameOf = (node: Node): string => `${network}.${2 + NODES.indexOf(node)}`;
      const isServer = (node: Node): boolean => node.startsWith('node');
      await runExample(t, {
        folder,
        nameOf,
        on: (_, command) => command,
        envOf: (node) => ({ HOME: folder, ...(isServer(node) && { IMSSFS_NODE: nameOf(node) }) }),
      });
    });
  },
);

function whyNoNamespaces(): string | undefined {
  if (skipsMounts) return 'mounts are left out';
  if (!isRoot) return 'needs root';
  const hasIp = ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'].some((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return hasIp ? undefined : 'needs ip of iproute2';
}

async function ip(words: string): Promise<void> {
  await runOk('ip', words.split(' '));
}

/** A process that keeps the mounts, names and network of a node as long as it runs. */
async function holder(namespace: string): Promise<ChildProcess> {
  const script = 'echo here; read -r line';
  const child = spawn('ip', ['netns', 'exec', namespace, 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => {
      resolve();
    });
    child.once('exit', (status) => {
      reject(new Error(`ip netns exec ${namespace} ended with ${String(status)}`));
    });
  });
  return child;
}

/** One network namespace for each node, joined by a bridge in one more; all removed whatever happens. */
async function withNetwork(body: (pidOf: (node: Node) => number) => Promise<void>): Promise<void> {
  const prefix = `imssfs-${process.pid}`;
  const namespaceOf = (node: Node): string => `${prefix}-${node}`;
  const hub = `${prefix}-hub`;
  const all = [hub, ...NODES.map(namespaceOf)];
  const holders = new Map<Node, ChildProcess>();
  const hosts = NODES.map((node, index) => `10.89.7.${1 + index} ${node}\n`).join('');
  try {
    await ip(`netns add ${hub}`);
    await ip(`-n ${hub} link add hub type bridge`);
    await ip(`-n ${hub} link set hub up`);
    for (const [index, node] of NODES.entries()) {
      const namespace = namespaceOf(node);
      await ip(`netns add ${namespace}`);
      await ip(`-n ${hub} link add ${node} type veth peer name eth0 netns ${namespace}`);
      await ip(`-n ${hub} link set ${node} master hub up`);
      await ip(`-n ${namespace} address add 10.89.7.${1 + index}/24 dev eth0`);
      await ip(`-n ${namespace} link set lo up`);
      await ip(`-n ${namespace} link set eth0 up`);
      mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
      writeFileSync(`/etc/netns/${namespace}/hosts`, `127.0.0.1 localhost\n${hosts}`);
      holders.set(node, await holder(namespace));
    }
    await body((node) => holders.get(node)?.pid ?? 0);
  } finally {
    for (const child of holders.values()) child.kill('SIGKILL');
    for (const namespace of all) {
      await run('ip', ['netns', 'delete', namespace]);
      rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true });
    }
    await run('rmdir', ['--ignore-fail-on-non-empty', '/etc/netns']);
  }
}

const whyNot = whyNoNamespaces();
(whyNot === undefined ? test.serial : test.skip)(
  `the public example runs as written on nodes with networks and names of their own${whyNot === undefined ? '' : ` (${whyNot})`}`,
  async (t) => {
    t.timeout(3 * TEST_MS);
    await withFolder(TEST_MS, async (folder) => {
      await withNetwork(async (pidOf) => {
        const enter = ['-m', '-n', '--', 'sh', '-c', 'cd "$0" && exec "$@"'];
        await runExample(t, {
          folder,
          nameOf: (node) => node,
          on: (node, command) => [
            ...['nsenter', '-t', String(pidOf(node)), ...enter, join(folder, node)],
            ...command,
          ],
          envOf: () => ({ HOME: folder }),
        });
      });
    });
  },
);
