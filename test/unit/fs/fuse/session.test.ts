import test from 'ava';
import type { BlockLease } from '../../../../src/blocks/store.ts';
import { Errno } from '../../../../src/errno.ts';
import {
  FUSE_ATTR_OUT,
  FUSE_ENTRY_OUT,
  FUSE_INIT_OUT,
  FUSE_OPEN_OUT,
  FUSE_WRITE_OUT,
  InitFlag,
  OpenFlag,
  WriteFlag,
} from '../../../../src/fs/fuse/abi.ts';
import { readStruct } from '../../../../src/fs/fuse/layout.ts';
import { notifyInvalInode } from '../../../../src/fs/fuse/reply.ts';
import type { PayloadSource } from '../../../../src/fs/fuse/session.ts';
import type { InodeId } from '../../../../src/ids.ts';
import { InvariantError } from '../../../../src/invariant.ts';
import type { MetaStore } from '../../../../src/meta/store.ts';
import { runSync } from '../../../../src/task.ts';
import { FakeKernel, structOf, writeInput } from '../../../support/fake-kernel.ts';
import { replacing, type TestStoreOptions, withStores } from '../../../support/stores.ts';

const MIB = 1024 * 1024;

/** Stores whose lookup does something else. */
function withLookup(lookup: MetaStore['lookup']): TestStoreOptions {
  return {
    wrap: ({ meta, blocks }) => ({ blocks, meta: replacing(meta, 'lookup', () => lookup) }),
  };
}

test('INIT is answered with the lower minor and only with flags that the kernel offered', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const offered = InitFlag.ASYNC_READ | InitFlag.MAX_PAGES | InitFlag.POSIX_LOCKS;
    const reply = kernel.init({ minor: 36, flags: offered });
    const init = structOf(FUSE_INIT_OUT, reply ?? { errno: 1, body: Buffer.alloc(0) });
    t.is(init.major, 7);
    t.is(init.minor, 36);
    t.is(init.flags, InitFlag.ASYNC_READ | InitFlag.MAX_PAGES);
    t.is(init.flags2, 0);
    t.is(init.max_write, MIB);
    t.is(init.max_pages, 256);
    t.deepEqual(kernel.events, ['ready 7.36']);
  });
});

test('ACLs are asked of the kernel, and umask left to us, only where the mount wants them', async (t) => {
  await withStores({}, ({ vfs }) => {
    const asked = InitFlag.POSIX_ACL | InitFlag.DONT_MASK | InitFlag.SETXATTR_EXT;
    for (const [acl, flags] of [
      [true, asked],
      [false, 0],
    ] as const) {
      const kernel = new FakeKernel(vfs, { acl });
      const reply = kernel.init({ flags: asked });
      t.is(structOf(FUSE_INIT_OUT, reply ?? { errno: 1, body: Buffer.alloc(0) }).flags, flags);
    }
  });
});

test('a kernel older than 7.31 is refused with EPROTO and a clear failure', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    t.is(kernel.init({ minor: 30 })?.errno, Errno.EPROTO);
    t.deepEqual(kernel.events.length, 1);
    t.regex(kernel.events[0] ?? '', /FUSE 7\.30.*7\.31 \(Linux 5\.4\)/);
  });
});

test('a kernel with a higher major version is told ours and asked again', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const reply = kernel.init({ major: 8, minor: 1 });
    t.is(reply?.body.readUInt32LE(0), 7);
    t.deepEqual(kernel.events, []);
    kernel.init();
    t.deepEqual(kernel.events, ['ready 7.45']);
  });
});

test('an unknown operation and one that is not implemented get ENOSYS', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    t.is(kernel.call('BMAP').errno, Errno.ENOSYS);
    const message = kernel.message('GETATTR');
    message.writeUInt32LE(3000, 4);
    kernel.device.push(message);
    kernel.device.poll();
    t.is(kernel.replyTo(kernel.lastUnique)?.errno, Errno.ENOSYS);
  });
});

test('a malformed request fails alone, with EIO', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const message = kernel.message('LOOKUP', { names: ['x'] }).subarray(0, 41);
    message.writeUInt32LE(message.length, 0);
    kernel.device.push(message);
    kernel.device.poll();
    t.is(kernel.replyTo(kernel.lastUnique)?.errno, Errno.EIO);
    t.is(kernel.call('GETATTR').errno, 0);
    t.deepEqual(kernel.events, []);
  });
});

test('a name that is not there is answered by node 0, for the kernel to remember', async (t) => {
  await withStores({}, ({ vfs }) => {
    const entry = new FakeKernel(vfs).lookup('missing');
    t.is(entry.nodeid, 0);
    t.true(entry.entry_valid > 0);
  });
});

test('what is written is read back, and the size is known at once', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid, fh } = kernel.create('file');
    t.is(structOf(FUSE_WRITE_OUT, kernel.write(fh, 3, Buffer.from('hello'))).size, 5);
    t.is(kernel.read(fh, 0, 100).toString(), '\0\0\0hello');
    t.is(kernel.read(fh, 5, 2).toString(), 'll');
    t.is(structOf(FUSE_ATTR_OUT, kernel.call('GETATTR', { nodeid })).attr.size, 8);
  });
});

test('the caller owns what it makes', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const input = { mode: 0o040755, umask: 0o022 };
    const made = kernel.call('MKDIR', { uid: 42, gid: 43, input, names: ['d'] });
    const { attr } = structOf(FUSE_ENTRY_OUT, made);
    t.deepEqual([attr.uid, attr.gid, attr.nlink], [42, 43, 2]);
  });
});

test('an O_APPEND write goes to the end whatever its offset, a written-back page to its own', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const O_APPEND = 0o2000;
    const { fh } = kernel.create('log');
    kernel.write(fh, 0, Buffer.from('one '), O_APPEND | 1);
    kernel.write(fh, 0, Buffer.from('two'), O_APPEND | 1);
    t.is(kernel.read(fh, 0, 99).toString(), 'one two');
    const data = Buffer.from('ONE');
    const input = { ...writeInput(fh, 0, data, O_APPEND | 1), write_flags: 1 };
    kernel.call('WRITE', { input, data });
    t.is(kernel.read(fh, 0, 99).toString(), 'ONE two');
  });
});

test('an unlinked open file stays readable and is freed when released and forgotten', async (t) => {
  await withStores({}, ({ vfs, blocks }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid, fh } = kernel.create('file');
    kernel.write(fh, 0, Buffer.alloc(10_000, 7));
    t.is(kernel.call('UNLINK', { names: ['file'] }).errno, 0);
    t.is(kernel.read(fh, 9_999, 10).toString('hex'), '07');
    t.is(structOf(FUSE_ATTR_OUT, kernel.call('GETATTR', { nodeid })).attr.nlink, 0);
    kernel.call('RELEASE', { nodeid, input: releaseInput(fh) });
    t.true(blocks.usage().usedBytes > 0);
    kernel.send('FORGET', { nodeid, input: { nlookup: 1 } });
    t.is(blocks.usage().usedBytes, 0);
    t.is(kernel.call('GETATTR', { nodeid }).errno, Errno.ESTALE);
  });
});

test('an inode is remembered until exactly as many lookups are forgotten as were answered', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid } = kernel.create('file');
    kernel.lookup('file');
    kernel.lookup('file');
    t.is(vfs.references.lookedUpCount, 1);
    const data = Buffer.alloc(16);
    data.writeUInt32LE(nodeid, 0);
    data.writeUInt32LE(2, 8);
    t.is(kernel.send('BATCH_FORGET', { input: { count: 1 }, data }), undefined);
    t.is(vfs.references.lookedUpCount, 1);
    t.is(kernel.send('FORGET', { nodeid, input: { nlookup: 1 } }), undefined);
    t.is(vfs.references.lookedUpCount, 0);
  });
});

test('a reply that the kernel did not take counts no lookup and keeps no handle', async (t) => {
  await withStores({}, ({ vfs, blocks }) => {
    const kernel = new FakeKernel(vfs);
    kernel.device.writeErrno = Errno.ENOENT;
    kernel.send('CREATE', {
      names: ['file'],
      input: { flags: 0o102, mode: 0o100644, umask: 0, open_flags: 0 },
    });
    kernel.device.writeErrno = 0;
    t.is(vfs.references.lookedUpCount, 0);
    t.is(kernel.call('UNLINK', { names: ['file'] }).errno, 0);
    t.is(blocks.usage().datasets, 0);
  });
});

test('the kernel is told to forget a mode before it hears that a write has dropped set-uid', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid, fh } = kernel.create('program');
    const record = vfs.setattr(nodeid as InodeId, { permissions: 0o4755 }).next();
    t.true(record.done);
    const data = Buffer.from('changed');
    const input = { ...writeInput(fh, 0, data), write_flags: WriteFlag.KILL_SUIDGID };
    const before = kernel.device.written.length;
    t.is(kernel.call('WRITE', { input, data }).errno, 0);
    const [notice, reply] = kernel.device.written.slice(before);
    t.deepEqual(notice, notifyInvalInode({ nodeid, offset: -1, lengthBytes: 0 }));
    t.is(reply?.readUInt32LE(8), kernel.lastUnique);
    const { attr } = structOf(FUSE_ATTR_OUT, kernel.call('GETATTR', { nodeid }));
    t.is(attr.mode & 0o7777, 0o755);
    kernel.call('WRITE', { input, data });
    t.is(kernel.device.written.length, before + 4);
  });
});

test('readdirplus counts lookups of entries, not of the dots', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    for (const name of ['a', 'b', 'c']) {
      const { nodeid, fh } = kernel.create(name);
      kernel.call('RELEASE', { nodeid, input: releaseInput(fh) });
      kernel.send('FORGET', { nodeid, input: { nlookup: 1 } });
    }
    const { fh } = structOf(FUSE_OPEN_OUT, kernel.call('OPENDIR'));
    const page = kernel.call('READDIRPLUS', { input: readInput(fh, 0, 4096) });
    t.deepEqual(namesPlus(page.body), ['.', '..', 'a', 'b', 'c']);
    t.is(vfs.references.lookedUpCount, 3);
  });
});

test('a listing goes on where its page ended, although entries went and came', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    for (let i = 0; i < 30; i++) kernel.create(`name-${i}`);
    const { fh } = structOf(FUSE_OPEN_OUT, kernel.call('OPENDIR'));
    const seen: string[] = [];
    let offset = 0;
    for (;;) {
      const { body } = kernel.call('READDIR', { input: readInput(fh, offset, 200) });
      const entries = direntsOf(body);
      const last = entries.at(-1);
      if (last === undefined) break;
      seen.push(...entries.map(({ name }) => name));
      offset = last.offset;
      // The last entry of the page goes, and so does one that is still to come; a new one arrives.
      if (last.name.startsWith('name-')) kernel.call('UNLINK', { names: [last.name] });
      kernel.create(`late-${offset}`);
    }
    const stable = Array.from({ length: 30 }, (_, i) => `name-${i}`);
    t.deepEqual(seen, ['.', '..', ...stable]);
  });
});

test('closing a handle that cannot write costs no request, closing one that can does', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid } = kernel.create('file');
    const flagsOf = (flags: number): number =>
      structOf(FUSE_OPEN_OUT, kernel.call('OPEN', { nodeid, input: { flags, open_flags: 0 } }))
        .open_flags;
    const O_RDONLY = 0;
    const O_RDWR = 2;
    t.is(flagsOf(O_RDONLY), OpenFlag.KEEP_CACHE | OpenFlag.NOFLUSH);
    t.is(flagsOf(O_RDWR), OpenFlag.KEEP_CACHE);
  });
});

test('a listing comes in small pages, however much the kernel would take', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    for (let i = 0; i < 4000; i++) kernel.create(`name-${i}`);
    const { fh } = structOf(FUSE_OPEN_OUT, kernel.call('OPENDIR'));
    for (const op of ['READDIR', 'READDIRPLUS'] as const) {
      const { body } = kernel.call(op, { input: readInput(fh, 0, MIB) });
      t.true(body.length > 60_000 && body.length <= 65_536, `${op}: ${body.length}`);
    }
  });
});

test('a whole block is adopted with the memory that it was received in', async (t) => {
  await withStores({}, ({ vfs, blocks }) => {
    const leases: BlockLease[] = [];
    const payloads: PayloadSource = {
      lease: () => {
        const lease = blocks.lease();
        if (lease === undefined) throw new Error('no lease');
        leases.push(lease);
        return lease;
      },
    };
    const kernel = new FakeKernel(vfs, { payloads });
    const { fh } = kernel.create('file');
    kernel.write(fh, 0, Buffer.alloc(MIB, 1));
    kernel.write(fh, MIB, Buffer.alloc(MIB, 2));
    kernel.write(fh, 2 * MIB, Buffer.alloc(100, 3));
    t.deepEqual(
      leases.map((lease) => lease.adopted),
      [true, true, false],
    );
    t.is(kernel.read(fh, 0, MIB).compare(Buffer.alloc(MIB, 1)), 0);
    t.is(kernel.read(fh, MIB, MIB).compare(Buffer.alloc(MIB, 2)), 0);
    t.is(kernel.read(fh, 2 * MIB, MIB).compare(Buffer.alloc(100, 3)), 0);
  });
});

test('so many requests are answered in one turn, and the rest in the next', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    for (let i = 0; i < 20; i++) kernel.device.push(kernel.message('GETATTR'));
    kernel.device.poll();
    t.is(kernel.device.written.length, 16);
    kernel.device.poll();
    t.is(kernel.device.written.length, 20);
  });
});

test('a request that comes while the session polls is answered in the same turn', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs, { busyPollMs: 60_000 });
    // 16 requests end the turn, before another poll of a minute would begin.
    for (let i = 0; i < 15; i++) kernel.device.push(kernel.message('GETATTR'));
    const late = kernel.message('GETATTR');
    const read = kernel.device.read.bind(kernel.device);
    let empty = 0;
    kernel.device.read = (payload) => {
      const length = read(payload);
      if (length === 0 && ++empty === 2) kernel.device.push(late);
      return length;
    };
    kernel.device.poll();
    t.is(kernel.device.written.length, 16);
    t.is(empty, 2);
  });
});

test('the session does not poll while a request waits for another node', async (t) => {
  const lookup = () => new Promise<never>(() => undefined);
  await withStores(withLookup(lookup), ({ vfs }) => {
    const kernel = new FakeKernel(vfs, { busyPollMs: 60_000 });
    kernel.device.push(kernel.message('LOOKUP', { names: ['slow'] }));
    // Would take a minute if it did.
    kernel.device.poll();
    t.is(kernel.session.pendingCount, 1);
  });
});

test('INTERRUPT ends a request that hangs with EINTR, and what is unknown is dropped', async (t) => {
  const lookup = () => new Promise<never>(() => undefined);
  await withStores(withLookup(lookup), async ({ vfs }) => {
    const kernel = new FakeKernel(vfs, { interruptMs: 1 });
    t.is(kernel.send('INTERRUPT', { input: { unique: { low: 99, high: 0 } } }), undefined);
    t.is(kernel.send('LOOKUP', { names: ['slow'] }), undefined);
    const waiting = kernel.lastUnique;
    t.is(kernel.session.pendingCount, 1);
    t.is(kernel.call('GETATTR').errno, 0);
    kernel.send('INTERRUPT', { input: { unique: { low: waiting, high: 0 } } });
    kernel.send('INTERRUPT', { input: { unique: { low: waiting, high: 0 } } });
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.is(kernel.replyTo(waiting)?.errno, Errno.EINTR);
    t.is(kernel.session.pendingCount, 0);
  });
});

test('a signal to the caller of a request that is nearly done does not fail it', async (t) => {
  let answer: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (answer = resolve));
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta: replacing(meta, 'inode', (original) => async (...args) => {
      await asked;
      return original(...args);
    }),
    blocks,
  });
  await withStores({ wrap }, async ({ vfs }) => {
    const kernel = new FakeKernel(vfs, { interruptMs: 60_000 });
    t.is(kernel.send('GETATTR'), undefined);
    const waiting = kernel.lastUnique;
    kernel.send('INTERRUPT', { input: { unique: { low: waiting, high: 0 } } });
    await new Promise((resolve) => setImmediate(resolve));
    t.is(kernel.replyTo(waiting), undefined);
    answer();
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.is(kernel.replyTo(waiting)?.errno, 0);
  });
});

test('whoever has been killed is answered at once; the request ends by itself, its handle released after it', async (t) => {
  let proceed: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  const written: string[] = [];
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta: replacing(meta, 'closeInode', (original) => (...args) => {
      written.push('close');
      return original(...args);
    }),
    blocks: replacing(blocks, 'writeBlock', (original) => async (...args) => {
      await gate;
      written.push('write');
      return original(...args);
    }),
  });
  await withStores({ wrap }, async ({ vfs }) => {
    const callers = { isBeingKilled: () => true, hasBeenKilled: () => false };
    const kernel = new FakeKernel(vfs, { interruptMs: 60_000, callers });
    const { fh } = kernel.create('file');
    const data = Buffer.from('data');
    t.is(kernel.send('WRITE', { input: writeInput(fh, 0, data), data }), undefined);
    const waiting = kernel.lastUnique;
    kernel.send('INTERRUPT', { input: { unique: { low: waiting, high: 0 } } });
    t.is(kernel.replyTo(waiting)?.errno, Errno.EINTR);
    const lock_owner = { low: 0, high: 0 };
    t.is(
      kernel.send('RELEASE', { input: { fh, flags: 0, release_flags: 0, lock_owner } }),
      undefined,
    );
    const release = kernel.lastUnique;
    await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(written, []);
    proceed();
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.is(kernel.replyTo(waiting)?.errno, Errno.EINTR);
    t.is(kernel.replyTo(release)?.errno, 0);
    t.deepEqual(written, ['write', 'close']);
  });
});

test('an open that nobody waits for any more is undone, and what changes names goes on to its end', async (t) => {
  let proceed: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta: replacing(meta, 'create', (original) => async (...args) => {
      await gate;
      return original(...args);
    }),
    blocks,
  });
  await withStores({ wrap }, async ({ vfs }) => {
    let isKilled = false;
    const callers = { isBeingKilled: () => isKilled, hasBeenKilled: () => false };
    const kernel = new FakeKernel(vfs, { interruptMs: 1, callers });
    const create = (name: string): number => {
      const input = { flags: 0o102, mode: 0o100644, umask: 0, open_flags: 0 };
      t.is(kernel.send('CREATE', { names: [name], input }), undefined);
      const unique = kernel.lastUnique;
      kernel.send('INTERRUPT', { input: { unique: { low: unique, high: 0 } } });
      return unique;
    };
    const first = create('first');
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.is(kernel.replyTo(first), undefined, 'only a signal');
    isKilled = true;
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.is(
      kernel.replyTo(first)?.errno,
      Errno.EINTR,
      'a second one, of which the kernel tells nothing',
    );
    isKilled = false;
    const second = create('second');
    proceed();
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.is(kernel.replyTo(second)?.errno, 0);
    t.is(vfs.useCounts().handles, 1, 'that of the second');
    t.is(vfs.useCounts().lookups, 1);
  });
});

test('only a close by who has been killed is answered before it is done', async (t) => {
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta: replacing(meta, 'reportData', () => () => new Promise<never>(() => undefined)),
    blocks,
  });
  await withStores({ wrap }, async ({ vfs }) => {
    let isKilled = false;
    const callers = { isBeingKilled: () => false, hasBeenKilled: () => isKilled };
    const kernel = new FakeKernel(vfs, { interruptMs: 60_000, callers });
    const flush = (): number => {
      const { fh } = kernel.create(`file${kernel.lastUnique}`);
      t.is(kernel.write(fh, 0, Buffer.from('x')).errno, 0);
      t.is(kernel.send('FLUSH', { input: { fh, lock_owner: { low: 0, high: 0 } } }), undefined);
      return kernel.lastUnique;
    };
    const first = flush();
    await new Promise((resolve) => setTimeout(resolve, 150));
    t.is(kernel.replyTo(first), undefined);
    isKilled = true;
    const second = flush();
    const third = flush();
    kernel.send('INTERRUPT', { input: { unique: { low: third, high: 0 } } });
    await new Promise((resolve) => setTimeout(resolve, 150));
    t.is(kernel.replyTo(second)?.errno, Errno.EINTR);
    t.is(kernel.replyTo(third)?.errno, Errno.EINTR, 'the signal was still pending');
  });
});

test('a write that waits keeps its data while further requests arrive', async (t) => {
  let proceed: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => ({
    meta,
    blocks: replacing(blocks, 'writeBlock', (original) => async (...args) => {
      await gate;
      return original(...args);
    }),
  });
  await withStores({ wrap }, async ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { fh } = kernel.create('file');
    const writes = ['first', 'other'].map((text, i) => {
      const data = Buffer.from(text);
      kernel.send('WRITE', { input: writeInput(fh, i * 5, data), data });
      return kernel.lastUnique;
    });
    t.is(kernel.session.pendingCount, 2);
    proceed();
    await new Promise((resolve) => setImmediate(resolve));
    for (const unique of writes) t.is(kernel.replyTo(unique)?.errno, 0);
    t.is(kernel.read(fh, 0, 99).toString(), 'firstother');
  });
});

test('a failure that nobody expected is EIO, and the session goes on', async (t) => {
  const lookup = () => {
    throw new TypeError('surprise');
  };
  await withStores(withLookup(lookup), ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    t.is(kernel.call('LOOKUP', { names: ['x'] }).errno, Errno.EIO);
    t.is(kernel.call('GETATTR').errno, 0);
    t.deepEqual(kernel.events, []);
  });
});

test('a broken invariant ends the session with its cause', async (t) => {
  const lookup = () => {
    throw new InvariantError('impossible');
  };
  await withStores(withLookup(lookup), ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    kernel.send('LOOKUP', { names: ['x'] });
    t.deepEqual(kernel.events, ['failed InvariantError: impossible']);
  });
});

test('a session whose file system is being closed answers EIO and touches nothing', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    const { nodeid } = kernel.create('file');
    runSync(vfs.shutdown());
    t.is(kernel.call('GETATTR').errno, Errno.EIO);
    t.is(kernel.call('STATFS').errno, Errno.EIO);
    kernel.send('FORGET', { nodeid, input: { nlookup: 1 } });
    t.deepEqual(kernel.events, []);
  });
});

test('the end of the mount is told once', async (t) => {
  await withStores({}, ({ vfs }) => {
    const kernel = new FakeKernel(vfs);
    kernel.device.unmount();
    kernel.device.unmount();
    t.deepEqual(kernel.events, ['gone']);
  });
});

function releaseInput(fh: number): {
  fh: number;
  flags: number;
  release_flags: number;
  lock_owner: { low: number; high: number };
} {
  return { fh, flags: 0, release_flags: 0, lock_owner: { low: 0, high: 0 } };
}

function readInput(
  fh: number,
  offset: number,
  size: number,
): {
  fh: number;
  offset: number;
  size: number;
  read_flags: number;
  lock_owner: { low: number; high: number };
  flags: number;
} {
  return { fh, offset, size, read_flags: 0, lock_owner: { low: 0, high: 0 }, flags: 0 };
}

interface Dirent {
  name: string;
  offset: number;
}

/** The records of a READDIR reply: fuse_dirent is ino 8, off 8, namelen 4, type 4, name, padded to 8. */
function direntsOf(body: Buffer, prefixBytes = 0): Dirent[] {
  const entries: Dirent[] = [];
  for (let at = 0; at < body.length;) {
    const dirent = at + prefixBytes;
    const length = body.readUInt32LE(dirent + 16);
    const name = body.toString('utf8', dirent + 24, dirent + 24 + length);
    entries.push({ name, offset: Number(body.readBigUInt64LE(dirent + 8)) });
    at += Math.ceil((prefixBytes + 24 + length) / 8) * 8;
  }
  return entries;
}

function namesPlus(body: Buffer): string[] {
  const entry = readStruct(FUSE_ENTRY_OUT, body, 0);
  if (entry.nodeid !== 0) throw new Error('the dots carry no node');
  return direntsOf(body, FUSE_ENTRY_OUT.sizeBytes).map(({ name }) => name);
}
