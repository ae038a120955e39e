/** The interface by which every component logs; `cli` makes the root logger and hands out children. */
import type { Logger as PinoLogger } from 'pino';

/** What a component may use of pino. */
export type Logger = Pick<
  PinoLogger,
  'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'isLevelEnabled'
>;

const nothing = (): void => undefined;

/** Drops everything; for tests. */
export const silentLogger: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  isLevelEnabled: () => false,
};
