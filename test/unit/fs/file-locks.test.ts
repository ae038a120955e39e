/** The locks of a mount's open files, kept by a server in this process. */
import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import type { LockDemand } from '../../../src/fs/file-locks.ts';
import { ScratchPayloads } from '../../../src/fs/fuse/payloads.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { type HandleId, ROOT_INODE } from '../../../src/ids.ts';
import { ClientLocks } from '../../../src/meta/client-locks.ts';
import { LOCK_END, type LockKind, type LockOwner } from '../../../src/meta/lock-store.ts';
import { ServedLocks } from '../../../src/meta/served-locks.ts';
import { FileType } from '../../../src/stat.ts';
import { Interruption, runTask } from '../../../src/task.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';
import { manyTurns, type TestMount, withMounts } from '../../support/mounts.ts';

const SPEC = { mode: FileType.REGULAR | 0o644, uid: 1, gid: 2 };
const WRITE = { write: true, truncate: false };

function demand(owner: LockOwner, type: LockDemand['type'] = 'write'): LockDemand {
  return { owner, type, start: 0, end: LOCK_END, pid: 1 };
}

function ownerOf(low: number, kind: LockKind = 'posix'): LockOwner {
  return { kind, low, high: 0 };
}

async function withLocks(
  body: (mount: TestMount, server: ServedLocks) => Promise<void>,
): Promise<void> {
  const server = new ServedLocks();
  const locks = (number: number): ClientLocks =>
    new ClientLocks({
      lock: (request) => server.lock(`mount${number}`, request),
      unlock: (request) => {
        server.unlock(`mount${number}`, request);
      },
      test: (request) => server.test(`mount${number}`, request),
      cancel: (wait) => server.cancel(`mount${number}`, wait),
    });
  const run = async ([mount]: TestMount[]): Promise<void> => {
    if (mount !== undefined) await body(mount, server);
  };
  await withMounts(1, run, { locks });
}

async function openFile(vfs: Vfs): Promise<{ handle: HandleId; another: HandleId }> {
  const entry = { parent: ROOT_INODE, name: Buffer.from('file') };
  const { inode, handle } = await runTask(vfs.create(entry, SPEC, { ...WRITE, exclusive: true }));
  const { handle: another } = await runTask(vfs.open(inode, WRITE));
  return { handle, another };
}

test('the release of a handle drops nothing that its owners have locked since by another one', async (t) => {
  await withLocks(async ({ vfs }, server) => {
    const { handle, another } = await openFile(vfs);
    const { locks } = vfs;
    if (locks === undefined) throw new Error('there are locks');
    await runTask(locks.set(handle, demand(ownerOf(1)), false));
    await runTask(vfs.flushAndUnlock(handle, ownerOf(1)));
    t.is(server.counts().locks, 0);
    await runTask(locks.set(another, demand(ownerOf(1)), false));
    await runTask(vfs.release(handle));
    t.is(server.counts().locks, 1);
    await runTask(vfs.release(another));
    t.is(server.counts().locks, 0);
  });
});

test('the release of a handle drops what was locked by it, of either kind', async (t) => {
  await withLocks(async ({ vfs }, server) => {
    const { handle, another } = await openFile(vfs);
    const { locks } = vfs;
    if (locks === undefined) throw new Error('there are locks');
    await runTask(locks.set(handle, demand(ownerOf(1)), false));
    await runTask(locks.set(handle, demand(ownerOf(1, 'flock')), false));
    await runTask(vfs.release(another));
    t.is(server.counts().locks, 2);
    await runTask(vfs.release(handle));
    t.is(server.counts().locks, 0);
  });
});

test('a lock outlives its owner until what the owner wrote or punched has arrived', async (t) => {
  const payload = { bytes: Buffer.from('late') };
  const range = { offset: 0, length: 4 };
  const changes = {
    'blocks.writeBlock': (vfs: Vfs, handle: HandleId) =>
      vfs.write(handle, { offset: 0, append: false, payload, dropPrivilegeBits: false }),
    'blocks.punch': (vfs: Vfs, handle: HandleId) =>
      vfs.ranges.punch(handle, { range, keepsSize: true, dropPrivilegeBits: false }),
  };
  for (const [call, change] of Object.entries(changes)) {
    await withLocks(async (mount, server) => {
      const { vfs } = mount;
      const { handle } = await openFile(vfs);
      if (vfs.locks === undefined) throw new Error('there are locks');
      await runTask(vfs.locks.set(handle, demand(ownerOf(1)), false));
      const arrive = mount.hold(call);
      const killed = new Interruption();
      const changed = runTask<unknown>(change(vfs, handle), () => killed);
      await manyTurns();
      killed.raise(new FsError('EINTR'));
      const closing = new Interruption();
      const closed = runTask(vfs.flushAndUnlock(handle, ownerOf(1)), () => closing);
      await manyTurns();
      closing.raise(new FsError('EINTR'));
      await manyTurns();
      t.is(server.counts().locks, 1, call);
      arrive();
      await changed;
      await closed;
      t.is(server.counts().locks, 0, call);
    });
  }
});

test('those who wait for a lock keep no memory for data', async (t) => {
  await withLocks(async ({ vfs }, server) => {
    const { handle } = await openFile(vfs);
    if (vfs.locks === undefined) throw new Error('there are locks');
    await runTask(vfs.locks.set(handle, demand(ownerOf(1)), false));
    const scratch = new ScratchPayloads();
    let leased = 0;
    const lease = (): ReturnType<ScratchPayloads['lease']> => {
      leased++;
      return scratch.lease();
    };
    const kernel = new FakeKernel(vfs, { payloads: { lease } });
    for (let low = 2; low < 12; low++) {
      const lk = { start: 0, end: LOCK_END, type: 1, pid: 1 };
      const input = { fh: handle, owner: { low, high: 0 }, lk, lk_flags: 0 };
      kernel.send('SETLKW', { input });
    }
    await manyTurns();
    t.is(server.counts().waits, 10);
    t.is(leased, 1);
    await runTask(vfs.flushAndUnlock(handle, ownerOf(1)));
    await manyTurns();
    t.is(server.counts().waits, 9);
    t.is(kernel.replyTo(2)?.errno, 0);
  });
});
