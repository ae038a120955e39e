import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FailureError } from '../../../src/cli/errors.ts';
import { type RootLogger } from '../../../src/cli/logging.ts';
import type { ProcessUse } from '../../../src/cli/process-info.ts';
import { listRunStates } from '../../../src/cli/run-state.ts';
import { type ServeRequest, serveMount } from '../../../src/cli/serve.ts';
import { validateSettings } from '../../../src/config.ts';
import { FsError } from '../../../src/errno.ts';
import type { EngineEnd, UnmountMode } from '../../../src/fs/engine.ts';
import { silentLogger } from '../../../src/log.ts';

/** A mount under test: what happened to it, and the levers to make something happen. */
interface Stage {
  steps: string[];
  runDirectory: string;
  /** Modes in which an unmount finds the mount busy. */
  busy: Set<UnmountMode>;
  end(value: EngineEnd): void;
  signal(name: string): void;
  askCounts(): void;
  /** First arguments of the lines at level info. */
  logged: unknown[];
  crash(error: Error): void;
  request: ServeRequest;
  /** Resolves when the mount is ready. */
  ready: Promise<void>;
}

const COUNTS = {
  handles: 2,
  openFiles: 1,
  knownInodes: 3,
  lookups: 5,
  orphans: 0,
  inodes: 7,
  datasets: 6,
  usedBytes: 4096,
  touchedBytes: 8192,
  metadataBytes: 12_288,
  metadataFileBytes: 16_384,
};

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

function stage(t: ExecutionContext): Stage {
  const runDirectory = mkdtempSync(join(tmpdir(), 'imssfs-serve-'));
  t.teardown(() => {
    rmSync(runDirectory, { recursive: true });
  });
  const ended = deferred<EngineEnd>();
  const ready = deferred<undefined>();
  const steps: string[] = [];
  const busy = new Set<UnmountMode>();
  const logged: unknown[] = [];
  const logger: RootLogger = {
    ...silentLogger,
    info: (...words: unknown[]) => logged.push(words[0]),
    warn: (...words: unknown[]) => steps.push(`warn ${String(words.at(-1))}`),
    component: () => silentLogger,
  };
  const made: Stage = {
    steps,
    runDirectory,
    busy,
    end: ended.resolve,
    signal: () => undefined,
    askCounts: () => undefined,
    logged,
    crash: () => undefined,
    ready: ready.promise.then(() => undefined),
    request: {
      config: {
        settings: validateSettings({ capacity: '1G' }, 2 ** 40),
        request: {
          mountPoint: Buffer.from('/mnt/x'),
          source: 'imss://',
          readOnly: false,
          allowOther: false,
          defaultPermissions: true,
          acl: false,
          genericOptions: [],
        },
        metadataFile: undefined,
        cluster: undefined,
        debugFuse: false,
      },
      logger,
      runDirectory,
      logFile: '/var/log/imssfs/mnt-x.log',
      version: '0.1.0',
      startEngine: () =>
        Promise.resolve({
          engine: {
            start: () => Promise.resolve(),
            ended: ended.promise,
            unmount: (mode) => {
              steps.push(`unmount ${mode}`);
              if (busy.has(mode)) return Promise.reject(new FsError('EBUSY'));
              if (!busy.has('plain')) ended.resolve({ reason: 'unmounted' });
              return Promise.resolve();
            },
          },
          counts: () => COUNTS,
          describe: () => ['a second line'],
          close: () => {
            steps.push('close');
            return Promise.resolve();
          },
        }),
      tools: {
        isMounted: () => Promise.resolve(false),
        findHolders: () => Promise.resolve(['812 bash: cwd /mnt/x']),
        findForeignMounts: (minor) => Promise.resolve(minor === 51 ? ['900 containerd'] : []),
        listMounts: () =>
          Promise.resolve([{ mountPoint: Buffer.from('/mnt/x'), userId: 0, deviceMinor: 51 }]),
      },
      control: {
        onSignal: (handler) => (made.signal = handler),
        onCountsWanted: (handler) => (made.askCounts = handler),
        onCrash: (handler) => (made.crash = handler),
        exit: (code) => steps.push(`exit ${code}`),
        delay: () => new Promise(() => undefined),
      },
      onReady: (lines) => {
        steps.push(...lines);
        ready.resolve(undefined);
      },
    },
  };
  return made;
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  await new Promise(setImmediate);
}

const READY = `mounted imss:// at /mnt/x (capacity 1 GiB, pid ${process.pid}, log /var/log/imssfs/mnt-x.log)`; // prettier-ignore

test('a mount is told and noted when it is ready, and closed and forgotten when it ends', async (t) => {
  const it = stage(t);
  const exit = serveMount(it.request);
  await it.ready;
  t.like(listRunStates([it.runDirectory])[0], {
    pid: process.pid,
    phase: 'mounted',
    deviceMinor: 51,
  });
  it.end({ reason: 'unmounted' });
  t.is(await exit, 0);
  t.deepEqual(it.steps, [READY, 'a second line', 'close']);
  t.deepEqual(readdirSync(it.runDirectory), []);
});

test('a mount that fails ends with 1', async (t) => {
  const it = stage(t);
  const exit = serveMount(it.request);
  await it.ready;
  it.end({ reason: 'failed', error: new Error('the device is gone') });
  t.is(await exit, 1);
  t.is(it.steps.at(-1), 'close');
});

test('a mount that cannot start rejects and leaves no note', async (t) => {
  const it = stage(t);
  const failure = new FailureError('no /dev/fuse; load the module');
  await t.throwsAsync(serveMount({ ...it.request, startEngine: () => Promise.reject(failure) }), {
    is: failure,
  });
  t.deepEqual(readdirSync(it.runDirectory), []);
});

test('a signal unmounts', async (t) => {
  const it = stage(t);
  const exit = serveMount(it.request);
  await it.ready;
  it.signal('SIGTERM');
  t.is(await exit, 0);
  t.deepEqual(it.steps.slice(2), ['unmount plain', 'close']);
});

test('a signal before the mount is ready unmounts it as soon as it is', async (t) => {
  const it = stage(t);
  const exit = serveMount(it.request);
  it.signal('SIGINT');
  t.is(await exit, 0);
  t.true(it.steps.includes('unmount plain'));
});

test('a signal on a busy mount names its users, detaches, and serves until they are done', async (t) => {
  const it = stage(t);
  it.busy.add('plain');
  const exit = serveMount(it.request);
  await it.ready;
  it.signal('SIGTERM');
  await turns();
  t.deepEqual(it.steps.slice(2), [
    'unmount plain',
    'warn in use (812 bash: cwd /mnt/x); detached, and serving until they are done',
    'unmount lazy',
  ]);
  it.end({ reason: 'unmounted' });
  t.is(await exit, 0);
});

test('a signal on a mount that another mount namespace keeps says which', async (t) => {
  const it = stage(t);
  const { startEngine, control } = it.request;
  const exit = serveMount({
    ...it.request,
    control: { ...control, delay: () => Promise.resolve() },
    startEngine: async (config, logger) => {
      const mount = await startEngine(config, logger, () => undefined);
      return { ...mount, engine: { ...mount.engine, unmount: () => Promise.resolve() } };
    },
  });
  await it.ready;
  it.signal('SIGTERM');
  await turns();
  t.is(
    it.steps.at(-1),
    'warn unmounted, but still mounted in the mount namespace of 900 containerd; serving until it is gone',
  );
  it.end({ reason: 'unmounted' });
  t.is(await exit, 0);
});

test('a second signal ends at once, with the stores closed and the note gone', async (t) => {
  const it = stage(t);
  it.busy.add('plain').add('lazy');
  void serveMount(it.request);
  await it.ready;
  it.signal('SIGTERM');
  await turns();
  it.signal('SIGTERM');
  it.signal('SIGTERM');
  await turns();
  t.deepEqual(it.steps.slice(-2), ['close', 'exit 1']);
  t.is(it.steps.filter((step) => step === 'exit 1').length, 1);
  t.deepEqual(readdirSync(it.runDirectory), []);
});

test('an unmount that hangs does not keep a second signal from ending the process', async (t) => {
  const it = stage(t);
  void serveMount({
    ...it.request,
    control: { ...it.request.control, delay: () => Promise.resolve() },
    startEngine: async (config, logger) => {
      const mount = await it.request.startEngine(config, logger, () => undefined);
      return { ...mount, engine: { ...mount.engine, unmount: () => new Promise(() => undefined) } };
    },
  });
  await it.ready;
  it.signal('SIGTERM');
  it.signal('SIGTERM');
  await turns();
  t.is(it.steps.at(-1), 'exit 1');
});

test('a bug detaches the mount and ends the process with 1', async (t) => {
  const it = stage(t);
  it.busy.add('plain');
  void serveMount(it.request);
  await it.ready;
  it.crash(new TypeError('undefined'));
  await turns();
  t.deepEqual(it.steps.slice(2), ['unmount lazy', 'close', 'exit 1']);
});

test('a question that cannot be answered is one warning, and the mount goes on', async (t) => {
  const it = stage(t);
  const { startEngine } = it.request;
  it.request.startEngine = async (config, logger) => ({
    ...(await startEngine(config, logger, () => undefined)),
    counts: () => {
      throw new Error('too many open files');
    },
  });
  const exit = serveMount(it.request);
  await it.ready;
  t.notThrows(() => {
    it.askCounts();
  });
  t.true(it.steps.includes('warn cannot count'));
  it.end({ reason: 'unmounted' });
  t.is(await exit, 0);
});

test('what the mount holds is logged when asked for, and asking does no harm before and after', async (t) => {
  const it = stage(t);
  const exit = serveMount(it.request);
  it.askCounts();
  await it.ready;
  it.askCounts();
  it.end({ reason: 'unmounted' });
  await exit;
  it.askCounts();
  const lines = it.logged.filter((line) => typeof line === 'object') as {
    counts: unknown;
    process: ProcessUse;
  }[];
  t.deepEqual(
    lines.map(({ counts }) => counts),
    [undefined, COUNTS, undefined],
  );
  for (const { process: use } of lines) {
    t.true(use.rssBytes >= use.rssAnonBytes && use.rssAnonBytes > 0);
    t.true(use.heapUsedBytes > 0 && use.descriptors > 2);
  }
});
