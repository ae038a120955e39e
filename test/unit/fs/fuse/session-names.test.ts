/** Sessions whose callers are killed while the names that they wanted to change are still under way at another node. */
import test, { type ExecutionContext } from 'ava';
import { setTimeout as sleep } from 'node:timers/promises';
import { Errno } from '../../../../src/errno.ts';
import { FUSE_ENTRY_OUT } from '../../../../src/fs/fuse/abi.ts';
import { notifyInvalEntry, notifyInvalInode } from '../../../../src/fs/fuse/reply.ts';
import { FakeKernel, type KernelReply, structOf } from '../../../support/fake-kernel.ts';
import { replacing, type TestStoreOptions, withStores } from '../../../support/stores.ts';

const CREATE = { flags: 0o102, mode: 0o100644, umask: 0, open_flags: 0 };
/** Enough for what would be answered at once. */
const MOMENT_MS = 20;
const ATTEMPTS = 500;

interface Killed {
  readonly kernel: FakeKernel;
  /** `unique` of the request that was answered and is under way: it creates `made` in the root. */
  readonly created: number;
  /** What has reached the metadata store, in order. */
  readonly done: readonly string[];
  /** Whether the callers of further requests are killed as well. */
  readonly callers: { isBeingKilled: (thread: number) => boolean };
  /** The other node answers at last. */
  readonly proceed: () => void;
  readonly interrupt: (unique: number) => void;
}

async function answerTo(kernel: FakeKernel, unique: number): Promise<KernelReply> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const reply = kernel.replyTo(unique);
    if (reply !== undefined) return reply;
    await sleep(5);
  }
  throw new Error(`request ${unique} is not answered`);
}

/** Until nothing is under way. */
async function untilIdle(kernel: FakeKernel): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS && kernel.session.pendingCount > 0; attempt++) {
    await sleep(5);
  }
}

/** The caller of a CREATE in the root is killed, and answered, while the other node does not answer. */
async function withKilled(
  t: ExecutionContext,
  body: (killed: Killed) => void | Promise<void>,
): Promise<void> {
  let proceed: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (proceed = resolve));
  const done: string[] = [];
  const wrap: TestStoreOptions['wrap'] = ({ meta, blocks }) => {
    const slow = replacing(meta, 'create', (original) => async (...args) => {
      if (args[0].name.toString() === 'made') await gate;
      done.push(`create ${args[0].name.toString()}`);
      return original(...args);
    });
    const told = replacing(slow, 'unlink', (original) => (...args) => {
      done.push(`unlink ${args[0].name.toString()}`);
      return original(...args);
    });
    return { meta: told, blocks };
  };
  await withStores({ wrap }, async ({ vfs }) => {
    const callers = { isBeingKilled: () => true, hasBeenKilled: () => false };
    const kernel = new FakeKernel(vfs, { interruptMs: 1, callers });
    const interrupt = (unique: number): void => {
      kernel.send('INTERRUPT', { input: { unique: { low: unique, high: 0 } } });
    };
    t.is(kernel.send('CREATE', { names: ['made'], input: CREATE }), undefined);
    const created = kernel.lastUnique;
    interrupt(created);
    t.is(kernel.replyTo(created)?.errno, Errno.EINTR);
    await body({ kernel, created, done, callers, proceed, interrupt });
  });
}

test('who looks at a name that a killed process was making sees it once it is there', async (t) => {
  await withKilled(t, async ({ kernel, created, proceed }) => {
    t.is(kernel.send('LOOKUP', { names: ['made'] }), undefined);
    const lookup = kernel.lastUnique;
    t.is(kernel.send('OPENDIR'), undefined);
    const opendir = kernel.lastUnique;
    await sleep(MOMENT_MS);
    t.is(kernel.replyTo(lookup), undefined);
    proceed();
    t.true(structOf(FUSE_ENTRY_OUT, await answerTo(kernel, lookup)).nodeid > 1);
    t.is((await answerTo(kernel, opendir)).errno, 0);
    await untilIdle(kernel);
    t.is(kernel.replyTo(created)?.errno, Errno.EINTR, 'answered once');
    t.is(kernel.session.pendingCount, 0);
  });
});

test('what removes such a name, or its folder, comes after what has made it', async (t) => {
  await withKilled(t, async ({ kernel, done, proceed }) => {
    t.is(kernel.send('UNLINK', { names: ['made'] }), undefined);
    const unlink = kernel.lastUnique;
    t.is(kernel.send('RMDIR', { names: ['missing'] }), undefined);
    const rmdir = kernel.lastUnique;
    await sleep(MOMENT_MS);
    t.deepEqual(done, []);
    proceed();
    t.is((await answerTo(kernel, unlink)).errno, 0);
    t.is((await answerTo(kernel, rmdir)).errno, Errno.ENOENT);
    t.deepEqual(done, ['create made', 'unlink made']);
    t.is(kernel.lookup('made').nodeid, 0);
  });
});

test('other names and other requests do not wait for it', async (t) => {
  await withKilled(t, ({ kernel }) => {
    t.is(kernel.lookup('other').nodeid, 0);
    t.is(kernel.call('GETATTR').errno, 0);
    t.is(kernel.call('UNLINK', { names: ['other'] }).errno, Errno.ENOENT);
  });
});

test('who waits for such a name can be interrupted, and has done nothing then', async (t) => {
  for (const isKilled of [true, false]) {
    await withKilled(t, async ({ kernel, done, callers, proceed, interrupt }) => {
      callers.isBeingKilled = () => isKilled;
      t.is(kernel.send('UNLINK', { names: ['made'] }), undefined);
      const unlink = kernel.lastUnique;
      interrupt(unlink);
      if (isKilled) t.not(kernel.replyTo(unlink), undefined, 'at once');
      t.is((await answerTo(kernel, unlink)).errno, Errno.EINTR);
      proceed();
      await untilIdle(kernel);
      t.deepEqual(done, ['create made']);
      t.is(kernel.session.pendingCount, 0);
    });
  }
});

test('the end of the mount ends the waiting', async (t) => {
  await withKilled(t, async ({ kernel, done, proceed }) => {
    t.is(kernel.send('UNLINK', { names: ['made'] }), undefined);
    kernel.device.unmount();
    await sleep(MOMENT_MS);
    proceed();
    await untilIdle(kernel);
    t.is(kernel.session.pendingCount, 0);
    t.deepEqual(done, ['create made']);
    t.deepEqual(kernel.events, ['gone']);
  });
});

test('the kernel is told to ask anew for names that may change after its caller was answered', async (t) => {
  await withKilled(t, ({ kernel, created }) => {
    const { written } = kernel.device;
    const answer = written.findIndex((message) => message.readUInt32LE(8) === created);
    const attributes = notifyInvalInode({ nodeid: 1, offset: -1, lengthBytes: 0 });
    const name = notifyInvalEntry({ parent: 1, name: Buffer.from('made') });
    t.deepEqual(written.slice(0, answer), [attributes, name]);
  });
});
