/**
 * The pino root and its component children. A daemon writes JSON lines to a file, `-f` writes readable lines to
 * stderr; either is written at once, so that a crash loses none. Failing to log never stops the file system.
 */
import { constants, renameSync, statSync, mkdirSync, openSync } from 'node:fs';
import { posix } from 'node:path';
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../log.ts';
import { displayPath } from '../fs/mount-table.ts';
import { FailureError, UsageError, errorCode } from './errors.ts';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LEVELS)[number];

/** Which lines are written. */
export interface LogLevels {
  level: LogLevel;
  /** Levels of components that differ. */
  components: Record<string, LogLevel>;
}

/** The root logger; {@link component} makes a child whose lines carry the component's name. */
export interface RootLogger extends Logger {
  component(name: string): Logger;
}

/** A log that grew beyond this is set aside when the next daemon opens it. */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** `info`, or `info,meta=debug`. Throws {@link UsageError}. */
export function parseLogLevels(text: string, debugFuse: boolean): LogLevels {
  const levels: LogLevels = { level: 'info', components: {} };
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const name = equals < 0 ? undefined : part.slice(0, equals);
    const value = part.slice(equals + 1).toLowerCase();
    const level = LEVELS.find((known) => known === value);
    if (level === undefined || name === '') {
      throw new UsageError(
        `log level "${part}" is unknown; write one of ${LEVELS.join(', ')}, or COMPONENT=LEVEL`,
      );
    }
    if (name === undefined) levels.level = level;
    else levels.components[name] = level;
  }
  if (debugFuse && levels.components['fuse'] !== 'trace') levels.components['fuse'] = 'debug';
  return levels;
}

/** JSON lines to an open file. */
export function jsonLogger(fd: number, levels: LogLevels): RootLogger {
  const destination = pino.destination({ dest: fd, sync: true });
  // A full disk or a vanished terminal must not end the file system.
  destination.on('error', () => undefined);
  return rootOf(destination, levels);
}

/** Readable lines to stderr. */
export function readableLogger(levels: LogLevels): RootLogger {
  const stream = pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY,
    ignore: 'pid,hostname,component',
    translateTime: 'SYS:HH:MM:ss.l',
    messageFormat: '{if component}{component}: {end}{msg}',
  });
  stream.on('error', () => undefined);
  return rootOf(stream, levels);
}

function rootOf(destination: DestinationStream, levels: LogLevels): RootLogger {
  const root = pino({ level: levels.level, base: { pid: process.pid } }, destination);
  return Object.assign(root, {
    component: (name: string): PinoLogger =>
      root.child({ component: name }, { level: levels.components[name] ?? levels.level }),
  });
}

/** Where daemons of this user log when nothing is said, best place first. `runDirectory` is private to the user. */
export function logDirectories(
  user: { uid: number; home: string | undefined; runDirectory: string },
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const fallback = posix.join(user.runDirectory, 'log');
  if (user.uid === 0) return ['/var/log/imssfs', fallback];
  const state = env['XDG_STATE_HOME'];
  if (state?.startsWith('/') === true) return [posix.join(state, 'imssfs'), fallback];
  // A relative one would mean another folder for each command.
  if (user.home?.startsWith('/') !== true) return [fallback];
  return [posix.join(user.home, '.local/state/imssfs'), fallback];
}

/** File name of a mount's log: `mnt-imss.log` for /mnt/imss. */
export function logFileName(mountPoint: Buffer): string {
  const name = displayPath(mountPoint)
    .replace(/^\/+/, '')
    .replaceAll('/', '-')
    .replace(/[^\w.@+-]+/g, '_');
  return `${name.slice(-200) || 'root'}.log`;
}

/** An open log file and its name. */
export interface LogFile {
  fd: number;
  path: string;
}

/** Opens `path` for appending. Throws {@link FailureError}. */
export function openLogFile(path: string): LogFile {
  try {
    setAsideIfLarge(path);
    return { fd: openSync(path, APPEND, 0o600), path };
  } catch (error) {
    throw new FailureError(
      `cannot write log file ${path} (${errorCode(error) ?? 'error'}); choose another place with --log-file`,
      { cause: error },
    );
  }
}

// O_NONBLOCK: a FIFO that nobody reads must fail, not hang.
const APPEND =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  constants.O_NOCTTY |
  constants.O_NONBLOCK;

/** Opens `name` in the first of `directories` that takes it. Throws {@link FailureError}. */
export function openDefaultLog(directories: readonly string[], name: string): LogFile {
  let failure: unknown;
  for (const directory of directories) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return openLogFile(posix.join(directory, name));
    } catch (error) {
      failure ??= error;
    }
  }
  const why = failure instanceof FailureError ? failure.message.split(';')[0] : errorCode(failure);
  throw new FailureError(
    `no place for the log file (${directories.join(', ')}: ${why ?? 'error'}); name one with --log-file`,
    { cause: failure },
  );
}

function setAsideIfLarge(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() === true && stat.size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
}
