/** KernelDevice over a real descriptor: a socket pair for the messages, the kernel's /dev/fuse for the connection. */
import { closeSync, readSync, writeSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { DeviceGoneError, KernelDevice } from '../../src/fs/fuse/device.ts';
import { HEAD_BYTES } from '../../src/fs/fuse/request.ts';
import { makeNonBlocking } from '../../src/fs/fuse/fusermount.ts';
import { libc } from '../../src/fs/fuse/libc.ts';
import { mountFuse } from '../../src/fs/fuse/mount.ts';
import { abortConnection, unmountPath } from '../../src/fs/fuse/unmount.ts';
import { describeHolders, findHolders } from '../../src/fs/holders.ts';
import { mountState, recoverDeadMount } from '../../src/fs/mount-state.ts';
import type { PipePool } from '../../src/pipes/pipe.ts';
import type { PipedBytes } from '../../src/pipes/piped-bytes.ts';
import { makePiped, startPipes, takePipe } from '../support/pipes.ts';
import { BareDaemon, canMount, canMountAsUser } from './mount-daemon.ts';

const FUSE_INIT = 26;
const ENODEV = 19;
const PAGE_BYTES = 4096;

function pair(): { device: KernelDevice; peer: number } {
  const fds = libc().socketPair();
  if (fds === undefined) throw new Error('socketpair failed');
  makeNonBlocking(fds[0]);
  return { device: new KernelDevice(fds[0]), peer: fds[1] };
}

/** A piped payload of `pieces` pieces of 1,000 bytes, each in a page of its own. */
function pipedPieces(pool: PipePool, pieces: number): { piped: PipedBytes; bytes: Buffer } {
  const memory = Buffer.allocUnsafeSlow((pieces + 1) * PAGE_BYTES);
  const aligned = -libc().address(memory) & BigInt(PAGE_BYTES - 1);
  const piped = makePiped(pool, pieces * 1000);
  const vector = new BigUint64Array(16);
  const parts = Array.from({ length: pieces }, (_, piece) => {
    const at = Number(aligned) + piece * PAGE_BYTES;
    const part = memory.subarray(at, at + 1000).fill(piece % 251);
    vector[0] = libc().address(memory) + BigInt(at);
    vector[1] = 1000n;
    piped.pipe?.refer(vector);
    return part;
  });
  return { piped, bytes: Buffer.concat(parts) };
}

test('a message whose data is in a pipe is written whole, also where pieces fill the pipe', (t) => {
  const { device, peer } = pair();
  const pool = startPipes(t);
  for (const pieces of [3, 200]) {
    const { piped, bytes } = pipedPieces(pool, pieces);
    t.is(piped.pipe?.lengthBytes, bytes.length);
    t.is(device.writePiped([Buffer.from('head')], piped), 0);
    const received = Buffer.alloc(bytes.length + 4);
    for (let at = 0; at < received.length;) {
      at += readSync(peer, received, at, received.length - at, null);
    }
    t.true(received.equals(Buffer.concat([Buffer.from('head'), bytes])));
    piped.release();
  }
  device.abort();
  closeSync(peer);
});

test('a message whose data is in a full pipe is written from memory, as is one without another pipe', (t) => {
  const pool = startPipes(t, 2);
  const full = pipedPieces(pool, 256);
  const messages: Buffer[] = [];
  const { device, peer } = pair();
  device.write = (parts) => {
    messages.push(Buffer.concat(parts));
    return 0;
  };
  t.is(device.writePiped([Buffer.from('head')], full.piped), 0);
  full.piped.release();
  const [alone, other] = [pipedPieces(pool, 2), takePipe(pool)];
  t.is(device.writePiped([Buffer.from('head')], alone.piped), 0);
  pool.give(other);
  alone.piped.release();
  const looked = pipedPieces(pool, 2);
  t.is(looked.piped.bytes.length, 2000, 'in memory now');
  t.is(device.writePiped([Buffer.from('head')], looked.piped), 0);
  looked.piped.release();
  const all = [takePipe(pool), takePipe(pool)];
  for (const pipe of all) pool.give(pipe);
  t.deepEqual(
    messages.map(({ length }) => length),
    [256_004, 2004, 2004],
  );
  t.true(messages[0]?.subarray(4).equals(full.bytes));
  t.true(messages[1]?.subarray(4).equals(alone.bytes));
  device.abort();
  closeSync(peer);
});

test('a request lands in head and payload, and none waiting reads as 0', async (t) => {
  const { device, peer } = pair();
  const payload = Buffer.alloc(8192);
  t.is(device.read(payload), 0);
  const message = Buffer.from(Array.from({ length: 1000 }, (_unused, index) => index % 251));
  writeSync(peer, message);
  t.is(device.read(payload), 1000);
  t.deepEqual(device.head, message.subarray(0, HEAD_BYTES));
  t.deepEqual(payload.subarray(0, 920), message.subarray(HEAD_BYTES));
  // A payload that begins inside a larger buffer, as a block of a slab does.
  const slab = Buffer.alloc(65536);
  writeSync(peer, message);
  t.is(device.read(slab.subarray(4096, 16384)), 1000);
  t.deepEqual(slab.subarray(4096, 4096 + 920), message.subarray(HEAD_BYTES));
  t.true(slab.subarray(0, 4096).every((byte) => byte === 0));
  await device.close();
  closeSync(peer);
});

for (const sizes of [[16], [16, 0, 100], [16, 70_000], [1, 30_000, 0, 5, 30_000]]) {
  test(`parts of ${sizes.join(', ')} bytes arrive as one message`, async (t) => {
    const { device, peer } = pair();
    const parts = sizes.map((size, index) => Buffer.alloc(size, index + 1));
    t.is(device.write(parts), 0);
    const expected = Buffer.concat(parts);
    const received = Buffer.alloc(expected.length);
    t.is(readSync(peer, received), expected.length);
    t.deepEqual(received, expected);
    await device.close();
    closeSync(peer);
  });
}

test('a closed device refuses late answers and reads, and closing twice is one close', async (t) => {
  const { device, peer } = pair();
  const closing = device.close();
  t.is(device.close(), closing);
  await closing;
  t.is(device.write([Buffer.alloc(16)]), ENODEV);
  t.throws(() => device.read(Buffer.alloc(8192)), { instanceOf: DeviceGoneError });
  closeSync(peer);
});

test('promises settled by a handler run before the event loop waits again', async (t) => {
  const { device, peer } = pair();
  const delayMs = await new Promise<number>((resolve, reject) => {
    device.watch({
      onReadable: () => {
        device.read(Buffer.alloc(8192));
        const start = performance.now();
        void Promise.resolve().then(() => {
          resolve(performance.now() - start);
        });
        return false;
      },
      onGone: reject,
      onBug: reject,
    });
    writeSync(peer, Buffer.alloc(100));
  });
  t.true(delayMs < 1000);
  await device.close();
  closeSync(peer);
});

test('a handler that asks for another turn is called again with nothing to read, until it has enough', async (t) => {
  const { device, peer } = pair();
  const lengths: number[] = [];
  await new Promise<void>((resolve, reject) => {
    device.watch({
      onReadable: () => {
        lengths.push(device.read(Buffer.alloc(8192)));
        if (lengths.length === 3) setTimeout(resolve, 50);
        return lengths.length < 3;
      },
      onGone: reject,
      onBug: reject,
    });
    writeSync(peer, Buffer.alloc(100));
  });
  t.deepEqual(lengths, [100, 0, 0]);
  await device.close();
  closeSync(peer);
});

test('a device that is closed calls no handler for the turn that it was asked for', async (t) => {
  const { device, peer } = pair();
  let calls = 0;
  await new Promise<void>((resolve, reject) => {
    device.watch({
      onReadable: () => {
        calls += 1;
        resolve(device.close());
        return true;
      },
      onGone: reject,
      onBug: reject,
    });
    writeSync(peer, Buffer.alloc(100));
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.is(calls, 1);
  closeSync(peer);
});

test('an exception in a handler is reported once and ends the watching', async (t) => {
  const { device, peer } = pair();
  let calls = 0;
  const bug = new Error('a bug');
  const reported = await new Promise((resolve) => {
    device.watch({
      onReadable: () => {
        calls += 1;
        throw bug;
      },
      onGone: () => {
        t.fail();
      },
      onBug: resolve,
    });
    writeSync(peer, Buffer.alloc(100));
  });
  t.is(reported, bug);
  await new Promise(setImmediate);
  t.is(calls, 1);
  await device.close();
  closeSync(peer);
});

const mounting = canMount() ? test : test.skip;

mounting('the first request of a mount is INIT, and an abort ends mount and process', async (t) => {
  await using daemon = new BareDaemon({});
  t.like(await daemon.report(), { event: 'mounted' });
  daemon.tell('read INIT');
  const first = await daemon.report();
  t.like(first, { event: 'first request', opcode: FUSE_INIT });
  t.true(first.event === 'first request' && first.minor >= 31 && first.length >= 56);
  const entry = await daemon.entry();
  t.is(entry?.source, 'imss://');
  t.regex(entry?.options ?? '', /nosuid.*nodev.*noatime/);
  // Nobody answers INIT: the daemon counts as alive, and asking does not hang.
  t.is(await mountState(daemon.mountPoint, 300), 'alive');
  daemon.tell('abort');
  daemon.tell('exit');
  t.is(await daemon.exitCode(), 0);
  t.is(await mountState(daemon.mountPoint), 'dead');
  t.is(await recoverDeadMount(daemon.mountPoint), 1);
  t.is(await mountState(daemon.mountPoint), 'none');
});

mounting(
  'a served mount unmounts at its own request, and the process ends by itself',
  async (t) => {
    await using daemon = new BareDaemon({
      name: Buffer.from('with space, comma\nand \xff', 'latin1'),
    });
    t.like(await daemon.report(), { event: 'mounted' });
    daemon.tell('serve');
    t.is(await mountState(daemon.mountPoint), 'alive');
    daemon.tell('unmount');
    const reports = [await daemon.report(), await daemon.report()].map(({ event }) => event);
    t.deepEqual(reports.toSorted(), ['gone', 'unmounted']);
    t.is(await daemon.entry(), undefined);
    daemon.tell('exit');
    t.is(await daemon.exitCode(), 0);
  },
);

mounting('a mount in use refuses a plain unmount and names its holders', async (t) => {
  await using daemon = new BareDaemon({});
  t.like(await daemon.report(), { event: 'mounted' });
  daemon.tell('serve');
  const holder = spawn('/bin/sleep', ['60'], {
    cwd: daemon.mountPoint.toString(),
    stdio: 'ignore',
  });
  try {
    await once(holder, 'spawn');
    await t.throwsAsync(unmountPath(daemon.mountPoint, 'plain'), {
      name: 'FsError',
      code: 'EBUSY',
    });
    const entry = await daemon.entry();
    t.truthy(entry);
    if (entry === undefined) return;
    const found = await findHolders(entry);
    t.like(found, { nestedMounts: [], incomplete: false });
    t.is(found.holders.length, 1);
    const line = `${holder.pid ?? 0} sleep: cwd ${daemon.mountPoint.toString()}`;
    t.is(describeHolders(found)[0], line);
  } finally {
    holder.kill();
    await once(holder, 'exit');
  }
  await unmountPath(daemon.mountPoint, 'plain');
  t.deepEqual(await daemon.report(), { event: 'gone' });
  await unmountPath(daemon.mountPoint, 'plain');
});

mounting(
  'an aborted connection tells its daemon, and forced unmounting takes it away',
  async (t) => {
    await using daemon = new BareDaemon({});
    const mounted = await daemon.report();
    t.true(mounted.event === 'mounted');
    daemon.tell('serve');
    t.is(await mountState(daemon.mountPoint), 'alive');
    if (mounted.event === 'mounted' && (await abortConnection(mounted.minor))) {
      t.deepEqual(await daemon.report(), { event: 'gone' });
      t.is(await mountState(daemon.mountPoint), 'dead');
    }
    await unmountPath(daemon.mountPoint, 'force');
    t.is(await daemon.entry(), undefined);
  },
);

mounting('a mount point that is missing or no directory is named in one line', async (t) => {
  const request = {
    source: 'imss://',
    readOnly: false,
    allowOther: true,
    defaultPermissions: true,
    acl: false,
    genericOptions: [],
  };
  await t.throwsAsync(mountFuse({ ...request, mountPoint: Buffer.from('/nonexistent/x') }), {
    name: 'MountError',
    message: /^\/nonexistent\/x does not exist/,
  });
  await t.throwsAsync(mountFuse({ ...request, mountPoint: Buffer.from('/etc/passwd') }), {
    name: 'MountError',
    message: /^\/etc\/passwd is not a directory/,
  });
});

const mountingAsUser = canMountAsUser() ? test : test.skip;

mountingAsUser('an ordinary user mounts and unmounts through fusermount', async (t) => {
  for (const name of [Buffer.from('user, mnt'), Buffer.from('\xff%\\"$x\n', 'latin1')]) {
    await using daemon = new BareDaemon({ asUser: true, name });
    t.like(await daemon.report(), { event: 'mounted' });
    t.like(await daemon.entry(), { type: 'fuse.imssfs', source: 'imss://' });
    daemon.tell('serve');
    daemon.tell('unmount');
    const reports = [await daemon.report(), await daemon.report()].map(({ event }) => event);
    t.deepEqual(reports.toSorted(), ['gone', 'unmounted']);
    t.is(await daemon.entry(), undefined);
    daemon.tell('exit');
    t.is(await daemon.exitCode(), 0);
  }
});

mountingAsUser('a user who asks for allow_other is told what /etc/fuse.conf lacks', async (t) => {
  await using daemon = new BareDaemon({ asUser: true, allowOther: true });
  const report = await daemon.report();
  // Where /etc/fuse.conf allows it, the mount succeeds.
  if (report.event === 'failed') t.regex(report.message, /user_allow_other/);
  else t.is(report.event, 'mounted');
});
