/**
 * The command `imssfs`: reads the command line, checks what is cheap to check, then serves the mount here (`-f`)
 * or starts a daemon that does. What it mounts is injected, so that tests run it without a file system.
 */
import { realpathSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Settings, validateSettings } from '../config.ts';
import { usableMemoryBytes } from '../machine-memory.ts';
import { systemNetwork } from '../net/hostfile.ts';
import { goToBackground } from './background.ts';
import { bytesOf, textOf } from './bytes-path.ts';
import {
  EXIT_FAILURE, EXIT_USAGE, UsageError, failureOf, oneLine,
} from './errors.ts'; // prettier-ignore
import { runInfoCommand } from './info-command.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { clusterOf } from './cluster-hosts.ts';
import { INSECURE_NOTE, absoluteFile, clusterInput } from './cluster-options.ts';
import { type DaemonChannel, START_TIMEOUT_MS, daemonChannel, errorReply } from './daemon.ts';
import { runInstallCommand } from './helper-install.ts';
import {
  type LogLevels, jsonLogger, logFileName, openLogFile, parseLogLevels, readableLogger,
} from './logging.ts'; // prettier-ignore
import { type MountOptions, parseMountOptions } from './mount-options.ts';
import { applySource } from './mount-source.ts';
import { type Needed, checkMountPoint } from './mount-point.ts';
import type { MountTools } from './mount-tools.ts';
import { type CommandLine, SHORT_USAGE, parseCommandLine } from './options.ts';
import { processControl } from './process-control.ts';
import { listRunStates, makeRunDirectory, runDirectories } from './run-state.ts';
import type { MountConfig, StartEngine } from './running-mount.ts';
import { type ServerStarters, runServerCommand, runServerDaemon } from './server-command.ts';
import { serveMount } from './serve.ts';
import { packageVersion } from './version.ts';

/** What the command works with. */
export interface ImssfsProgram {
  startEngine: StartEngine;
  starters: ServerStarters;
  tools: MountTools;
  /** Arguments as latin1 strings (see bytes-path.ts). */
  args: readonly string[];
  /** Script that a daemon is started from: the one that runs now. */
  entry: string;
}

/** Runs the command and resolves to its exit code; errors have been printed. */
export async function runImssfs(program: ImssfsProgram): Promise<number> {
  try {
    const channel = await daemonChannel();
    return channel === undefined ? await runCommand(program) : await runDaemon(program, channel);
  } catch (error) {
    const { message, exitCode } = failureOf(error);
    process.stderr.write(`imssfs: ${message}\n`);
    return exitCode;
  }
}

async function runCommand(program: ImssfsProgram): Promise<number> {
  if (program.args.length === 0) {
    process.stderr.write(`${SHORT_USAGE}\n`);
    return EXIT_USAGE;
  }
  const [first, ...rest] = program.args;
  // Mount points by these names are ./server, ./info and so on.
  if (first === 'server') return runServerCommand(rest, program);
  if (first === 'status') return (await import('./status-command.ts')).runStatusCommand(rest);
  if (first === 'info') return runInfoCommand(rest);
  if (first === 'install-mount-helper') return runInstallCommand(rest);
  const line = parseCommandLine(program.args, packageVersion());
  if ('text' in line) {
    process.stdout.write(line.text);
    return 0;
  }
  const plan = await checkEverything(applySource(line), program.tools);
  return plan.foreground ? serveInForeground(program, plan) : toBackground(program, plan);
}

/** A mount that nothing speaks against so far. */
interface MountPlan {
  config: MountConfig;
  foreground: boolean;
  quiet: boolean;
  logLevels: LogLevels;
  /** `--log-file`, absolute. */
  logFile: string | undefined;
  runDirectory: string;
}

async function checkEverything(line: CommandLine, tools: MountTools): Promise<MountPlan> {
  const uid = process.getuid?.() ?? 0;
  const settings = validateSettings(settingsText(line), usableMemoryBytes());
  const options = parseMountOptions(line.options.map(textOf), {
    allowOther: uid === 0 && settings.engine === 'kernel',
    source: settings.rootUri,
  });
  const logLevels = parseLogLevels(textOf(line.logLevel ?? 'info'), line.debugFuse === true);
  const logFile = absoluteFile('--log-file', line.logFile);
  const metadataFile = absoluteFile('-M', line.metadataFile);
  if (line.mountPoint === undefined) {
    throw new UsageError('no mount point is given; write imssfs [options] MOUNTPOINT');
  }
  const cluster = await clusterOf(await clusterInput(line, settings, process.env), systemNetwork());
  const runDirectory = makeRunDirectory(runDirectories(uid, process.env), uid);
  const { path, notes } = await checkMountPoint(bytesOf(line.mountPoint), {
    tools,
    running: listRunStates([runDirectory]),
    isRoot: uid === 0,
    allowNonEmpty: options.allowNonEmpty,
    needed: neededPaths({ runDirectory, logFile, metadataFile }),
    onWaiting: (note) => process.stderr.write(`imssfs: ${oneLine(note)}\n`),
  });
  for (const note of [...notes, ...settingNotes(settings, cluster)]) {
    process.stderr.write(`imssfs: ${oneLine(note)}\n`);
  }
  const request = mountRequest(path, options);
  const debugFuse = line.debugFuse === true;
  return {
    config: { settings, request, metadataFile, cluster, debugFuse },
    foreground: line.foreground === true,
    quiet: line.quiet === true,
    logLevels,
    logFile,
    runDirectory,
  };
}

/** What this process and its daemon go on using by name. */
function neededPaths(files: {
  runDirectory: string;
  logFile: string | undefined;
  metadataFile: string | undefined;
}): Needed[] {
  const found: { path: string | undefined; what: string }[] = [
    { path: process.execPath, what: 'Node.js' },
    { path: fileURLToPath(import.meta.url), what: 'imssfs itself' },
    { path: files.runDirectory, what: `the run-time files (${files.runDirectory})` },
    { path: files.logFile, what: 'the log file' },
    { path: files.metadataFile, what: 'the metadata file' },
  ];
  return found.flatMap(({ path, what }) =>
    path === undefined ? [] : [{ path: withoutSymlinks(path), what }],
  );
}

/** A file may be missing yet; then its folder counts. */
function withoutSymlinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = posix.dirname(path);
    return parent === path ? path : posix.join(withoutSymlinks(parent), posix.basename(path));
  }
}

function mountRequest(mountPoint: Buffer, options: MountOptions): MountConfig['request'] {
  const { source, readOnly, allowOther, defaultPermissions, acl, genericOptions } = options;
  return { mountPoint, source, readOnly, allowOther, defaultPermissions, acl, genericOptions };
}

function settingNotes(settings: Settings, cluster: ClusterConfig | undefined): string[] {
  if (cluster?.secret.insecure === true) return [INSECURE_NOTE];
  if (settings.replication === 1 || cluster !== undefined) return [];
  return [
    `-R ${settings.replication} is kept with new files, but one machine holds one copy of each block`,
  ];
}

/** The settings as the shell passed them, as text. */
function settingsText(line: CommandLine): Parameters<typeof validateSettings>[0] {
  const text = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : textOf(value);
  return {
    dataPort: text(line.dataPort),
    metaPort: text(line.metaPort),
    blockSize: text(line.blockSize),
    capacity: text(line.capacity),
    bufferSize: text(line.bufferSize),
    metaBufferSize: text(line.metaBufferSize),
    root: text(line.root),
    deployment: text(line.deployment),
    policy: text(line.policy),
    replication: text(line.replication),
    metaServers: text(line.metaServers),
    engine: text(line.engine),
    busyPoll: text(line.busyPoll),
    wait: text(line.wait),
  };
}

async function serveInForeground(program: ImssfsProgram, plan: MountPlan): Promise<number> {
  const file = plan.logFile === undefined ? undefined : openLogFile(plan.logFile);
  const logger =
    file === undefined ? readableLogger(plan.logLevels) : jsonLogger(file.fd, plan.logLevels);
  process.chdir('/');
  return serveMount({
    ...plan,
    logger,
    logFile: plan.logFile,
    version: packageVersion(),
    startEngine: program.startEngine,
    tools: program.tools,
    control: processControl(true),
    tell: (line) => void process.stderr.write(`imssfs: ${oneLine(line)}\n`),
    onReady: (lines) => {
      if (!plan.quiet) process.stdout.write(`${lines.join('\n')}\n`);
    },
  });
}

function toBackground(program: ImssfsProgram, plan: MountPlan): Promise<number> {
  const { config, logLevels, logFile, runDirectory } = plan;
  return goToBackground({
    task: { task: 'mount', config, runDirectory },
    logLevels,
    logFile,
    logName: logFileName(config.request.mountPoint),
    runDirectory,
    entry: program.entry,
    quiet: plan.quiet,
    timeoutMs: START_TIMEOUT_MS + (config.cluster?.waitSeconds ?? 0) * 1000,
  });
}

/** The detached process: mounts, replies, serves. */
async function runDaemon(program: ImssfsProgram, channel: DaemonChannel): Promise<number> {
  const { request } = channel;
  process.umask(0o077);
  if (request.task === 'server') return runServerDaemon(request.plan, channel, program.starters);
  // stderr is the log file: the command opened it, and what Node itself says last lands there as well.
  const logger = jsonLogger(2, request.logLevels);
  const control = processControl(false);
  let abandoned: (signal: string) => void = () => undefined;
  channel.onAbandoned(() => {
    abandoned('the command ended before the mount was ready');
  });
  try {
    return await serveMount({
      ...request,
      logger,
      version: packageVersion(),
      startEngine: program.startEngine,
      tools: program.tools,
      control: {
        ...control,
        onSignal: (handler) => {
          abandoned = handler;
          control.onSignal(handler);
        },
      },
      tell: (line) => {
        channel.note(line);
      },
      onReady: (lines) => void channel.reply({ type: 'ready', lines }),
    });
  } catch (error) {
    logger.fatal({ err: error }, 'cannot mount');
    await channel.reply(errorReply(error));
    return EXIT_FAILURE;
  }
}
