/** Requests for locks, from the kernel's bytes to a lock table and back; and what is asked of the kernel for them. */
import test from 'ava';
import { Errno } from '../../../../src/errno.ts';
import {
  FUSE_LK_OUT,
  FUSE_OPEN_OUT,
  InitFlag,
  type InputOf,
  LockFlag,
  OpenFlag,
} from '../../../../src/fs/fuse/abi.ts';
import { END_OF_RANGE } from '../../../../src/fs/fuse/layout.ts';
import { negotiate } from '../../../../src/fs/fuse/negotiate.ts';
import { Vfs } from '../../../../src/fs/vfs.ts';
import { type InodeId, ROOT_INODE } from '../../../../src/ids.ts';
import { silentLogger } from '../../../../src/log.ts';
import { ClientLocks } from '../../../../src/meta/client-locks.ts';
import { ServedLocks } from '../../../../src/meta/served-locks.ts';
import { runTask } from '../../../../src/task.ts';
import { FakeKernel, structOf } from '../../../support/fake-kernel.ts';
import { manyTurns } from '../../../support/mounts.ts';
import { withStores } from '../../../support/stores.ts';

const LOCK_FLAGS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const ONE = { low: 1, high: 9 };
const TWO = { low: 2, high: 9 };

/** A mount whose locks a server in this process keeps, that server, and another mount of the same files. */
async function withLocks(
  body: (kernel: FakeKernel, server: ServedLocks, other: Vfs) => Promise<void>,
): Promise<void> {
  await withStores({}, async ({ meta, blocks, clock, vfs: other }) => {
    const server = new ServedLocks();
    const locks = new ClientLocks({
      lock: (request) => server.lock('aa', request),
      unlock: (request) => {
        server.unlock('aa', request);
      },
      test: (request) => server.test('aa', request),
      cancel: (wait) => server.cancel('aa', wait),
    });
    const shared = new Proxy(meta, {
      get: (target, property): unknown => {
        if (property === 'locks') return locks;
        const value: unknown = Reflect.get(target, property);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const vfs = new Vfs({
      meta: shared,
      blocks,
      clock,
      logger: silentLogger,
      root: ROOT_INODE,
      atimePolicy: 'noatime',
    });
    await body(new FakeKernel(vfs), server, other);
  });
}

function lockInput(
  fh: number,
  owner: { low: number; high: number },
  lock: { type: number; start?: number; end?: number; flock?: boolean },
): InputOf<'SETLK'> {
  const { type, start = 0, end = END_OF_RANGE, flock = false } = lock;
  return { fh, owner, lk: { start, end, type, pid: 0 }, lk_flags: flock ? LockFlag.FLOCK : 0 };
}

/** The errno of a request once it has been answered; undefined while it has not. */
async function errnoOf(kernel: FakeKernel, unique: number): Promise<number | undefined> {
  await manyTurns();
  return kernel.replyTo(unique)?.errno;
}

async function setLock(
  kernel: FakeKernel,
  input: InputOf<'SETLK'>,
  op: 'SETLK' | 'SETLKW' = 'SETLK',
): Promise<number | undefined> {
  kernel.send(op, { input });
  return await errnoOf(kernel, kernel.lastUnique);
}

test('locks are asked of the kernel only where a server keeps them', async (t) => {
  const offer = { major: 7, minor: 45, max_readahead: 0, flags: 0x7fff_ffff, flags2: 0 };
  t.is(negotiate(offer, { locks: false, acl: false }).negotiated.flags & LOCK_FLAGS, 0);
  t.is(negotiate(offer, { locks: true, acl: false }).negotiated.flags & LOCK_FLAGS, LOCK_FLAGS);
  await withLocks((kernel) => {
    const { nodeid } = kernel.create('f');
    const open = kernel.call('OPEN', { nodeid, input: { flags: 0, open_flags: 0 } });
    const { open_flags } = structOf(FUSE_OPEN_OUT, open);
    t.is(open_flags & OpenFlag.NOFLUSH, 0, 'a close must be told of: it drops locks');
    return Promise.resolve();
  });
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid } = kernel.create('f');
    const open = kernel.call('OPEN', { nodeid, input: { flags: 0, open_flags: 0 } });
    t.is(structOf(FUSE_OPEN_OUT, open).open_flags & OpenFlag.NOFLUSH, OpenFlag.NOFLUSH);
    const { fh } = kernel.create('g');
    const input = lockInput(fh, ONE, { type: F_WRLCK });
    t.is(kernel.call('SETLK', { input }).errno, Errno.ENOSYS);
  });
});

test('GETLK tells the first lock that is in the way, its end beyond all files as the kernel has it', async (t) => {
  await withLocks(async (kernel) => {
    const { fh } = kernel.create('f');
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK, start: 10 })), 0);
    const ask = async (type: number, end: number): Promise<ReturnType<typeof readLock>> => {
      kernel.send('GETLK', { input: lockInput(fh, TWO, { type, end }) });
      await manyTurns();
      return readLock(kernel);
    };
    t.like(await ask(F_RDLCK, 9), { type: F_UNLCK });
    t.like(await ask(F_RDLCK, 10), { type: F_WRLCK, start: 10, end: END_OF_RANGE });
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_RDLCK, start: 20, end: 29 })), 0);
    t.like(await ask(F_WRLCK, END_OF_RANGE), { type: F_WRLCK, start: 10, end: 19 });
  });
});

function readLock(kernel: FakeKernel): { type: number; start: number; end: number } {
  const reply = kernel.replyTo(kernel.lastUnique);
  if (reply === undefined) throw new Error('GETLK was not answered');
  return structOf(FUSE_LK_OUT, reply).lk;
}

test('an impossible lock is refused', async (t) => {
  await withLocks(async (kernel) => {
    const { fh } = kernel.create('f');
    const errnos = [
      await setLock(kernel, lockInput(fh, ONE, { type: 7 })),
      await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK, start: 5, end: 4 })),
      await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK, start: END_OF_RANGE })),
      await setLock(kernel, lockInput(fh + 1, ONE, { type: F_WRLCK })),
    ];
    t.deepEqual(errnos, [Errno.EINVAL, Errno.EINVAL, Errno.EOVERFLOW, Errno.EBADF]);
  });
});

test('FLUSH drops its owner’s fcntl locks, RELEASE what was locked by the handle', async (t) => {
  await withLocks(async (kernel, server) => {
    const { fh, nodeid } = kernel.create('f');
    const open = kernel.call('OPEN', { nodeid, input: { flags: 2, open_flags: 0 } });
    const other = structOf(FUSE_OPEN_OUT, open).fh;
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK, end: 9 })), 0);
    t.is(await setLock(kernel, lockInput(fh, TWO, { type: F_WRLCK, start: 10 })), 0);
    t.is(await setLock(kernel, lockInput(fh, TWO, { type: F_WRLCK, flock: true })), 0);
    t.is(
      await setLock(kernel, lockInput(other, ONE, { type: F_RDLCK, flock: true })),
      Errno.EAGAIN,
    );
    t.is(server.counts().locks, 3);
    kernel.send('FLUSH', { input: { fh: other, lock_owner: ONE } });
    t.is(await errnoOf(kernel, kernel.lastUnique), 0);
    t.is(server.counts().locks, 2);
    const input = { fh, flags: 0, release_flags: 0, lock_owner: { low: 0, high: 0 } };
    kernel.send('RELEASE', { input });
    t.is(await errnoOf(kernel, kernel.lastUnique), 0);
    t.deepEqual(server.counts(), { locks: 0, waits: 0 });
  });
});

test('INTERRUPT ends a wait for a lock without delay, and the wait leaves nothing', async (t) => {
  await withLocks(async (kernel, server) => {
    const { fh } = kernel.create('f');
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK })), 0);
    t.is(await setLock(kernel, lockInput(fh, TWO, { type: F_WRLCK }), 'SETLKW'), undefined);
    const waiting = kernel.lastUnique;
    t.deepEqual(server.counts(), { locks: 1, waits: 1 });
    kernel.send('INTERRUPT', { input: { unique: { low: waiting, high: 0 } } });
    t.is(await errnoOf(kernel, waiting), Errno.EINTR);
    t.deepEqual(server.counts(), { locks: 1, waits: 0 });
  });
});

test('pages are dropped before a lock is answered, if another mount has changed the data', async (t) => {
  await withLocks(async (kernel, _server, other) => {
    const { fh, nodeid } = kernel.create('f');
    const noticesBefore = (unique: number): number => {
      const ids = kernel.device.written.map((message) => message.readUInt32LE(8));
      return ids.slice(0, ids.indexOf(unique)).filter((id) => id === 0).length;
    };
    t.is(kernel.write(fh, 0, Buffer.from('x')).errno, 0);
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK })), 0);
    t.is(noticesBefore(kernel.lastUnique), 0, 'what was written here, the kernel has');
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_UNLCK })), 0);
    const mode = { write: true, truncate: false };
    const { handle } = await runTask(other.open(nodeid as InodeId, mode));
    const payload = { bytes: Buffer.from('other') };
    const request = { offset: 0, append: false, payload, dropPrivilegeBits: false };
    t.is(await runTask(other.write(handle, request)), 5);
    t.is(await setLock(kernel, lockInput(fh, ONE, { type: F_WRLCK })), 0);
    t.is(noticesBefore(kernel.lastUnique), 1);
    t.is(kernel.read(fh, 0, 99).toString(), 'other', 'the size was learnt, too');
    t.is(await setLock(kernel, lockInput(fh, TWO, { type: F_RDLCK, flock: true })), 0);
    t.is(noticesBefore(kernel.lastUnique), 1, 'nothing has changed since');
  });
});
