/** The commands `imssfs server meta` and `imssfs server blocks`, in the foreground or in a daemon. */
import { usableMemoryBytes } from '../machine-memory.ts';
import { systemNetwork } from '../net/hostfile.ts';
import { DEFAULTS, waitSeconds } from '../config.ts';
import { goToBackground } from './background.ts';
import { textOf } from './bytes-path.ts';
import type {
  BlockServerConfig, MetaServerConfig, RunningServer, StartServer,
} from './cluster-config.ts'; // prettier-ignore
import { absoluteFile } from './cluster-options.ts';
import { type DaemonChannel, type DaemonTask, errorReply } from './daemon.ts';
import { EXIT_FAILURE, oneLine } from './errors.ts';
import { type RootLogger, jsonLogger, openLogFile, parseLogLevels, readableLogger } from './logging.ts'; // prettier-ignore
import { processControl } from './process-control.ts';
import { makeRunDirectory, runDirectories } from './run-state.ts';
import { type ServerPlan, planServer } from './server-config.ts';
import { ignoresHangup, serveServer } from './server-life.ts';
import { parseServerLine } from './server-options.ts';

/** How servers are started; replaced in tests. */
export interface ServerStarters {
  meta: StartServer<MetaServerConfig>;
  blocks: StartServer<BlockServerConfig>;
}

/** Runs `imssfs server ARGS`; resolves to the exit code. Rejects with one line: what is wrong; what to do. */
export async function runServerCommand(
  args: readonly string[],
  program: { starters: ServerStarters; entry: string },
): Promise<number> {
  const line = parseServerLine(args);
  if ('text' in line) {
    process.stdout.write(line.text);
    return 0;
  }
  const logLevels = parseLogLevels(textOf(line.logLevel ?? 'info'), false);
  const logFile = absoluteFile('--log-file', line.logFile);
  const timeoutMs = waitSeconds(textOf(line.wait ?? DEFAULTS.wait)) * 1000;
  const plan = await planServer(line, {
    network: systemNetwork(),
    memoryBytes: usableMemoryBytes(),
    env: process.env,
  });
  if (line.daemon === true) {
    const uid = process.getuid?.() ?? 0;
    const runDirectory = makeRunDirectory(runDirectories(uid, process.env), uid);
    const task: DaemonTask = { task: 'server', plan };
    const logName = `server-${plan.kind}-${plan.config.listenHost.replace(/[^\w.]+/g, '_')}-${plan.config.port}.log`;
    const { entry } = program;
    const where = { logLevels, logFile, logName, runDirectory };
    return goToBackground({ task, ...where, entry, timeoutMs, quiet: false });
  }
  const file = logFile === undefined ? undefined : openLogFile(logFile);
  const logger = file === undefined ? readableLogger(logLevels) : jsonLogger(file.fd, logLevels);
  process.chdir('/');
  return serveServer({
    plan,
    logger,
    logFile,
    start: (tell) => startPlanned(plan, logger, { starters: program.starters, tell }),
    control: processControl(!ignoresHangup()),
    tell: (text) => void process.stderr.write(`imssfs: ${oneLine(text)}\n`),
    onReady: (lines) => void process.stdout.write(`${lines.join('\n')}\n`),
  });
}

/** The detached process of `--daemon`. */
export async function runServerDaemon(
  plan: ServerPlan,
  channel: DaemonChannel,
  starters: ServerStarters,
): Promise<number> {
  const { logFile, logLevels } = channel.request;
  const logger = jsonLogger(2, logLevels);
  const control = processControl(false);
  channel.onAbandoned(() => {
    logger.fatal('the command ended before the server was ready');
    control.exit(EXIT_FAILURE);
  });
  try {
    return await serveServer({
      plan,
      logger,
      logFile,
      start: (tell) => startPlanned(plan, logger, { starters, tell }),
      control,
      tell: (line) => {
        logger.info(line);
        channel.note(line);
      },
      onReady: (lines) => void channel.reply({ type: 'ready', lines }),
    });
  } catch (error) {
    logger.fatal({ err: error }, 'cannot serve');
    await channel.reply(errorReply(error));
    return EXIT_FAILURE;
  }
}

function startPlanned(
  plan: ServerPlan,
  logger: RootLogger,
  { starters, tell }: { starters: ServerStarters; tell: (line: string) => void },
): Promise<RunningServer> {
  return plan.kind === 'meta'
    ? starters.meta(plan.config, logger, tell)
    : starters.blocks(plan.config, logger, tell);
}
