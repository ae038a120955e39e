/**
 * Runs programs for the tests. Every run is bounded: past its time the whole process group is killed, and the
 * result says so instead of hanging the suite.
 */
import { spawn } from 'node:child_process';
import type { SpawnOptions } from 'node:child_process';

export interface RunOptions {
  cwd?: string;
  /** Added to the environment of the test process. */
  env?: Readonly<Record<string, string>>;
  uid?: number;
  gid?: number;
  input?: string | Buffer;
  timeoutMs?: number;
  /** Also ends what the program has left in its process group. */
  endsGroup?: boolean;
}

export interface RunResult {
  command: string;
  /** `null` when a signal ended the program. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
  /** False when something outlives the program and still holds its output open. */
  outputClosed: boolean;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** How long after a program's end we still wait for its output to be closed. */
const DRAIN_MS = 2_000;

/** Runs `file` to its end; resolves whatever its exit status, rejects only if it cannot be started. */
export function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, spawnOptions(options));
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) killGroup(child.pid);
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('exit', (status, signal) => {
      clearTimeout(timer);
      const finish = (outputClosed: boolean): void => {
        clearTimeout(drain);
        if (options.endsGroup === true && child.pid !== undefined) killGroup(child.pid);
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve({
          command: [file, ...args].join(' '),
          status,
          signal,
          stdout: Buffer.concat(stdout).toString(),
          stderr: Buffer.concat(stderr).toString(),
          timedOut,
          outputClosed,
        });
      };
      const drain = setTimeout(finish, DRAIN_MS, false);
      child.on('close', () => {
        finish(true);
      });
    });
  });
}

function spawnOptions(options: RunOptions): SpawnOptions {
  return {
    cwd: options.cwd ?? '/',
    env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}

/** Like {@link run}, and throws with the program's output unless it ended with status 0. */
export async function runOk(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(file, args, options);
  if (result.status !== 0) throw new Error(describe(result));
  return result;
}

/** Runs a shell script that stops at its first failure; returns its output without the last newline. */
export async function sh(script: string, options: RunOptions = {}): Promise<string> {
  const result = await runOk('/bin/sh', ['-euc', script], { ...options, endsGroup: true });
  return result.stdout.replace(/\n$/, '');
}

/** Runs a shell script that is expected to fail and returns all it said. */
export async function shFails(script: string, options: RunOptions = {}): Promise<string> {
  const result = await run('/bin/sh', ['-euc', script], { ...options, endsGroup: true });
  if (result.status === 0) throw new Error(`This should have failed:\n${describe(result)}`);
  return result.stdout + result.stderr;
}

/** Command, how it ended and what it said, for a failure's message. */
export function describe(result: RunResult): string {
  const end = result.timedOut
    ? 'ran out of time'
    : result.signal === null
      ? `ended with status ${String(result.status)}`
      : `was ended by ${result.signal}`;
  return `${result.command}\n${end}\n${result.stdout}${result.stderr}`;
}
