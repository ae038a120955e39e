import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterConfig } from '../../../src/cli/cluster-config.ts';
import test, { type ExecutionContext } from 'ava';
import { FailureError } from '../../../src/cli/errors.ts';
import { isRunning, ownIdentity, startTicksOf } from '../../../src/cli/process-info.ts';
import {
  type RunState,
  RunStateFile,
  listRunStates,
  makeRunDirectory,
  runDirectories,
  serversApart,
} from '../../../src/cli/run-state.ts';

const uid = process.getuid?.() ?? 0;

function temporary(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imssfs-run-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

function ownState(change: Partial<RunState> = {}): RunState {
  return {
    ...ownIdentity(),
    mountPoint: Buffer.from([0x2f, 0x6d, 0xff]),
    phase: 'starting',
    source: 'imss://',
    deviceMinor: undefined,
    logFile: '/var/log/x.log',
    version: '0.1.0',
    servers: undefined,
    ...change,
  };
}

test('what a daemon notes is read back, a mount point that is no UTF-8 included', (t) => {
  const directory = temporary(t);
  const file = new RunStateFile(directory, ownState());
  file.update({ phase: 'mounted', deviceMinor: 51 });
  const path = join(directory, `${process.pid}.json`);
  t.deepEqual(listRunStates([directory]), [
    { ...ownState({ phase: 'mounted', deviceMinor: 51 }), file: path },
  ]);
  t.is(statSync(path).mode & 0o777, 0o600);
  file.remove();
  t.deepEqual(listRunStates([directory]), []);
});

test('a file of a process that is gone is removed, also when its number is in use again', (t) => {
  const directory = temporary(t);
  new RunStateFile(directory, ownState({ startTicks: ownIdentity().startTicks - 1 }));
  t.deepEqual(listRunStates([directory]), []);
  t.false(existsSync(join(directory, `${process.pid}.json`)));
});

test('files that are no run states are removed, other files stay, missing directories are empty', (t) => {
  const directory = temporary(t);
  for (const text of ['', '{', 'null', '[]', '{"pid":1}', '{"pid":"x","startTicks":0}']) {
    writeFileSync(join(directory, '1.json'), text);
    t.deepEqual(listRunStates([directory, '/nowhere']), [], text);
    t.false(existsSync(join(directory, '1.json')), text);
  }
  writeFileSync(join(directory, 'notes.txt'), '');
  t.deepEqual(listRunStates([directory]), []);
  t.true(existsSync(join(directory, 'notes.txt')));
});

test('the run directory is private, and the next one is taken where it cannot be had', (t) => {
  const base = temporary(t);
  const wanted = join(base, 'run');
  t.is(makeRunDirectory(['/proc/nowhere/run', wanted], uid), wanted);
  t.is(statSync(wanted).mode & 0o777, 0o700);
  chmodSync(wanted, 0o755);
  t.is(makeRunDirectory([wanted], uid), wanted);
  t.is(statSync(wanted).mode & 0o777, 0o700);
});

test("a run directory that is a symlink or another user's is refused", (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'real'));
  symlinkSync('real', join(base, 'link'));
  t.throws(() => makeRunDirectory([join(base, 'link')], uid), { instanceOf: FailureError });
  t.throws(() => makeRunDirectory([join(base, 'real')], uid + 1), {
    instanceOf: FailureError,
    message: /belongs to another user/,
  });
});

test('root notes its mounts in /run, users in their runtime directory, either has a fallback', (t) => {
  t.deepEqual(runDirectories(0, { XDG_RUNTIME_DIR: '/x' }), ['/run/imssfs', '/tmp/imssfs-0']);
  t.deepEqual(runDirectories(7, { XDG_RUNTIME_DIR: '/x' }), ['/x/imssfs', '/tmp/imssfs-7']);
  t.deepEqual(runDirectories(7, {}), ['/tmp/imssfs-7']);
});

test('a process is known by its number and its start', (t) => {
  t.true(isRunning(ownIdentity()));
  t.false(isRunning({ ...ownIdentity(), startTicks: 1 }));
  t.is(startTicksOf(2 ** 30), undefined);
});

test('a mount with servers apart notes how they are asked, and any other notes none', (t) => {
  const directory = temporary(t);
  const host = { host: 'node1', port: 5569, addresses: ['10.0.0.1'], thisMachine: false };
  const secret = { file: '/s', insecure: false };
  const cluster: ClusterConfig = {
    deployment: 2,
    metaServers: [host],
    blockServers: undefined,
    ownMeta: undefined,
    ownBlocks: undefined,
    nearBlockServer: undefined,
    secret,
    waitSeconds: 60,
    blockSizeIsExplicit: false,
  };
  const servers = serversApart(cluster);
  t.deepEqual(servers, { metaServers: [{ host: 'node1', port: 5569 }], secret });
  t.is(serversApart({ ...cluster, deployment: 0 }), undefined);
  t.is(serversApart(undefined), undefined);
  new RunStateFile(directory, ownState({ servers }));
  t.deepEqual(listRunStates([directory])[0]?.servers, servers);
});
