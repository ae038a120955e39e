/** The command's side of going into the background: a log file, a daemon, and signals that end the wait. */
import { homedir } from 'node:os';
import { type DaemonRequest, type DaemonTask, startDaemon } from './daemon.ts';
import { oneLine } from './errors.ts';
import { type LogFile, type LogLevels, logDirectories, openDefaultLog, openLogFile } from './logging.ts'; // prettier-ignore

/** What goes into the background, and where it logs. */
export interface BackgroundRequest {
  task: DaemonTask;
  logLevels: LogLevels;
  /** `--log-file`, absolute. */
  logFile: string | undefined;
  /** File name of a log in the usual place. */
  logName: string;
  /** Folder that is private to this user. */
  runDirectory: string;
  /** Script that the daemon is started from. */
  entry: string;
  timeoutMs: number;
  /** Print nothing when it is ready. */
  quiet: boolean;
}

/** Resolves to the exit code when the daemon is ready; what it said has been printed. Rejects with its failure. */
export async function goToBackground(request: BackgroundRequest): Promise<number> {
  const log = openLog(request);
  let handler: (signal: string) => void = () => undefined;
  const cancelled = new Promise<string>((resolve) => (handler = resolve));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, handler);
  try {
    const { task, logLevels, entry, timeoutMs } = request;
    const daemon: DaemonRequest = { ...task, logLevels, logFile: log.path };
    const onNote = (line: string): void => void process.stderr.write(`imssfs: ${oneLine(line)}\n`);
    const lines = await startDaemon(daemon, log, { entry, cancelled, timeoutMs, onNote });
    if (!request.quiet) process.stdout.write(`${lines.join('\n')}\n`);
    return 0;
  } finally {
    for (const signal of signals) process.off(signal, handler);
  }
}

function openLog(request: BackgroundRequest): LogFile {
  if (request.logFile !== undefined) return openLogFile(request.logFile);
  const uid = process.getuid?.() ?? 0;
  const user = { uid, home: homeFolder(), runDirectory: request.runDirectory };
  return openDefaultLog(logDirectories(user, process.env), request.logName);
}

/** Undefined for a user without HOME whom the system does not know. */
function homeFolder(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
