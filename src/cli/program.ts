/**
 * The command `imssfs`: reads the command line, checks what is cheap to check, then serves the mount here (`-f`)
 * or starts a daemon that does. What it mounts is injected, so that tests run it without a file system.
 */
import { realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Settings, validateSettings } from '../config.ts';
import { usableMemoryBytes } from '../machine-memory.ts';
import { systemNetwork } from '../net/hostfile.ts';
import { bytesOf, textOf } from './bytes-path.ts';
import {
  EXIT_FAILURE, EXIT_USAGE, UsageError, failureOf, oneLine,
} from './errors.ts'; // prettier-ignore
import { runInfoCommand } from './info-command.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { clusterOf } from './cluster-hosts.ts';
import { INSECURE_NOTE, absoluteFile, clusterInput } from './cluster-options.ts';
import { type DaemonChannel, daemonChannel, errorReply, startDaemon } from './daemon.ts';
import {
  type LogFile, type LogLevels, jsonLogger, logDirectories, logFileName, openDefaultLog, openLogFile,
  parseLogLevels, readableLogger,
} from './logging.ts'; // prettier-ignore
import { type MountOptions, parseMountOptions } from './mount-options.ts';
import { type Needed, checkMountPoint } from './mount-point.ts';
import type { MountTools } from './mount-tools.ts';
import { type CommandLine, SHORT_USAGE, parseCommandLine } from './options.ts';
import { processControl } from './process-control.ts';
import { listRunStates, makeRunDirectory, runDirectories } from './run-state.ts';
import type { MountConfig, StartEngine } from './running-mount.ts';
import { serveMount } from './serve.ts';
import { packageVersion } from './version.ts';

/** What the command works with. */
export interface ImssfsProgram {
  startEngine: StartEngine;
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
  if (first === 'info') return runInfoCommand(rest);
  const line = parseCommandLine(program.args, packageVersion());
  if ('text' in line) {
    process.stdout.write(line.text);
    return 0;
  }
  const plan = await checkEverything(line, program.tools);
  return plan.foreground ? serveInForeground(program, plan) : goToBackground(program, plan);
}

/** A mount that nothing speaks against so far. */
interface MountPlan {
  config: MountConfig;
  foreground: boolean;
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
  const cluster = await clusterOf(await clusterInput(line, settings), systemNetwork());
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
  const { source, readOnly, allowOther, defaultPermissions, genericOptions } = options;
  return { mountPoint, source, readOnly, allowOther, defaultPermissions, genericOptions };
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
    onReady: (lines) => process.stdout.write(`${lines.join('\n')}\n`),
  });
}

async function goToBackground(program: ImssfsProgram, plan: MountPlan): Promise<number> {
  const log = openLog(plan);
  let handler: (signal: string) => void = () => undefined;
  const cancelled = new Promise<string>((resolve) => (handler = resolve));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, handler);
  try {
    const { config, logLevels, runDirectory } = plan;
    const lines = await startDaemon({ config, logLevels, runDirectory, logFile: log.path }, log, {
      entry: program.entry,
      cancelled,
    });
    process.stdout.write(`${lines.join('\n')}\n`);
    return 0;
  } finally {
    for (const signal of signals) process.off(signal, handler);
  }
}

function openLog(plan: MountPlan): LogFile {
  if (plan.logFile !== undefined) return openLogFile(plan.logFile);
  const uid = process.getuid?.() ?? 0;
  const user = { uid, home: homeFolder(), runDirectory: plan.runDirectory };
  return openDefaultLog(
    logDirectories(user, process.env),
    logFileName(plan.config.request.mountPoint),
  );
}

/** Undefined for a user without HOME whom the system does not know. */
function homeFolder(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/** The detached process: mounts, replies, serves. */
async function runDaemon(program: ImssfsProgram, channel: DaemonChannel): Promise<number> {
  const { request } = channel;
  process.umask(0o077);
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
      onReady: (lines) => void channel.reply({ type: 'ready', lines }),
    });
  } catch (error) {
    logger.fatal({ err: error }, 'cannot mount');
    await channel.reply(errorReply(error));
    return EXIT_FAILURE;
  }
}
