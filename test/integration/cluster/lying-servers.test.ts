/** A mount whose servers answer nonsense at times: what was asked fails, and the mount goes on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { MetaServer } from '../../../src/cli/meta-server.ts';
import { ADOPT, ATTACH, WATCH_MAP } from '../../../src/meta/cluster-protocol.ts';
import type { ServerMap } from '../../../src/meta/server-map.ts';
import { type Address, formatAddress } from '../../../src/net/call.ts';
import { FrameKind, HEADER_BYTES, writeHeader } from '../../../src/net/frame.ts';
import { encodeFrame } from '../../../src/net/message.ts';
import { OPERATION_CODES } from '../../../src/net/operation.ts';
import {
  type Falsifier,
  failureWith,
  type LyingProxy,
  type PassingReply,
  replyWith,
  startLyingProxy,
} from '../../support/lying-proxy.ts';
import { lieAbout } from '../../support/malformed.ts';
import {
  IMSSFS,
  logTail,
  skipsMounts,
  UMOUNT_IMSS,
  whyNoMounts,
  withFolder,
} from '../../support/mount.ts';
import { ALL_OPERATIONS, BLOCK_OPERATIONS, META_OPERATIONS } from '../../support/operations.ts';
import { BLOCK_LIST, SECRET, startBlocks, startMeta } from '../../support/own-servers.ts';
import { chance } from '../../support/pattern.ts';
import { describe, run, runOk } from '../../support/run.ts';

const mountTest = skipsMounts ? test.skip : test.serial;
const WORKER = fileURLToPath(new URL('../../support/use-everything.js', import.meta.url));
const START_MS = 60_000;
const TEST_MS = 240_000;
const ROUNDS = 12;
/** Of a hundred replies so many are lies; of those to operations that no lie was told about yet, a few times, so many. */
const LIES_IN_A_HUNDRED = 3;
const FIRST_LIES_IN_A_HUNDRED = 50;
const FIRST_LIES = 3;
const STATUSES = [2, 5, 38, 512, 4095, 4096, 4111, 4112, 4113, 4160, 4999, 2 ** 32 - 1];

/** What no mount asks for: what only servers do, and what a mount that starts or ends asks for once. */
const NOT_BY_MOUNTS = ['free', 'directoryAt', 'closeSession', 'reopen'];

interface Setting {
  readonly folder: string;
  readonly mount: string;
  readonly proxies: readonly LyingProxy[];
  /** Runs the worker in a folder of the mount; what its calls failed with. */
  readonly use: (name: string, rounds: number) => Promise<Record<string, number>>;
}

/** Two metadata servers, two block servers and one mount, which reaches all of them through proxies. */
async function withLyingServers(
  t: ExecutionContext,
  body: (setting: Setting) => Promise<void>,
): Promise<void> {
  const obstacle = whyNoMounts();
  if (obstacle !== undefined) throw new Error(obstacle);
  t.timeout(TEST_MS + START_MS);
  const metas = await Promise.all([startLyingProxy(t), startLyingProxy(t)]);
  const blocks = await Promise.all(BLOCK_LIST.map(() => startLyingProxy(t)));
  const metaServers = metas.map(({ address }) => formatAddress(address));
  const servers: MetaServer[] = [];
  for (const [index, proxy] of metas.entries()) {
    const listen = { host: `127.0.0.${2 + index}`, port: 0 };
    const server = await startMeta(t, { listen, index, metaServers });
    proxy.target = server.address;
    servers.push(server);
  }
  const [first] = servers;
  if (first === undefined) throw new Error('no metadata server');
  const registered = BLOCK_LIST.map((_, index) => startBlocks(t, first.address, { index }));
  tellTheTruth({ metas, blocks });
  await withFolder(TEST_MS, async (folder) => {
    const mount = join(folder, 'mnt');
    mkdirSync(mount);
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const log = join(folder, 'imssfs.log');
    const args = ['-d', '2', '--meta-hosts', metaServers.join(), '--log-file', log];
    args.push('-h', file('hostfile', BLOCK_LIST.join('\n')));
    args.push('--secret-file', file('secret', `${SECRET.toString('hex')}\n`), mount);
    try {
      const [result] = await Promise.all([
        run(IMSSFS, args, { timeoutMs: START_MS }),
        ...registered,
      ]);
      t.is(result.status, 0, describe(result));
      await body({
        folder,
        mount,
        proxies: [...metas, ...blocks],
        use: async (name, rounds) => {
          const worker = [WORKER, join(mount, name), String(rounds)];
          const { stdout } = await runOk(process.execPath, worker, { timeoutMs: TEST_MS });
          return JSON.parse(stdout) as Record<string, number>;
        },
      });
      await runOk(UMOUNT_IMSS, [mount]);
    } catch (error) {
      t.log(logTail(log));
      throw error;
    }
  });
}

/** Nothing is changed but the addresses of the block servers, which become those of their proxies. */
function tellTheTruth({ metas, blocks }: Record<'metas' | 'blocks', LyingProxy[]>): void {
  const reroute = (map: ServerMap): ServerMap => ({
    ...map,
    blocks: map.blocks.map((member, index) => {
      const { life } = member;
      const proxy = blocks[index];
      if (life === undefined || proxy === undefined) return member;
      proxy.target = { host: life.host, port: life.ports[0] ?? 0 } satisfies Address;
      const { host, port } = proxy.address;
      return { ...member, life: { ...life, host, ports: [port] } };
    }),
  });
  const reroutes = ({ header, args }: PassingReply): unknown => {
    if (header.status !== 0) return undefined;
    const operation = [ADOPT, ATTACH, WATCH_MAP].find(({ code }) => code === header.operation);
    if (operation === undefined) return undefined;
    const answer = operation.reply.decode(args);
    return operation.reply.encode({ ...answer, map: reroute(answer.map) } as never);
  };
  for (const proxy of metas) {
    proxy.falsify = (reply) => {
      const args = reroutes(reply);
      return args === undefined ? undefined : replyWith(reply, args);
    };
  }
}

function isAboutFiles({ header }: PassingReply): boolean {
  return [OPERATION_CODES.blocks, OPERATION_CODES.meta].some(
    ([first, last]) => header.operation >= first && header.operation <= last,
  );
}

/** One of the ways in which a reply can be wrong. */
function lieFor(reply: PassingReply, choose: (limit: number) => number): readonly Buffer[] {
  const { header, args, payload } = reply;
  switch (choose(12)) {
    case 0:
      return failureWith(reply, STATUSES[choose(STATUSES.length)] ?? 5, args);
    case 1:
      return [encodeFrame(header, args, payload.length + 999), payload, Buffer.alloc(999)];
    case 2:
      return replyWith({ ...reply, payload: payload.subarray(payload.length >> 1) }, args);
    case 3: {
      const noMsgpack = Buffer.alloc(HEADER_BYTES + 3, 0xc1);
      writeHeader(noMsgpack, header, payload.length);
      return [noMsgpack, payload];
    }
    case 4:
      return [encodeFrame({ ...header, requestId: 2 ** 32 - 1 }, args), ...replyWith(reply, args)];
    case 5:
      // The connection is of no use after that, and is made anew.
      if (choose(8) > 0) return failureWith(reply, 5, null);
      return [encodeFrame({ ...header, kind: FrameKind.REQUEST }, args), payload];
    default:
      return replyWith(reply, lieAbout(args, choose).raw);
  }
}

mountTest('nonsense from servers fails what was asked, and the mount goes on', async (t) => {
  const seed = Number(process.env['IMSSFS_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`IMSSFS_TEST_SEED=${seed}`);
  const choose = chance(seed);
  const told = new Map<number, number>();
  await withLyingServers(t, async ({ proxies, use }) => {
    t.deepEqual(await use('before', 1), {}, 'nothing fails as long as the truth is told');
    const honest = proxies.map(({ falsify }) => falsify);
    for (const [index, proxy] of proxies.entries()) {
      const truth: Falsifier = honest[index] ?? (() => undefined);
      proxy.falsify = (reply) => {
        const { operation } = reply.header;
        const lies = told.get(operation) ?? 0;
        const often = lies < FIRST_LIES ? FIRST_LIES_IN_A_HUNDRED : LIES_IN_A_HUNDRED;
        if (!isAboutFiles(reply) || choose(100) >= often) return truth(reply);
        told.set(operation, lies + 1);
        return lieFor(reply, choose);
      };
    }
    const failures = await use('during', ROUNDS);
    t.log(failures);
    t.true((failures['EIO'] ?? 0) > 0, 'something was refused with EIO');
    for (const [index, proxy] of proxies.entries()) {
      proxy.falsify = honest[index] ?? (() => undefined);
    }
    t.deepEqual(await use('after', 2), {}, 'nothing fails once the truth is told again');
  });
  const untold = [...BLOCK_OPERATIONS, ...META_OPERATIONS]
    .filter(({ code, name }) => !told.has(code) && !NOT_BY_MOUNTS.includes(name))
    .map(({ name }) => name);
  t.log(`no lie was told about ${untold.join(', ') || 'nothing'}`);
  t.true(told.size > (BLOCK_OPERATIONS.length + META_OPERATIONS.length) / 2, untold.join());
});

/** Changes the arguments of an answer; they are as docs/protocol.md lists them. */
type Poison = (args: unknown[]) => unknown;

/** Where a record has what. */
const Field = { INODE: 0, MODE: 1, LAYOUT: 16, HOME: 18 } as const;
const REGULAR_FILE = 0o100644;

function withLayout(record: unknown[], layout: readonly unknown[]): unknown[] {
  return record.with(Field.LAYOUT, layout).with(Field.HOME, 99);
}

/** What would be taken at its word, by operation. */
const POISONS: readonly (readonly [operation: string, what: string, poison: Poison])[] = [
  ['open', 'another inode', (record) => record.with(Field.INODE, 12_345)],
  ['inode', 'another inode', (record) => record.with(Field.INODE, 12_345)],
  ['inode', 'a directory that is a file', (record) => record.with(Field.MODE, REGULAR_FILE)],
  ['create', 'blocks of one byte', (record) => withLayout(record, ['RR', 1, 1])],
  ['create', 'a home that is none', (record) => withLayout(record, ['LOCAL', 2 ** 20, 1])],
  ['open', 'a home that is none', (record) => withLayout(record, ['LOCAL', 2 ** 20, 1])],
  [
    'list',
    'a name without letters',
    ([directory, upTo, entries, isLast]) => [
      directory,
      upTo,
      (entries as unknown[][]).map((entry) => entry.with(0, Buffer.alloc(0))),
      isLast,
    ],
  ],
  ['list', 'more to come, for ever', ([directory, upTo]) => [directory, upTo, [], false]],
  ['truncate', 'no truncation', (attributes) => attributes.slice(0, -1)],
  ['map', 'blocks that never come to an end', (map) => map.with(0, 1).with(1, 0)],
  ['map', 'data behind the end of its block', (map) => map.with(3, [[1, [0, 2 ** 40]]])],
];

mountTest('answers that cannot be true end neither the mount nor the patience', async (t) => {
  await withLyingServers(t, async ({ proxies, use }) => {
    const honest = proxies.map(({ falsify }) => falsify);
    for (const [number, [name, what, poison]] of POISONS.entries()) {
      const code = ALL_OPERATIONS.find((operation) => operation.name === name)?.code;
      let poisoned = 0;
      for (const [index, proxy] of proxies.entries()) {
        proxy.falsify = (reply) => {
          const isMeant = reply.header.operation === code && reply.header.status === 0;
          if (!isMeant) return honest[index]?.(reply);
          poisoned++;
          return replyWith(reply, poison(reply.args as unknown[]));
        };
      }
      t.notDeepEqual(await use(`poison${number}`, 1), {}, `${name} tells of ${what}`);
      t.true(poisoned > 0, `${name} was asked`);
      for (const [index, proxy] of proxies.entries()) {
        proxy.falsify = honest[index] ?? (() => undefined);
      }
      t.deepEqual(await use(`antidote${number}`, 1), {}, `after ${name} told of ${what}`);
    }
  });
});
