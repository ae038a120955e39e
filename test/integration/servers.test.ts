import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { silentLogger } from '../../src/log.ts';
import { clusterStatus, stopServers } from '../../src/meta/cluster-commands.ts';
import { ClusterWaitError } from '../../src/meta/cluster-client.ts';
import { ClusterError, type ClusterRefusal } from '../../src/meta/cluster-errors.ts';
import {
  ADOPT,
  ATTACH,
  HEARTBEAT,
  REGISTER_BLOCKS,
  STATUS,
  WATCH_MAP,
} from '../../src/meta/cluster-protocol.ts';
import { HandshakeError } from '../../src/net/errors.ts';
import { randomId } from '../../src/net/handshake.ts';
import { MetaOpenError } from '../../src/meta/database-file.ts';
import {
  addressesOf,
  BLOCK_LIST,
  joinCluster,
  LAYOUT,
  MOUNT,
  peerOf,
  SECRET,
  startBlocks,
  startMeta,
} from '../support/own-servers.ts';
import { temporaryFolder } from '../unit/meta/helpers.ts';

/** Fails unless `promise` is refused for `reason`; returns what the refusal says. */
async function refused(
  t: ExecutionContext,
  reason: ClusterRefusal,
  promise: Promise<unknown>,
): Promise<string> {
  const error = await t.throwsAsync(promise, { instanceOf: ClusterError });
  t.is(error.reason, reason);
  return error.message;
}

test('the first block server that registers makes a metadata server without a number number 0', async (t) => {
  const meta = await startMeta(t);
  t.is(meta.identity, undefined);
  await startBlocks(t, meta.address);
  t.is(meta.identity?.number, 0);
  const { value } = await peerOf(t, meta.address).call(STATUS, undefined);
  t.like(value, { number: 0, epoch: 1, isCurrent: true, mounts: [] });
  t.deepEqual(
    value.blockServers.map(({ state }) => state),
    ['up', 'awaited'],
  );
});

test('a mount numbers two metadata servers, waits for both block servers and gets the map', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  const told: string[] = [];
  const joining = joinCluster(t, [zero.address, one.address], {
    tell: (line) => told.push(line),
  });
  await startBlocks(t, zero.address, { index: 1 });
  const wanted = `waiting for block server ${BLOCK_LIST[0] ?? ''}`;
  while (!told.includes(wanted)) await new Promise((resolve) => setTimeout(resolve, 20));
  await startBlocks(t, zero.address, { index: 0, threads: 2 });
  const client = await joining;
  t.is(one.identity?.number, 1);
  t.is(one.identity?.clusterId, client.clusterId);
  t.deepEqual(
    client.map.blocks.map(({ life }) => life?.ports.length),
    [2, 1],
  );
  t.deepEqual(client.layout, LAYOUT);
});

test('a metadata server that knows its number from the list learns its file system from number 0', async (t) => {
  const zero = await startMeta(t);
  const addresses = addressesOf(zero, { address: { host: '127.0.0.3', port: 1 } });
  const one = await startMeta(t, {
    listen: { host: '127.0.0.3', port: 0 },
    index: 1,
    metaServers: addresses,
  });
  while (one.identity === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  t.like(one.identity, { number: 1, clusterId: zero.identity?.clusterId });
});

const ADOPT_ZERO = { clusterId: null, number: 0, metaServers: undefined };

test('a metadata server that was told another number says which one it is, and no other is told', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  await peerOf(t, zero.address).call(ADOPT, ADOPT_ZERO);
  const wrong = { ...ADOPT_ZERO, number: 1, clusterId: zero.identity?.clusterId ?? '' };
  await refused(t, 'other-number', peerOf(t, zero.address).call(ADOPT, wrong));
  const message = await refused(t, 'other-number', joinCluster(t, [one.address, zero.address]));
  t.regex(message, /metadata server 1 at 127\.0\.0\.2:\d+ is number 0 of its file system/);
  t.is(one.identity, undefined);
});

test('metadata servers of two file systems are told apart', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  const of = (clusterId: string) => ({ clusterId, number: 1, metaServers: undefined });
  await peerOf(t, one.address).call(ADOPT, of(randomId()));
  const lost = await refused(t, 'other-cluster', joinCluster(t, [zero.address, one.address]));
  t.regex(lost, /metadata server 0 has lost the metadata/);
  t.is(zero.identity, undefined);
  await peerOf(t, zero.address).call(ADOPT, ADOPT_ZERO);
  const several = await refused(t, 'other-cluster', joinCluster(t, [zero.address, one.address]));
  t.regex(several, /of several file systems/);
  await refused(t, 'other-cluster', peerOf(t, zero.address).call(ADOPT, of(randomId())));
});

test('a metadata server that has lost its metadata is not taken for the one that it was', async (t) => {
  const meta = await startMeta(t);
  const peer = peerOf(t, meta.address);
  const adopt = { clusterId: randomId(), number: 0, metaServers: undefined };
  await refused(t, 'other-cluster', peer.call(ADOPT, adopt));
  t.is(meta.identity, undefined);
});

test('mounts that name other metadata servers are refused', async (t) => {
  const zero = await startMeta(t, { index: 0, metaServers: ['127.0.0.2:5569', '127.0.0.3:5569'] });
  const message = await refused(t, 'other-meta-servers', joinCluster(t, [zero.address]));
  t.regex(message, /127\.0\.0\.2:5569, 127\.0\.0\.3:5569/);
});

test('a block server or mount with a hostfile of another list is refused', async (t) => {
  const meta = await startMeta(t);
  await startBlocks(t, meta.address);
  const list = [...BLOCK_LIST].reverse();
  await refused(t, 'other-block-servers', startBlocks(t, meta.address, { index: 1, list }));
  const attach = { ...MOUNT, list: BLOCK_LIST.slice(1) };
  await refused(t, 'other-block-servers', joinCluster(t, [meta.address], { attach }));
});

test('a block server started twice for one place: the living one keeps it', async (t) => {
  const meta = await startMeta(t);
  const living = await startBlocks(t, meta.address);
  const message = await refused(t, 'taken', startBlocks(t, meta.address));
  t.regex(message, new RegExp(`runs already, at 127\\.0\\.0\\.4:${living.shards.address.port}`));
  const { value } = await peerOf(t, meta.address).call(STATUS, undefined);
  t.is(value.blockServers[0]?.life?.incarnation, living.shards.incarnation);
  t.is(value.epoch, 1);
});

test('a living block server keeps its place also when the metadata server has just begun', async (t) => {
  const metadataFile = join(temporaryFolder(t), 'metadata');
  const first = await startMeta(t, { metadataFile });
  const living = await startBlocks(t, first.address);
  await first.stop();
  const second = await startMeta(t, { metadataFile });
  await refused(t, 'taken', startBlocks(t, second.address));
  await living.stop();
  await startBlocks(t, second.address);
  const { value } = await peerOf(t, second.address).call(STATUS, undefined);
  t.is(value.epoch, 2);
});

test('a life that was replaced does not come back', async (t) => {
  const meta = await startMeta(t);
  const former = await startBlocks(t, meta.address);
  const { incarnation, ports } = former.shards;
  await former.stop();
  const later = await startBlocks(t, meta.address);
  const request = {
    clusterId: meta.identity?.clusterId ?? '',
    index: 0,
    list: BLOCK_LIST,
    host: '127.0.0.4',
    ports,
    capacityBytes: 1,
    incarnation,
  };
  const peer = peerOf(t, meta.address);
  await refused(t, 'replaced', peer.call(REGISTER_BLOCKS, request));
  const other = { ...request, clusterId: randomId() };
  await refused(t, 'other-cluster', peer.call(REGISTER_BLOCKS, other));
  const { value } = await peer.call(STATUS, undefined);
  t.is(value.blockServers[0]?.life?.incarnation, later.shards.incarnation);
});

test('the other metadata servers know a new epoch before the new life serves', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  const former = await startBlocks(t, zero.address);
  await startBlocks(t, zero.address, { index: 1 });
  const client = await joinCluster(t, [zero.address, one.address]);
  t.is(client.map.epoch, 1);
  await former.stop();
  await startBlocks(t, zero.address);
  const { value } = await peerOf(t, one.address).call(STATUS, undefined);
  t.is(value.epoch, 2);
  while (client.map.epoch === 1) await client.changedAfter(client.map.version);
  t.is(client.map.epoch, 2);
});

test('a metadata server that is not number 0 relays the map, and answers nothing else of number 0', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  await startBlocks(t, zero.address, { index: 0 });
  await startBlocks(t, zero.address, { index: 1 });
  const client = await joinCluster(t, [zero.address, one.address]);
  const peer = peerOf(t, one.address);
  let { value } = await peer.call(WATCH_MAP, { version: 0, number: undefined });
  while (value.map.version < client.map.version) {
    ({ value } = await peer.call(WATCH_MAP, { version: value.map.version, number: undefined }));
  }
  t.deepEqual(value.map, client.map);
  await refused(t, 'not-the-first', peer.call(ATTACH, MOUNT));
});

test('a metadata server without a number says so to those who do not tell it', async (t) => {
  const meta = await startMeta(t);
  const peer = peerOf(t, meta.address);
  await refused(t, 'no-number', peer.call(ATTACH, MOUNT));
  await refused(t, 'no-number', peer.call(WATCH_MAP, { version: 0, number: undefined }));
  const later = { clusterId: null, number: 1, metaServers: undefined };
  await refused(t, 'no-number', peer.call(ADOPT, later));
  t.like((await peer.call(STATUS, undefined)).value, { number: null, clusterId: null });
});

test('the first mount decides the block size; one that asks for another is refused', async (t) => {
  const meta = await startMeta(t);
  const peer = peerOf(t, meta.address);
  await peer.call(ADOPT, ADOPT_ZERO);
  const small = { ...LAYOUT, blockSizeBytes: 4096 };
  const first = await peer.call(ATTACH, { ...MOUNT, layout: small });
  t.deepEqual(first.value.layout, small);
  const second = await peer.call(ATTACH, MOUNT);
  t.deepEqual(second.value.layout, small);
  const explicit = { ...MOUNT, blockSizeIsExplicit: true };
  const message = await refused(t, 'other-block-size', peer.call(ATTACH, explicit));
  t.regex(message, /4096 bytes, not 1048576/);
});

test('an unknown life has to register before its heartbeats count', async (t) => {
  const meta = await startMeta(t);
  await startBlocks(t, meta.address);
  const report = { usedBytes: 0, datasets: 0, requestsPerSecond: 0, uptimeMs: 0, clients: 0 };
  const { value } = await peerOf(t, meta.address).call(HEARTBEAT, {
    index: 0,
    incarnation: randomId(),
    report,
  });
  t.deepEqual(value, { known: false, stopping: false });
});

test('nothing is stopped while there is a mount, which is named; afterwards all servers end', async (t) => {
  const zero = await startMeta(t);
  const one = await startMeta(t, { listen: { host: '127.0.0.3', port: 0 } });
  const blocks = [
    await startBlocks(t, zero.address, { index: 0 }),
    await startBlocks(t, zero.address, { index: 1 }),
  ];
  const metaServers = [zero.address, one.address];
  const client = await joinCluster(t, metaServers);
  const options = { metaServers, secret: SECRET, waitMs: 10_000, logger: silentLogger };
  const message = await refused(t, 'in-use', stopServers({ ...options, force: false }));
  t.true(message.includes(MOUNT.name));
  await client.close();
  const stopped = await stopServers({ ...options, force: false });
  t.true(stopped.ended);
  t.deepEqual(stopped.servers, [...BLOCK_LIST, ...addressesOf(zero, one)]);
  for (const server of [zero, one, ...blocks])
    t.deepEqual(await server.ended, { reason: 'stopped' });
});

test('with force, the servers are stopped although there is a mount, which is told', async (t) => {
  const meta = await startMeta(t);
  const block = await startBlocks(t, meta.address, { list: BLOCK_LIST.slice(0, 1) });
  const client = await joinCluster(t, [meta.address], {
    attach: { ...MOUNT, list: undefined },
  });
  const options = { metaServers: [meta.address], secret: SECRET, waitMs: 10_000 };
  const stopped = await stopServers({ ...options, logger: silentLogger, force: true });
  t.true(stopped.ended);
  t.deepEqual(await block.ended, { reason: 'stopped' });
  t.true(client.stopping);
});

test('status tells of servers that answer and of those that do not', async (t) => {
  const meta = await startMeta(t);
  const gone = await startMeta(t);
  await gone.stop();
  const [first, second] = await clusterStatus({
    metaServers: [meta.address, gone.address],
    secret: SECRET,
    waitMs: 3000,
    logger: silentLogger,
  });
  t.is(first?.status?.pid, process.pid);
  t.is(second?.status, undefined);
  t.regex(second?.error?.message ?? '', /ECONNREFUSED/);
});

test('a wrong secret is a clear error for block servers and mounts, at once', async (t) => {
  const meta = await startMeta(t);
  const secret = Buffer.alloc(32, 1);
  for (const attempt of [
    startBlocks(t, meta.address, { secret }),
    joinCluster(t, [meta.address], { secret }),
  ]) {
    const error = await t.throwsAsync(attempt, { instanceOf: HandshakeError });
    t.is(error.kind, 'secret');
    t.regex(error.message, /--secret-file/);
  }
  const insecure = joinCluster(t, [meta.address], { secret: undefined });
  t.is((await t.throwsAsync(insecure, { instanceOf: HandshakeError })).kind, 'insecure');
});

test('a mount gives up after its time and names who is missing', async (t) => {
  const meta = await startMeta(t);
  const blocks = joinCluster(t, [meta.address], { waitMs: 5000 });
  const missing = await t.throwsAsync(blocks, { instanceOf: ClusterWaitError });
  t.regex(
    missing.message,
    /^block servers 127\.0\.0\.4:5555, 127\.0\.0\.5:5555 did not come in time/,
  );
  await meta.stop();
  const nobody = joinCluster(t, [meta.address], { waitMs: 300 });
  const away = await t.throwsAsync(nobody, { instanceOf: ClusterWaitError });
  t.regex(
    away.message,
    /^metadata server 0 at 127\.0\.0\.2:\d+ did not come in time \(.*ECONNREFUSED/,
  );
});

test('a metadata file of another number of the list is refused, and stays as it was', async (t) => {
  const metadataFile = join(temporaryFolder(t), 'metadata');
  const first = await startMeta(t, { metadataFile, index: 0 });
  const { clusterId } = first.identity ?? { clusterId: '' };
  await t.throwsAsync(startMeta(t, { metadataFile }), {
    instanceOf: MetaOpenError,
    message: /in use/,
  });
  await first.stop();
  await t.throwsAsync(startMeta(t, { metadataFile, index: 1, metaServers: ['a:1', 'b:1'] }), {
    message: /is of metadata server 0, and this is number 1/,
  });
  const again = await startMeta(t, { metadataFile });
  t.deepEqual({ ...again.identity }, { ...again.identity, clusterId, number: 0 });
});
