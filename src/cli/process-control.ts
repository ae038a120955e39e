/** The real signals and exits behind {@link ProcessControl}. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessControl } from './serve.ts';

/**
 * `foreground`: a terminal that goes away unmounts as well; a daemon has none, and ignores SIGHUP, so that
 * tools which signal whole groups do not end it.
 */
export function processControl(foreground: boolean): ProcessControl {
  return {
    onSignal: (handler) => {
      process.on('SIGTERM', handler);
      process.on('SIGINT', handler);
      process.on('SIGHUP', foreground ? handler : (): void => undefined);
    },
    // Without a listener, Node would answer SIGUSR1 by opening a debugger's port.
    onCountsWanted: (handler) => {
      process.on('SIGUSR1', handler);
    },
    onCrash: (handler) => {
      process.on('uncaughtException', handler);
      process.on('unhandledRejection', handler);
    },
    exit: (code) => {
      process.exit(code);
    },
    delay: (ms) => sleep(ms, undefined, { ref: false }),
  };
}

/**
 * Resolves when all that was printed has been taken, or nobody is there to take it: a socket or a slow reader's pipe takes
 * it piece by piece, and what is left when the process exits is lost.
 */
export async function outputTaken(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      stream.write('', () => {
        resolve();
      });
    });
  }
}
