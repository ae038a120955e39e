/**
 * The command `umount-imss`: unmounts, and waits until the process that served the mount has ended, so that its
 * memory is free when the command returns.
 */
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { FsError } from '../errno.ts';
import type { UnmountMode } from '../fs/engine.ts';
import { displayPath } from '../fs/mount-table.ts';
import { bytesOf, joinPath, textOf } from './bytes-path.ts';
import type { ClusterRequest } from './cluster-config.ts';
import { EXIT_USAGE, FailureError, UsageError, failureOf, oneLine } from './errors.ts';
import { canonicalPath } from './mount-point.ts';
import type { ListedMount, MountTools } from './mount-tools.ts';
import { type Answer, HELP_FLAGS, VERSION_FLAGS, runParser } from './options.ts';
import { PATIENCE_MS, saying } from './patience.ts';
import { isRunning } from './process-info.ts';
import {
  type StoredRunState,
  allRunDirectories,
  listRunStates,
  runDirectories,
} from './run-state.ts';
import { META_SERVER_OPTIONS, type MetaServersLine } from './status-command.ts';
import { type StopValues, serversToStop, stopLine, stopServers } from './stop-servers.ts';
import { packageVersion } from './version.ts';

const DEFAULT_TIMEOUT_S = 60;
const POLL_MS = 20;
const FORCE_ATTEMPTS = 10;
const FORCE_PAUSE_MS = 100;
/** How long a lazy unmount waits for a process that nobody uses any more. */
const LAZY_WAIT_MS = 1000;

export const UMOUNT_USAGE = `Usage: umount-imss [options] MOUNTPOINT...
"umount-imss --help" explains the options.`;

/** What the command works with. */
export interface UmountProgram {
  tools: MountTools;
  /** Arguments as latin1 strings (see bytes-path.ts). */
  args: readonly string[];
  uid: number;
  /** Folder that relative mount points are meant from; the process itself stands elsewhere. */
  cwd: Buffer;
  /** Mounts whose daemon runs. */
  runStates(): StoredRunState[];
  sleep(ms: number): Promise<unknown>;
  print(line: string): void;
  printError(line: string): void;
  /** Ends the servers of a file system; resolves to their addresses. */
  stopServers(
    request: ClusterRequest,
    options: { force: boolean; timeoutMs: number },
  ): Promise<readonly string[]>;
}

interface UmountRequest {
  mode: UnmountMode;
  all: boolean;
  verbose: boolean;
  timeoutMs: number;
  mountPoints: Buffer[];
  /** Undefined if servers are to be left alone. */
  stop: MetaServersLine | undefined;
}

/** The commander definition; exported for documentation and tests. */
export function umountCommand(version: string): Command {
  const command = new Command('umount-imss')
    .argument('[MOUNTPOINT...]', 'where imssfs is mounted')
    .description(
      'Unmounts imssfs file systems, and returns when their processes have ended and their memory is free.',
    )
    .addOption(new Option('-l, --lazy', 'detach now; it goes on until its last user is gone'))
    .addOption(new Option('-f, --force', 'abort requests that hang, then unmount'))
    .addOption(new Option('-a, --all', 'all imssfs mounts of this user (as root: of all users)'))
    .addOption(new Option('-v, --verbose', 'say what is done'))
    .addOption(
      new Option(
        '--stop-servers',
        'afterwards end the servers of the file system, if nobody has it mounted any more; with --force in any case',
      ),
    );
  // Here, -a is --all.
  for (const [flags, help] of META_SERVER_OPTIONS) {
    command.addOption(new Option(flags.replace(/^-\w, /, ''), `for --stop-servers: ${help}`));
  }
  return command
    .addOption(
      new Option(
        '--timeout <seconds>',
        `how long to wait for the process to end (default: ${DEFAULT_TIMEOUT_S})`,
      ),
    )
    .helpOption(HELP_FLAGS, 'show this help')
    .version(version, VERSION_FLAGS, 'show the version')
    .addHelpText(
      'after',
      '\nExit code: 0 all unmounted, 1 failure (such as a busy mount), 2 wrong usage.',
    )
    .configureHelp({ helpWidth: 100 });
}

/** Parses the arguments of `umount-imss`. Throws {@link UsageError}. */
export function parseUmountLine(args: readonly string[], version: string): UmountRequest | Answer {
  const command = umountCommand(version);
  const answer = runParser(command, args);
  if (answer !== undefined) return answer;
  const values = command.opts<UmountValues>();
  const all = values.all === true;
  const stop = stopLine(values);
  const namesServers = stop?.metaHostfile !== undefined || stop?.metaHosts !== undefined;
  if (all && command.args.length > 0) {
    throw new UsageError('--all and a mount point are given; leave out one of them');
  }
  if (!all && command.args.length === 0 && !namesServers) {
    throw new UsageError('no mount point is given; name one, or use --all');
  }
  if (values.lazy === true && values.force === true) {
    throw new UsageError('--lazy and --force are given; leave out one of them');
  }
  const timeout = values.timeout ?? String(DEFAULT_TIMEOUT_S);
  if (!/^\d{1,6}(\.\d+)?$/.test(timeout)) {
    throw new UsageError(`timeout "${textOf(timeout)}" is not valid; give seconds, such as 60`);
  }
  return {
    mode: values.lazy === true ? 'lazy' : values.force === true ? 'force' : 'plain',
    all,
    verbose: values.verbose === true,
    timeoutMs: Number(timeout) * 1000,
    mountPoints: command.args.map(bytesOf),
    stop,
  };
}

interface UmountValues extends StopValues {
  force?: true;
  all?: true;
  verbose?: true;
  timeout?: string;
}

/** Runs the command and resolves to its exit code; errors have been printed. */
export async function runUmount(program: UmountProgram): Promise<number> {
  if (program.args.length === 0) {
    program.printError(UMOUNT_USAGE);
    return EXIT_USAGE;
  }
  try {
    const request = parseUmountLine(program.args, packageVersion());
    if ('text' in request) {
      program.print(request.text.trimEnd());
      return 0;
    }
    const mountPoints = request.all ? await ownMounts(program) : request.mountPoints;
    if (request.all && mountPoints.length === 0 && request.verbose)
      program.print('nothing is mounted');
    const servers = await serversToStop(request.stop, mountPoints, {
      cwd: program.cwd,
      serversOf: (path) => serversOf(program, path),
    });
    let exitCode = 0;
    // The last one first: a mount may lie inside an earlier one.
    for (const mountPoint of request.all ? mountPoints.toReversed() : mountPoints) {
      exitCode = Math.max(exitCode, await reporting(program, () => unmountOne(program, request, mountPoint))); // prettier-ignore
    }
    if (exitCode !== 0) return exitCode;
    for (const each of servers) {
      exitCode = Math.max(
        exitCode,
        await reporting(program, () => stopAll(program, request, each)),
      );
    }
    return exitCode;
  } catch (error) {
    return reporting(program, () => {
      throw error;
    });
  }
}

async function reporting(program: UmountProgram, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    const { message, exitCode } = failureOf(error);
    program.printError(`umount-imss: ${message}`);
    return exitCode;
  }
}

/** The servers of the file system that is mounted there. */
async function serversOf(
  program: UmountProgram,
  mountPoint: Buffer,
): Promise<StoredRunState['servers']> {
  const path = await canonicalPath(absolute(program, mountPoint), 'unmount');
  return daemonOf(program, path)?.servers;
}

async function stopAll(
  program: UmountProgram,
  request: UmountRequest,
  servers: ClusterRequest,
): Promise<void> {
  const force = request.mode === 'force';
  const stopped = await program.stopServers(servers, { force, timeoutMs: request.timeoutMs });
  if (request.verbose) program.print(`stopped ${stopped.join(', ')}`);
}

function absolute(program: UmountProgram, path: Buffer): Buffer {
  return path[0] === 0x2f ? path : joinPath(program.cwd, path);
}

async function ownMounts(program: UmountProgram): Promise<Buffer[]> {
  const mounts = await program.tools.listMounts();
  return mounts
    .filter((mount) => program.uid === 0 || mount.userId === program.uid)
    .map((mount) => mount.mountPoint);
}

async function unmountOne(
  program: UmountProgram,
  request: UmountRequest,
  given: Buffer,
): Promise<void> {
  if (given.length === 0)
    throw new UsageError('the mount point is empty; name where imssfs is mounted');
  const path = await canonicalPath(absolute(program, given), 'unmount');
  const shown = displayPath(path);
  const state = await saying(program.tools.mountState(path), () => {
    program.printError(`umount-imss: waiting for the mount at ${shown} to answer`);
  });
  if (state === 'none') throw await noMount(program, path);
  if (state === 'dead') {
    await program.tools.recoverDeadMount(path);
    program.print(`${shown} was a dead mount of an imssfs that had ended; unmounted it`);
    return;
  }
  const daemon = daemonOf(program, path);
  // Before unmounting: as soon as the file system is gone, another one may get its device number.
  const mounts = await program.tools.listMounts();
  const minor = mounts.findLast((mount) => mount.mountPoint.equals(path))?.deviceMinor;
  const bound = otherPlaces(mounts, path, minor);
  await unmountLive(program, path, request.mode);
  if (request.verbose)
    program.print(`${request.mode === 'lazy' ? 'detached' : 'unmounted'} ${shown}`);
  if (bound.length > 0) {
    // With --all their turn comes, and a detached file system goes on anyway.
    if (request.all || request.mode === 'lazy') return;
    const places = bound.join(' ');
    throw new FailureError(
      `unmounted ${shown}, but the same file system is at ${places} as well; unmount that too, with: umount-imss ${places}`,
    );
  }
  if (daemon !== undefined) await waitForEnd(program, request, { ...daemon, minor });
}

/** Where else the file system with this device number is mounted: it lives on until it is unmounted everywhere. */
function otherPlaces(
  mounts: readonly ListedMount[],
  path: Buffer,
  minor: number | undefined,
): string[] {
  return mounts
    .filter((mount) => mount.deviceMinor === minor && !mount.mountPoint.equals(path))
    .map((mount) => displayPath(mount.mountPoint));
}

/** The process that serves the mount at `path`: the latest, as an earlier one may live on there, detached. */
function daemonOf(program: UmountProgram, path: Buffer): StoredRunState | undefined {
  return program
    .runStates()
    .filter((known) => known.phase === 'mounted' && known.mountPoint.equals(path))
    .sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid)
    .at(-1);
}

async function noMount(program: UmountProgram, path: Buffer): Promise<FailureError> {
  const shown = displayPath(path);
  const around = (await program.tools.listMounts()).find((mount) =>
    isBelow(path, mount.mountPoint),
  );
  return new FailureError(
    around === undefined
      ? `${shown} is not an imssfs mount; see the imssfs lines of: findmnt -t fuse.imssfs`
      : `${shown} is not a mount but lies inside one; unmount ${displayPath(around.mountPoint)}`,
  );
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  const prefix = Buffer.concat([directory, Buffer.from('/')]);
  return path.subarray(0, prefix.length).equals(prefix);
}

/** A forced unmount first fails what hangs; those who waited for it need a moment to let go. */
async function unmountPatiently(
  program: UmountProgram,
  path: Buffer,
  mode: UnmountMode,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await program.tools.unmount(path, mode);
      return;
    } catch (error) {
      const busy = error instanceof FsError && error.code === 'EBUSY';
      if (!busy || mode !== 'force' || attempt === FORCE_ATTEMPTS) throw error;
    }
    await program.sleep(FORCE_PAUSE_MS);
  }
}

async function unmountLive(program: UmountProgram, path: Buffer, mode: UnmountMode): Promise<void> {
  const shown = displayPath(path);
  try {
    await unmountPatiently(program, path, mode);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    if (error.code === 'EBUSY') {
      const found = await program.tools.findHolders(path);
      throw new FailureError(
        found.length === 0
          ? `${shown} is busy (${error.message}); try again, or detach it with --lazy`
          : `${shown} is in use (${oneLine(found.join(', '))}); let them end or leave it first, or detach it with --lazy`,
        { cause: error },
      );
    }
    throw error;
  }
}

async function waitForEnd(
  program: UmountProgram,
  request: UmountRequest,
  daemon: StoredRunState & { minor: number | undefined },
): Promise<void> {
  const lazy = request.mode === 'lazy';
  const start = performance.now();
  const deadline = start + (lazy ? Math.min(LAZY_WAIT_MS, request.timeoutMs) : request.timeoutMs);
  let told = false;
  while (isRunning(daemon)) {
    const now = performance.now();
    if (now >= deadline) {
      if (!lazy) throw stillRunning(request, daemon);
      program.print(`pid ${daemon.pid} goes on until the last user of the mount is gone`);
      return;
    }
    if (!told && now - start >= PATIENCE_MS) {
      told = true;
      program.printError(await whatItWaitsFor(program, daemon));
    }
    await program.sleep(POLL_MS);
  }
  if (request.verbose) program.print(`pid ${daemon.pid} has ended`);
}

async function whatItWaitsFor(
  program: UmountProgram,
  daemon: { pid: number; minor: number | undefined },
): Promise<string> {
  const text = `umount-imss: unmounted; waiting for pid ${daemon.pid} to end and free its memory`;
  if (daemon.minor === undefined) return text;
  const found = await program.tools.findForeignMounts(daemon.minor);
  if (found.length === 0) return text;
  return `${text}; it is still mounted in the mount namespace of ${oneLine(found.join(', '))}`;
}

function stillRunning(request: UmountRequest, daemon: StoredRunState): FailureError {
  const log = daemon.logFile === undefined ? '' : `; see ${daemon.logFile}`;
  return new FailureError(
    `unmounted, but pid ${daemon.pid} has not ended after ${request.timeoutMs / 1000} s${log}`,
  );
}

/** The command in this process, which leaves its working folder: a mount that it stood in would be in use. */
export function umountProgram(tools: MountTools, args: readonly string[]): UmountProgram {
  const uid = process.getuid?.() ?? 0;
  const directories = uid === 0 ? allRunDirectories() : runDirectories(uid, process.env);
  const cwd = readlinkSync('/proc/self/cwd', { encoding: 'buffer' });
  process.chdir('/');
  return {
    tools,
    args,
    uid,
    cwd,
    runStates: () => listRunStates(directories),
    sleep: (ms) => sleep(ms),
    print: (line) => process.stdout.write(`${line}\n`),
    printError: (line) => process.stderr.write(`${line}\n`),
    stopServers,
  };
}
