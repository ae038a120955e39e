import test from 'ava';
import { Errno, FsError } from '../../../../src/errno.ts';
import { InvariantError } from '../../../../src/invariant.ts';
import type { Logger } from '../../../../src/log.ts';
import { silentLogger } from '../../../../src/log.ts';
import { callbacksFor } from '../../../../src/fs/native/callbacks.ts';
import { makeEngineFuse } from '../../../../src/fs/native/engine-fuse.ts';
import type { Fuse } from '../../../../src/fs/native/fuse-native.d.ts';
import { threadEvents } from '../../../../src/fs/native/native-engine.ts';
import { Runner } from '../../../../src/fs/native/runner.ts';
import type { Vfs } from '../../../../src/fs/vfs.ts';
import { runSync, runTask, type Task } from '../../../../src/task.ts';
import {
  type Answer,
  fakeFuseNative,
  numberOf,
  type OperationName,
} from '../../../support/fake-fuse-native.ts';
import { withStores } from '../../../support/stores.ts';

const RECORD_BYTES = 360;
const O_TRUNC = 0o1000;

interface Stage {
  vfs: Vfs;
  fuse: Fuse;
  bugs: unknown[];
  errors: unknown[];
  /** Calls a handler as libfuse's thread does; resolves to what it answered, the latest. */
  call: (operation: OperationName, ...parameters: unknown[]) => Promise<Answer | undefined>;
  answers: Answer[];
  record: Buffer;
}

async function onStage(body: (stage: Stage) => Promise<void>): Promise<void> {
  await withStores({}, async ({ vfs }) => {
    const answers: Answer[] = [];
    const bugs: unknown[] = [];
    const errors: unknown[] = [];
    const onBug = (error: unknown): void => void bugs.push(error);
    const note = (line: unknown): unknown => errors.push(line);
    const logger = { ...silentLogger, error: note, warn: note, fatal: note };
    const caller = { uid: 1000, gid: 1001, pid: 0 };
    const operations = callbacksFor({ vfs, caller, logger, debug: false, onBug });
    const fuse = makeEngineFuse(fakeFuseNative(answers), '/nowhere', operations, {
      optionText: '-ofsname=test',
      onBug,
      onUnknownRecord: () => errors.push('unknown record'),
      ...threadEvents(logger, () => {
        throw new Error('aborted');
      }),
    });
    const record = Buffer.alloc(RECORD_BYTES);
    const call = async (
      operation: OperationName,
      ...parameters: unknown[]
    ): Promise<Answer | undefined> => {
      fuse._handlers[numberOf(operation)]?.(record, numberOf(operation), ...parameters);
      await new Promise(setImmediate);
      return answers.at(-1);
    };
    await body({ vfs, fuse, bugs, errors, call, answers, record });
  });
}

test.serial('no request is ever answered by a timer', async (t) => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  await onStage(async ({ vfs, fuse, call, answers }) => {
    t.is(fuse.timeout, 0);
    let finish: (value: never) => void = () => undefined;
    const never = new Promise<never>((resolve) => (finish = resolve));
    vfs.statfs = function* () {
      yield never;
      throw new FsError('ENOSPC');
    };
    const before = timers();
    await call('statfs', '/');
    t.is(timers(), before);
    t.deepEqual(answers, []);
    finish(undefined as never);
    await new Promise(setImmediate);
    t.like(answers[0], { operation: 'statfs', result: -Errno.ENOSPC });
    t.is(answers.length, 1);
  });
  // The same package as it comes: it does set one.
  const Plain = fakeFuseNative([]);
  const plain = new Plain('/nowhere', { statfs: () => undefined } as never, { timeout: 100 });
  const before = timers();
  plain._handlers[numberOf('statfs')]?.(Buffer.alloc(RECORD_BYTES), numberOf('statfs'), '/');
  t.is(timers(), before + 1);
});

test('an expected failure is its errno and logs nothing', async (t) => {
  await onStage(async ({ call, errors, bugs }) => {
    t.is((await call('getattr', '/missing'))?.result, -Errno.ENOENT);
    t.is((await call('open', '/missing', 0))?.result, -Errno.ENOENT);
    t.is((await call('rmdir', '/'))?.result, -Errno.EBUSY);
    t.is((await call('read', '/x', 7, Buffer.alloc(9), 9, 0, 0))?.result, -Errno.EBADF);
    t.deepEqual([errors, bugs], [[], []]);
  });
});

test('what is no errno becomes EIO and one line of the log, and the mount goes on', async (t) => {
  await onStage(async ({ vfs, call, errors, bugs, answers }) => {
    // eslint-disable-next-line require-yield -- it throws
    vfs.statfs = function* () {
      throw new RangeError('odd');
    };
    t.is((await call('statfs', '/'))?.result, -Errno.EIO);
    vfs.statfs = function* () {
      yield Promise.resolve();
      throw new RangeError('odd and late');
    };
    t.is((await call('statfs', '/'))?.result, -Errno.EIO);
    t.is(answers.length, 2);
    t.is(errors.length, 2);
    t.deepEqual(bugs, []);
    t.is((await call('getattr', '/'))?.result, 0);
  });
});

test('no line is made for a log that does not want it', (t) => {
  const describe = (): string => {
    throw new Error('nobody asked');
  };
  // eslint-disable-next-line require-yield -- it throws
  function* missing(): Task<never> {
    throw new FsError('ENOENT');
  }
  const lines: string[] = [];
  const logger = { ...silentLogger, debug: (line: string) => lines.push(line) } as Logger;
  const onBug = t.fail.bind(t);
  const results: number[] = [];
  const done = (result: number): void => void results.push(result);
  const vfs = { isShutDown: false };
  new Runner({ vfs, logger, debug: false, onBug }).perform(describe, missing(), done);
  new Runner({ vfs, logger, debug: true, onBug }).perform(() => 'a request', missing(), done);
  t.deepEqual(results, [-Errno.ENOENT, -Errno.ENOENT]);
  t.deepEqual(lines, ['a request -> ENOENT']);
});

test('a broken invariant is answered by EIO and ends the mount', async (t) => {
  await onStage(async ({ vfs, call, bugs }) => {
    const bug = new InvariantError('broken');
    // eslint-disable-next-line require-yield -- it throws
    vfs.statfs = function* () {
      throw bug;
    };
    t.is((await call('statfs', '/'))?.result, -Errno.EIO);
    t.deepEqual(bugs, [bug]);
  });
});

test('an exception in the engine itself ends the mount', async (t) => {
  await onStage(async ({ fuse, call, bugs, answers }) => {
    const bug = new Error('in the engine');
    fuse.ops.getattr = () => {
      throw bug;
    };
    await call('getattr', '/');
    t.deepEqual(bugs, [bug]);
    t.deepEqual(answers, []);
  });
});

test('the thousandth thread of libfuse is worth one warning', async (t) => {
  await onStage(async ({ fuse, errors }) => {
    for (let count = 1; count < 1000; count++) fuse._malloc(400);
    t.deepEqual(errors, []);
    for (let count = 1000; count < 2500; count++) fuse._malloc(400);
    t.is(fuse._threads.size, 2499);
    t.is(errors.length, 1);
    t.regex(String(errors[0]), /threads 1000 times.*--engine kernel/);
    await Promise.resolve();
  });
});

test('a thread for which there is no memory ends the process: the C half would use what it has not got', async (t) => {
  await onStage(async ({ fuse, errors, bugs }) => {
    t.throws(() => fuse._malloc(-1), { message: 'aborted' });
    t.like(errors, [{ err: { name: 'RangeError' } }]);
    t.deepEqual(bugs, []);
    await Promise.resolve();
  });
});

test('both times of a utimens arrive, before 1970 too', async (t) => {
  await onStage(async ({ vfs, call, record, errors }) => {
    await call('mkdir', '/d', 0o755);
    const set = async (atimeMs: bigint, mtimeMs: bigint): Promise<number | undefined> => {
      record.writeBigInt64LE(atimeMs, 104);
      record.writeBigInt64LE(mtimeMs, 112);
      const words = [record.readUInt32LE(104), record.readUInt32LE(108)];
      return (await call('utimens', '/d', ...words, ...words))?.result;
    };
    t.is(await set(1_234_567_890_500n, -7_500n), 0);
    const { value } = vfs.lookup(vfs.root, Buffer.from('d')).next() as {
      value: { stat: { atime: unknown; mtime: unknown } };
    };
    t.deepEqual(value.stat.atime, { seconds: 1_234_567_890, nanoseconds: 500_000_000 });
    t.deepEqual(value.stat.mtime, { seconds: -8, nanoseconds: 500_000_000 });
    // A record that does not hold the access time where it should: nothing is changed.
    record.fill(0);
    t.is((await call('utimens', '/d', 5, 0, 5, 0))?.result, -Errno.EOPNOTSUPP);
    t.deepEqual(errors, ['unknown record']);
  });
});

test('attributes are told by handle when the path is gone, and files keep small numbers', async (t) => {
  await onStage(async ({ call }) => {
    for (let round = 0; round < 3; round++) {
      t.deepEqual((await call('create', '/f', 0o644))?.values, [1]);
      t.is((await call('write', '/f', 1, Buffer.from('12345'), 5, 0, 0))?.result, 5);
      t.is((await call('ftruncate', '/f', 1, 3, 0))?.result, 0);
      await call('unlink', '/f');
      const told = await call('fgetattr', '/f', 1);
      t.is(told?.result, 0);
      const [ints] = told?.values as [Uint32Array];
      // Mode, uid, gid, size (two words).
      t.deepEqual([...ints.slice(0, 5)], [0o100644, 1000, 1001, 3, 0]);
      t.is((await call('release', '/f', 1))?.result, 0);
      t.is((await call('release', '/f', 1))?.result, -Errno.EBADF);
    }
    await call('create', '/g', 0o600);
    t.deepEqual((await call('open', '/g', O_TRUNC))?.values, [2]);
  });
});

test('what is read is in the buffer, and what was written may be reused', async (t) => {
  await onStage(async ({ call }) => {
    await call('create', '/f', 0o644);
    const written = Buffer.from('hello');
    await call('write', '/f', 1, written, 5, 3, 0);
    written.fill(0);
    const room = Buffer.alloc(10, 0xff);
    t.is((await call('read', '/f', 1, room, 10, 1, 0))?.result, 7);
    t.is(room.toString('latin1'), '\0\0hello\xff\xff\xff');
  });
});

test('attribute values: their size without room, ERANGE with too little, whole with enough', async (t) => {
  await onStage(async ({ call }) => {
    const value = Buffer.from('value');
    t.is((await call('setxattr', '/', 'user.a', value, 0, 0))?.result, 0);
    value.fill(0);
    t.is((await call('getxattr', '/', 'user.a', Buffer.alloc(0), 0))?.result, 5);
    t.is((await call('getxattr', '/', 'user.a', Buffer.alloc(4), 0))?.result, -Errno.ERANGE);
    const room = Buffer.alloc(5);
    t.is((await call('getxattr', '/', 'user.a', room, 0))?.result, 5);
    t.is(room.toString(), 'value');
    t.is((await call('getxattr', '/', 'user.b', room, 0))?.result, -Errno.ENODATA);
    t.is((await call('listxattr', '/', Buffer.alloc(0)))?.result, 7);
    t.is((await call('listxattr', '/', Buffer.alloc(6)))?.result, -Errno.ERANGE);
    const list = Buffer.alloc(7);
    t.is((await call('listxattr', '/', list))?.result, 7);
    t.is(list.toString(), 'user.a\0');
  });
});

test('all entries of a listing share one array of attributes', async (t) => {
  await onStage(async ({ vfs, call }) => {
    await call('mkdir', '/d', 0o755);
    await call('create', '/f', 0o644);
    t.is((await call('readdir', '/missing'))?.result, -Errno.ENOENT);
    const [names, stats] = (await call('readdir', '/'))?.values as [string[], Uint32Array[]];
    t.deepEqual(names, ['.', '..', 'd', 'f']);
    t.is(new Set(stats.map(({ buffer }) => buffer)).size, 1);
    const { stat } = runSync(vfs.lookup(vfs.root, Buffer.from('f')));
    t.deepEqual(
      stats.map(({ length }) => length),
      [18, 18, 18, 18],
    );
    t.is((stats[2]?.[0] ?? 0) & 0o170000, 0o040000);
    t.is((stats[3]?.[0] ?? 0) & 0o170000, 0o100000);
    t.is(stats[3]?.[7], stat.inode % 2 ** 32);
  });
});

test('trusted attributes are not listed for an ordinary user', async (t) => {
  await onStage(async ({ vfs, call }) => {
    for (const name of ['trusted.a', 'user.b', 'trusted.c']) {
      await runTask(vfs.xattrs.set(vfs.root, Buffer.from(name), Buffer.of(1), 'either'));
    }
    const list = Buffer.alloc(100);
    t.is((await call('listxattr', '/', list))?.result, 7);
    t.is(list.toString('latin1', 0, 7), 'user.b\0');
  });
});

test('once the stores are being closed, whatever still comes is refused and touches nothing', async (t) => {
  await onStage(async ({ vfs, call, errors, bugs }) => {
    await call('create', '/f', 0o644);
    await runTask(vfs.shutdown());
    t.is((await call('release', '/f', 1))?.result, -Errno.EIO);
    t.is((await call('getattr', '/'))?.result, -Errno.EIO);
    t.is((await call('create', '/g', 0o644))?.result, -Errno.EIO);
    t.is((await call('read', '/f', 1, Buffer.alloc(9), 9, 0, 0))?.result, -Errno.EIO);
    t.deepEqual([errors, bugs], [[], []]);
  });
});

test('names that may have lost bytes are refused, and left out of listings', async (t) => {
  await onStage(async ({ vfs, call }) => {
    const spec = { mode: 0o100644, uid: 0, gid: 0 };
    for (const name of [Buffer.from('good \u{1F600}'), Buffer.of(0xff), Buffer.from('\uFFFD')]) {
      vfs.make({ parent: vfs.root, name }, spec).next();
    }
    for (const operation of ['getattr', 'unlink', 'readdir', 'readlink'] as const) {
      t.is((await call(operation, '/\uFFFD'))?.result, -Errno.EILSEQ, operation);
    }
    t.is((await call('symlink', '\uFFFD', '/l'))?.result, -Errno.EILSEQ);
    t.is((await call('setxattr', '/', 'user.\uFFFD', Buffer.of(1), 0, 0))?.result, -Errno.EILSEQ);
    const listed = (await call('readdir', '/'))?.values as [string[], Uint32Array[]];
    t.deepEqual(listed[0], ['.', '..', 'good \u{1F600}']);
    t.is(listed[1].length, 3);
  });
});
