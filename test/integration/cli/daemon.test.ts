import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { isRunning, startTicksOf } from '../../../src/cli/process-info.ts';
import { type Outcome, runProgram } from '../../support/run-program.ts';

const program = fileURLToPath(new URL('../../support/fake-imssfs.js', import.meta.url));
const WAIT_MS = 15_000;

/** One mount point, log and mark of its own; no mount is ever made. */
class Stage {
  readonly base: string;
  readonly mark: string;
  readonly mountPoint: string;
  readonly log: string;

  constructor(t: ExecutionContext) {
    this.base = mkdtempSync(join(tmpdir(), 'imssfs-daemon-'));
    this.mark = join(this.base, 'mark');
    this.mountPoint = join(this.base, 'm');
    this.log = join(this.base, 'daemon.log');
    mkdirSync(this.mountPoint);
    t.teardown(() => {
      rmSync(this.base, { recursive: true });
    });
  }

  environment(behaviour: string): Record<string, string> {
    return { FAKE_ENGINE: behaviour, FAKE_MARK: this.mark };
  }

  run(behaviour: string, args: readonly string[] = []): Promise<Outcome> {
    return runProgram(
      process.execPath,
      [program, '--log-file', this.log, ...args, this.mountPoint],
      {
        cwd: this.base,
        env: this.environment(behaviour),
      },
    );
  }

  spawn(behaviour: string, args: readonly string[] = []): ChildProcess {
    return spawn(process.execPath, [program, ...args, this.mountPoint], {
      env: { ...process.env, ...this.environment(behaviour) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  get steps(): string[] {
    return existsSync(this.mark) ? readFileSync(this.mark, 'utf8').trim().split('\n') : [];
  }

  endMount(): void {
    writeFileSync(`${this.mark}.end`, '');
  }
}

function pidIn(text: string): number {
  const pid = Number(/pid (\d+)/.exec(text)?.[1]);
  if (!Number.isInteger(pid)) throw new TypeError(`no pid in ${text}`);
  return pid;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('waited too long');
    await sleep(20);
  }
}

test('the command returns when the mount is ready, and names the daemon and its log', async (t) => {
  const stage = new Stage(t);
  const { code, stdout, stderr } = await stage.run('serve', ['-S', '1G', '--log-level', 'debug']);
  t.deepEqual([code, stderr], [0, '']);
  const [first, second] = stdout.split('\n');
  t.regex(first ?? '', /^mounted imss:\/\/ at \S+\/m \(capacity 1 GiB, pid \d+, log \S+\/daemon.log\)$/); // prettier-ignore
  t.is(second, 'dropped 3 datasets whose blocks are gone');
  const pid = pidIn(stdout);
  const startTicks = startTicksOf(pid) ?? -1;
  t.is(readlinkSync(`/proc/${pid}/cwd`), '/');
  t.is(readlinkSync(`/proc/${pid}/fd/0`), '/dev/null');
  t.is(readlinkSync(`/proc/${pid}/fd/2`), stage.log);
  const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  t.deepEqual(fds.filter((link) => link.startsWith('socket:')), []); // prettier-ignore
  stage.endMount();
  await until(() => !isRunning({ pid, startTicks }));
  t.deepEqual(stage.steps, [`start ${Buffer.from(stage.mountPoint).toString('hex')} /`, 'close']);
  const lines = readFileSync(stage.log, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
  t.true(lines.some((line) => line['component'] === 'fuse' && line['msg'] === 'a request'));
  t.is(lines.at(-1)?.['msg'], 'unmounted');
});

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return 'closed meanwhile';
  }
}

test('SIGTERM unmounts and ends the daemon', async (t) => {
  const stage = new Stage(t);
  const pid = pidIn((await stage.run('serve')).stdout);
  const startTicks = startTicksOf(pid) ?? -1;
  process.kill(pid, 'SIGTERM');
  await until(() => !isRunning({ pid, startTicks }));
  t.deepEqual(stage.steps.slice(1), ['unmount plain', 'close']);
});

test('SIGTERM on a busy mount detaches it, a second one ends the daemon', async (t) => {
  const stage = new Stage(t);
  const pid = pidIn((await stage.run('busy')).stdout);
  const startTicks = startTicksOf(pid) ?? -1;
  process.kill(pid, 'SIGTERM');
  await until(() => stage.steps.includes('unmount lazy'));
  t.true(isRunning({ pid, startTicks }));
  t.true(readFileSync(stage.log, 'utf8').includes('in use (812 bash: cwd /mnt/x/a'));
  process.kill(pid, 'SIGTERM');
  await until(() => !isRunning({ pid, startTicks }));
  t.is(stage.steps.at(-1), 'close');
});

test('an uncaught exception is logged, the mount detached, and the daemon ends', async (t) => {
  const stage = new Stage(t);
  const pid = pidIn((await stage.run('crash')).stdout);
  const startTicks = startTicksOf(pid) ?? -1;
  await until(() => !isRunning({ pid, startTicks }));
  t.deepEqual(stage.steps.slice(1), ['unmount lazy', 'close']);
  t.regex(readFileSync(stage.log, 'utf8'), /"level":60.*a bug.*fake-imssfs/);
});

const START_FAILURES = [
  ['refuse', 1, /^imssfs: no \/dev\/fuse here; load the module fuse\n$/],
  ['usage', 2, /^imssfs: a wrong word; write another\n$/],
  ['bug', 1, /^imssfs: internal error: undefined is not a function; please report it\n$/],
  ['die', 1, /^imssfs: the daemon ended before the mount was ready: FATAL ERROR: the heap is full; see \S+daemon.log\n$/],
] as const; // prettier-ignore
for (const [behaviour, exitCode, message] of START_FAILURES) {
  test(`a daemon that cannot start (${behaviour}) is told in one line, and leaves no process`, async (t) => {
    const stage = new Stage(t);
    const { code, stdout, stderr } = await stage.run(behaviour);
    t.deepEqual([code, stdout], [exitCode, '']);
    t.regex(stderr, message);
    t.throws(() => daemonOf(stage.mountPoint), { message: /no daemon/ });
  });
}

test('Ctrl-C while the daemon starts ends both', async (t) => {
  const stage = new Stage(t);
  const command = stage.spawn('hang', ['--log-file', stage.log]);
  const ended = new Promise((resolve) => command.once('exit', resolve));
  await until(() => stage.steps.length === 1);
  const daemon = daemonOf(stage.mountPoint);
  command.kill('SIGINT');
  t.is(await ended, 1);
  await until(() => !isRunning(daemon));
});

/** The process whose last argument is the mount point and whose parent is not this one. */
function daemonOf(mountPoint: string): { pid: number; startTicks: number } {
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0');
      const pid = Number(name);
      if (args.includes(mountPoint) && !args.includes('--log-file')) {
        return { pid, startTicks: startTicksOf(pid) ?? -1 };
      }
    } catch {
      // It ended while we looked.
    }
  }
  throw new Error(`no daemon for ${mountPoint}`);
}

test('-f serves in this process, with readable logs, until Ctrl-C', async (t) => {
  const stage = new Stage(t);
  const child = stage.spawn('serve', ['-f', '--debug-fuse']);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = new Promise((resolve) => child.once('close', resolve));
  await until(() => stdout.includes('\n'));
  t.is(pidIn(stdout), child.pid ?? 0);
  child.kill('SIGINT');
  t.is(await ended, 0);
  t.regex(stderr, /DEBUG: fuse: a request\n/);
  t.false(stderr.includes('{"level"'));
  t.deepEqual(stage.steps.slice(1), ['unmount plain', 'close']);
});

test('-f ends with 1 when the mount fails', async (t) => {
  const stage = new Stage(t);
  const { code, stderr } = await runProgram(process.execPath, [program, '-f', stage.mountPoint], {
    env: stage.environment('fail'),
  });
  t.is(code, 1);
  t.regex(stderr, /the device is gone/);
});

test('a mount point that is no UTF-8 reaches the daemon byte for byte', async (t) => {
  const stage = new Stage(t);
  const shell = `exec "$0" "$1" -f "$(printf '%s/d\\377\\376' "$2")"`;
  mkdirSync(Buffer.concat([Buffer.from(`${stage.base}/d`), Buffer.from([0xff, 0xfe])]));
  stage.endMount();
  const { code } = await runProgram(
    '/bin/sh',
    ['-c', shell, process.execPath, program, stage.base],
    {
      env: stage.environment('serve'),
    },
  );
  t.is(code, 0);
  t.is(stage.steps[0], `start ${Buffer.from(`${stage.base}/d`).toString('hex')}fffe /`);
});

test('a dead mount is recovered before the mount, a live one is left alone', async (t) => {
  const stage = new Stage(t);
  stage.endMount();
  const options = { env: { ...stage.environment('serve'), FAKE_STATE: 'dead' } };
  const dead = await runProgram(process.execPath, [program, '-f', stage.mountPoint], options);
  t.is(dead.code, 0);
  t.regex(
    dead.stderr,
    /imssfs: \S+\/m was a dead mount of an imssfs that had ended; unmounted it\n/,
  );
  t.is(stage.steps[0], 'recover');
  const alive = await runProgram(process.execPath, [program, '-f', stage.mountPoint], {
    env: { ...options.env, FAKE_STATE: 'alive' },
  });
  t.is(alive.code, 1);
  t.regex(alive.stderr, /^imssfs: \S+\/m is already an imssfs mount; unmount it first with: umount-imss \S+\n$/); // prettier-ignore
});

test('a log file that cannot be written is told before anything starts', async (t) => {
  const stage = new Stage(t);
  const { code, stderr } = await stage.run('serve', ['--log-file', '/proc/nowhere/x.log']);
  t.is(code, 1);
  t.regex(stderr, /^imssfs: cannot write log file \/proc\/nowhere\/x.log \(ENOENT\); choose another place with --log-file\n$/); // prettier-ignore
  t.deepEqual(stage.steps, []);
});
