import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { claimMountPoint } from '../../../src/cli/claim.ts';
import { FailureError } from '../../../src/cli/errors.ts';
import { ownIdentity, startTicksOf } from '../../../src/cli/process-info.ts';
import type { RunState } from '../../../src/cli/run-state.ts';
import { tryLockFile } from '../../../src/meta/file-lock.ts';

const OWN: RunState = {
  ...ownIdentity(),
  mountPoint: Buffer.from('/mnt/x'),
  phase: 'starting',
  source: 'imss://',
  deviceMinor: undefined,
  logFile: undefined,
  version: '',
};
const FREE = { isMounted: () => Promise.resolve(false) };

function temporary(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imssfs-claim-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

/** Notes another process that runs: the one that started this. */
function noteOther(directory: string, change: Partial<Record<string, unknown>> = {}): void {
  const { mountPoint, ...rest } = OWN;
  const state = {
    ...rest,
    pid: process.ppid,
    startTicks: startTicksOf(process.ppid),
    mountPointHex: mountPoint.toString('hex'),
    ...change,
  };
  writeFileSync(join(directory, `${process.ppid}.json`), JSON.stringify(state));
}

test('a free place is claimed and noted', async (t) => {
  const runDirectory = temporary(t);
  const claim = await claimMountPoint(OWN, { runDirectory, tools: FREE });
  t.deepEqual(readdirSync(runDirectory), [`${process.pid}.json`]);
  claim.remove();
});

test('whoever comes second is refused, also if they were started first', async (t) => {
  const runDirectory = temporary(t);
  noteOther(runDirectory);
  await t.throwsAsync(claimMountPoint(OWN, { runDirectory, tools: FREE }), {
    instanceOf: FailureError,
    message: `pid ${process.ppid} is mounting at /mnt/x right now; wait for it`,
  });
  t.deepEqual(readdirSync(runDirectory), [`${process.ppid}.json`]);
});

test('a mount that came since the mount point was checked is not covered by another', async (t) => {
  const runDirectory = temporary(t);
  const tools = { isMounted: () => Promise.resolve(true) };
  await t.throwsAsync(claimMountPoint(OWN, { runDirectory, tools }), {
    instanceOf: FailureError,
    message: /^\/mnt\/x is already an imssfs mount; unmount it first/,
  });
  t.deepEqual(readdirSync(runDirectory), []);
});

test('those who mount elsewhere, and a daemon that lives on detached, are in nobody’s way', async (t) => {
  const runDirectory = temporary(t);
  noteOther(runDirectory, { mountPointHex: Buffer.from('/mnt/y').toString('hex') });
  (await claimMountPoint(OWN, { runDirectory, tools: FREE })).remove();
  noteOther(runDirectory, { phase: 'mounted' });
  (await claimMountPoint(OWN, { runDirectory, tools: FREE })).remove();
  t.pass();
});

test('a claim waits for another to be made, but not for ever', async (t) => {
  const runDirectory = temporary(t);
  const fd = openSync(runDirectory, 'r');
  t.true(tryLockFile(fd));
  await t.throwsAsync(claimMountPoint(OWN, { runDirectory, tools: FREE, lockTimeoutMs: 0 }), {
    instanceOf: FailureError,
    message: /^another process holds \S+ since 0 s; end it, then try again$/,
  });
  const waiting = claimMountPoint(OWN, { runDirectory, tools: FREE });
  closeSync(fd);
  (await waiting).remove();
});
