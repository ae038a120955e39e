/**
 * The two halves of going into the background. The command starts a detached process of the same program and
 * waits for its word over an IPC channel; the daemon mounts or serves, says `ready` or `error`, and lets go.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { displayPath } from '../fs/mount-table.ts';
import {
  type Failure,
  EXIT_FAILURE,
  FailureError,
  StartFailure,
  failureOf,
  oneLine,
} from './errors.ts';
import { type LogFile, type LogLevels } from './logging.ts';
import { formatAddress } from '../net/hostfile.ts';
import type { MountConfig } from './running-mount.ts';
import type { ServerPlan } from './server-config.ts';

/** Set in the environment of the process that is to become the daemon. */
const DAEMON_VARIABLE = 'IMSSFS_DAEMON';

/** How long a daemon may take from its start until the mount answers. */
export const START_TIMEOUT_MS = 60_000;

/** How long a daemon that failed or was told to end may take to do so. */
const END_TIMEOUT_MS = 5000;

/**
 * Mebibytes of each half of V8's young generation, 16 by default: a busy daemon soon touches both halves and a third of
 * that size, although nearly all that it allocates dies at once. Measured, 4 take 20 MB less and no more CPU.
 */
const DAEMON_FLAGS = ['--max-semi-space-size=4'];

/** What the daemon is to do. */
export type DaemonTask =
  | { task: 'mount'; config: MountConfig; runDirectory: string }
  | { task: 'server'; plan: ServerPlan };

/** What the command hands over. */
export type DaemonRequest = { logFile: string; logLevels: LogLevels } & DaemonTask;

/** The daemon's last word to the command. */
type DaemonReply = { type: 'ready'; lines: string[] } | ({ type: 'error' } & Failure);

/** A line for the person who waits at the shell. */
interface DaemonNote {
  type: 'note';
  line: string;
}

/** How the command's half works. */
export interface StartOptions {
  /** Script that the daemon is started from. */
  entry: string;
  cancelled: Cancellation;
  timeoutMs?: number;
  /** Takes what the daemon has to say before it is ready. */
  onNote?: (line: string) => void;
}

/** Ends the wait early: a signal to the command. */
export type Cancellation = Promise<string>;

/** Command's half: resolves to the lines to print, rejects with {@link StartFailure}. */
export async function startDaemon(
  request: DaemonRequest,
  log: LogFile,
  options: StartOptions,
): Promise<string[]> {
  const logOffset = fstatSync(log.fd).size;
  const child = spawn(
    process.execPath,
    // The arguments are for those who look at `ps`; what counts goes over the channel, whole.
    [...DAEMON_FLAGS, ...process.execArgv, options.entry, ...titleOf(request)],
    {
      detached: true,
      cwd: '/',
      stdio: ['ignore', 'ignore', log.fd, 'ipc'],
      serialization: 'advanced',
      env: { ...process.env, [DAEMON_VARIABLE]: '1' },
    },
  );
  closeSync(log.fd);
  const reply = await firstWord(child, request, options);
  if (child.connected) child.disconnect();
  child.unref();
  if (reply === undefined) {
    throw new StartFailure({
      message: `the daemon ended before the ${request.task} was ready: ${lastWords(log.path, logOffset)}; see ${log.path}`,
      exitCode: EXIT_FAILURE,
    });
  }
  if (reply.type === 'error') throw new StartFailure(reply);
  return reply.lines;
}

function titleOf(request: DaemonRequest): string[] {
  if (request.task === 'mount') return [displayPath(request.config.request.mountPoint)];
  const { kind, config } = request.plan;
  return ['server', kind, formatAddress(config.listenHost, config.port), request.logFile];
}

/** Resolves to undefined if the process ended without a word. Rejects when it takes too long. */
async function firstWord(
  child: ChildProcess,
  request: DaemonRequest,
  options: StartOptions,
): Promise<DaemonReply | undefined> {
  const timeoutMs = options.timeoutMs ?? START_TIMEOUT_MS;
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<undefined>((resolve) => {
    child.once('exit', () => {
      resolve(undefined);
    });
  });
  const word = new Promise<DaemonReply | undefined>((resolve, reject) => {
    child.once('error', reject);
    child.on('message', (message) => {
      const said = message as DaemonReply | DaemonNote;
      if (said.type === 'note') options.onNote?.(said.line);
      else resolve(said);
    });
    child.once('exit', () => {
      // A message that was sent right before the end is delivered before the channel closes.
      if (child.connected)
        child.once('disconnect', () => { resolve(undefined); }); // prettier-ignore
      else resolve(undefined);
    });
    timer = setTimeout(() => {
      reject(
        new FailureError(
          `the ${request.task} was not ready after ${timeoutMs / 1000} s; see ${request.logFile}`,
        ),
      );
    }, timeoutMs);
    void options.cancelled.then((signal) => {
      reject(new FailureError(`ended by ${signal} before the ${request.task} was ready`));
    });
  });
  child.send(request, () => undefined);
  try {
    const reply = await word;
    // A daemon that could not mount ends by itself; nothing of it is left when the command returns.
    if (reply?.type === 'error') await endChild(child, ended, false);
    return reply;
  } catch (error) {
    await endChild(child, ended, true);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the daemon's end, asking for it if `ask` is set, and makes it end if it does not. */
async function endChild(
  child: ChildProcess,
  ended: Promise<undefined>,
  ask: boolean,
): Promise<void> {
  if (child.pid === undefined) return;
  if (ask) child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}

/** What a process that died wrote last to its log: an error of ours, or of Node itself. */
export function lastWords(path: string, fromOffset: number): string {
  const lines = tailOf(path, fromOffset)
    .split('\n')
    .map(wordsOf)
    .filter((line) => line !== '');
  const telling = lines.find((line) => /\b(\w*Error|FATAL|fatal|cannot)\b/.test(line));
  return telling ?? lines.at(-1) ?? 'it left no message';
}

const TAIL_BYTES = 64 * 1024;

function tailOf(path: string, fromOffset: number): string {
  try {
    const fd = openSync(path, 'r');
    try {
      const start = Math.max(fromOffset, fstatSync(fd).size - TAIL_BYTES);
      const buffer = Buffer.alloc(TAIL_BYTES);
      return buffer.toString('utf8', 0, readSync(fd, buffer, 0, TAIL_BYTES, start));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

/** The text of a log line; empty for the routine ones. */
function wordsOf(line: string): string {
  if (!line.startsWith('{')) return oneLine(line);
  try {
    const entry = JSON.parse(line) as { level?: number; msg?: string; err?: { message?: string } };
    if ((entry.level ?? 0) < 50) return '';
    return oneLine([entry.msg, entry.err?.message].filter((part) => part !== undefined).join(': '));
  } catch {
    return oneLine(line);
  }
}

/** The daemon's half of the channel. */
export interface DaemonChannel {
  readonly request: DaemonRequest;
  /** Sends the first word and lets go of the command; resolves when it has been sent. */
  reply(reply: DaemonReply): Promise<void>;
  /** Says something to the person at the shell, as long as the command waits. */
  note(line: string): void;
  /** Calls `handler` if the command ends before the reply. */
  onAbandoned(handler: () => void): void;
}

/** Takes the request; undefined in a process that is not to become a daemon. */
export async function daemonChannel(): Promise<DaemonChannel | undefined> {
  if (process.env[DAEMON_VARIABLE] !== '1' || process.send === undefined) return undefined;
  // Children of ours are ordinary processes again.
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- assigning undefined would set it
  delete process.env[DAEMON_VARIABLE];
  const request = await new Promise<DaemonRequest>((resolve, reject) => {
    process.once('message', (message) => {
      resolve(message as DaemonRequest);
    });
    process.once('disconnect', () => {
      reject(new FailureError('the command ended before it said what to do'));
    });
  });
  let replied = false;
  return {
    request,
    reply: (reply) =>
      new Promise((resolve) => {
        replied = true;
        process.send?.(reply, () => {
          if (process.connected) process.disconnect();
          resolve();
        });
      }),
    note: (line) => {
      if (!replied && process.connected)
        process.send?.({ type: 'note', line } satisfies DaemonNote);
    },
    onAbandoned: (handler) => {
      process.once('disconnect', () => {
        if (!replied) handler();
      });
    },
  };
}

/** The reply when what was asked for cannot be done. */
export function errorReply(error: unknown): DaemonReply {
  return { type: 'error', ...failureOf(error) };
}
