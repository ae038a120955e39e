import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FailureError, UsageError } from '../../../src/cli/errors.ts';
import { type MountPointContext, canonicalPath, checkMountPoint } from '../../../src/cli/mount-point.ts'; // prettier-ignore

function temporary(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imssfs-point-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

function context(change: Partial<MountPointContext> = {}): MountPointContext {
  return {
    tools: {
      mountState: () => Promise.resolve('none'),
      recoverDeadMount: () => Promise.reject(new Error('nothing to recover')),
    },
    running: [],
    isRoot: true,
    allowNonEmpty: false,
    ...change,
  };
}

test('an empty directory is taken, symlinks and slashes at the end resolved', async (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'm'));
  symlinkSync('m', join(base, 'link'));
  t.deepEqual(await checkMountPoint(Buffer.from(join(base, 'link//')), context()), {
    path: Buffer.from(join(base, 'm')),
    notes: [],
  });
});

test('a directory that is no UTF-8 is taken as it is', async (t) => {
  const base = temporary(t);
  const path = Buffer.concat([Buffer.from(`${base}/`), Buffer.from([0xff, 0xfe])]);
  mkdirSync(path);
  t.deepEqual((await checkMountPoint(path, context())).path, path);
});

test('a directory that is not empty is taken with a warning', async (t) => {
  const base = temporary(t);
  writeFileSync(join(base, 'a'), '');
  const { notes } = await checkMountPoint(Buffer.from(base), context());
  t.is(notes.length, 1);
  t.regex(notes[0] ?? '', /is not empty; what is in it is hidden until you unmount/);
  const quiet = await checkMountPoint(Buffer.from(base), context({ allowNonEmpty: true }));
  t.deepEqual(quiet.notes, []);
});

test('a missing mount point, a file and an empty name are refused', async (t) => {
  const base = temporary(t);
  writeFileSync(join(base, 'file'), '');
  symlinkSync('loop', join(base, 'loop'));
  const check = (name: string): Promise<unknown> =>
    checkMountPoint(Buffer.from(join(base, name)), context());
  await t.throwsAsync(check('no'), {
    instanceOf: FailureError,
    message: /mount point \S+\/no does not exist; make it with: mkdir -p \S+\/no$/,
  });
  await t.throwsAsync(check('file'), { message: /is not a directory; name an existing directory/ });
  await t.throwsAsync(check('file/x'), { message: /is not a directory/ });
  await t.throwsAsync(check('loop'), { message: /is a loop of symlinks/ });
  await t.throwsAsync(checkMountPoint(Buffer.alloc(0), context()), { instanceOf: UsageError });
});

test('a directory that holds what imssfs needs is refused', async (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'a'));
  const needed = [{ path: join(base, 'a', 'log'), what: 'the log file' }];
  for (const path of [base, join(base, 'a')]) {
    await t.throwsAsync(checkMountPoint(Buffer.from(path), context({ needed })), {
      instanceOf: FailureError,
      message: `${path} holds the log file, which a mount would hide; name another directory`,
    });
  }
  for (const path of ['/', '/proc', '/sys', '/dev']) {
    await t.throwsAsync(checkMountPoint(Buffer.from(path), context()), {
      message: /^\S+ holds .+, which a mount would hide/,
    });
  }
  mkdirSync(join(base, 'a', 'log-of-another'));
  const free = Buffer.from(join(base, 'a', 'log-of-another'));
  t.deepEqual((await checkMountPoint(free, context({ needed }))).notes, []);
});

test('a mount that lives is refused, and the process that serves it is named', async (t) => {
  const base = temporary(t);
  const alive = context({
    tools: { ...context().tools, mountState: () => Promise.resolve('alive') },
    running: [
      {
        pid: 4711,
        startTicks: 1,
        mountPoint: Buffer.from(base),
        phase: 'mounted',
        source: 'imss://',
        deviceMinor: undefined,
        logFile: undefined,
        version: '',
        file: '',
      },
    ],
  });
  await t.throwsAsync(checkMountPoint(Buffer.from(base), alive), {
    instanceOf: FailureError,
    message: /is already an imssfs mount \(pid 4711\); unmount it first with: umount-imss /,
  });
});

test('a dead mount is taken away, and that is said', async (t) => {
  const base = temporary(t);
  const recovered: string[] = [];
  const dead = context({
    tools: {
      mountState: () => Promise.resolve('dead'),
      recoverDeadMount: (path) => {
        recovered.push(path.toString());
        return Promise.resolve();
      },
    },
  });
  const { notes } = await checkMountPoint(Buffer.from(base), dead);
  t.deepEqual(recovered, [base]);
  t.regex(notes[0] ?? '', /was a dead mount of an imssfs that had ended; unmounted it/);
});

test('what cannot be unmounted because it does not exist is told without advice to make it', async (t) => {
  await t.throwsAsync(canonicalPath(Buffer.from('/nowhere/x'), 'unmount'), {
    message: '/nowhere/x does not exist; name the directory where imssfs is mounted',
  });
});
