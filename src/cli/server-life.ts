/**
 * The life of a server's process: start, the line that says it is ready, signals, the end. The first signal asks it to
 * finish what is in flight, the second ends it at once.
 */
import { readFileSync } from 'node:fs';
import { formatAddress } from '../net/hostfile.ts';
import type { RunningServer } from './cluster-config.ts';
import { EXIT_FAILURE, FailureError, errorCode, oneLine } from './errors.ts';
import type { RootLogger } from './logging.ts';
import type { ProcessControl } from './serve.ts';
import type { ServerPlan } from './server-config.ts';

export interface ServerLife {
  plan: ServerPlan;
  logger: RootLogger;
  /** Where a daemon logs; undefined for stderr. */
  logFile: string | undefined;
  start: (tell: (line: string) => void) => Promise<RunningServer>;
  control: Pick<ProcessControl, 'onSignal' | 'onCountsWanted' | 'onCrash' | 'exit'>;
  /** Takes a line for the person who started it, before it is ready. */
  tell(line: string): void;
  /** Called once, when it serves. */
  onReady(lines: string[]): void;
}

/** Serves until the server has ended, and resolves to the exit code. Rejects if it cannot start. */
export async function serveServer(life: ServerLife): Promise<number> {
  const { logger, control, plan } = life;
  let server: RunningServer | undefined;
  let signals = 0;
  control.onSignal((signal) => {
    signals += 1;
    // Before it serves there is nothing to finish.
    if (server === undefined) control.exit(0);
    else if (signals > 1) control.exit(EXIT_FAILURE);
    else {
      logger.info(`${signal}: finishing what is in flight`);
      server.stop().catch((error: unknown) => {
        logger.fatal({ err: error }, 'cannot stop in order');
        control.exit(EXIT_FAILURE);
      });
    }
  });
  control.onCountsWanted(() => {
    for (const line of server?.describe() ?? []) logger.info(line);
  });
  control.onCrash((error) => {
    logger.fatal({ err: error }, 'a bug; giving up this server');
    control.exit(EXIT_FAILURE);
  });
  for (const note of plan.notes) life.tell(note);
  try {
    server = await life.start((line) => {
      life.tell(line);
    });
  } catch (error) {
    throw explained(error, plan);
  }
  const lines = readyLines(server, life.logFile);
  for (const line of lines) logger.info(line);
  life.onReady(lines);
  const end = await server.ended;
  if (end.reason === 'stopped') {
    logger.info('stopped');
    return 0;
  }
  logger.fatal({ err: end.error }, 'the server failed');
  return EXIT_FAILURE;
}

function readyLines(server: RunningServer, logFile: string | undefined): string[] {
  const [first = '', ...more] = server.describe();
  const details = [`pid ${process.pid}`, ...(logFile === undefined ? [] : [`log ${logFile}`])];
  return [`ready: ${first} (${details.join(', ')})`, ...more].map(oneLine);
}

/** Why an address cannot be listened on, in words; what says enough already stays. */
export function explained(error: unknown, plan: ServerPlan): unknown {
  const code = errorCode(error);
  if (error instanceof FailureError || code === undefined) return error;
  const { listenHost, port } = plan.config;
  const reasons: Partial<Record<string, string>> = {
    EADDRINUSE: 'something else listens there; end it, or choose another port',
    EADDRNOTAVAIL: 'this machine has no such address; correct the hostfile, or say with --node which line this node is, or with --listen which address', // prettier-ignore
    EACCES: 'ports below 1024 are for root; choose a higher one',
    ENOTFOUND: 'the name does not resolve; give an address with --listen',
  };
  const reason = reasons[code];
  if (reason === undefined) return error;
  return new FailureError(`cannot listen at ${formatAddress(listenHost, port)}: ${reason}`, {
    cause: error,
  });
}

/**
 * Signal handling of a server in the foreground: a terminal that goes away stops it in order, unless nohup(1) or the
 * like had SIGHUP ignored, which a handler would undo.
 */
export function ignoresHangup(): boolean {
  try {
    const status = readFileSync('/proc/self/status', 'latin1');
    const ignored = BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
    return (ignored & 1n) === 1n;
  } catch {
    return false;
  }
}
