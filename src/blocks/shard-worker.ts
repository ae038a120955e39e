/** The worker thread of one shard of a block server. */
import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../invariant.ts';
import type { Logger } from '../log.ts';
import { BlockShard } from './shard.ts';
import type { LogLevel, ShardCommand, ShardReport, ShardSetup } from './shard-messages.ts';

invariant(parentPort !== null, 'a shard runs in a worker thread');
const port = parentPort;
const setup = workerData as ShardSetup;

function report(message: ShardReport): void {
  port.postMessage(message);
}

/** Fields as they can be sent to another thread: errors as their text. */
function plain(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Error
        ? (value.stack ?? value.message)
        : JSON.parse(JSON.stringify(value ?? null)),
    ]),
  );
}

function logAt(level: LogLevel): Logger['info'] {
  return (first: unknown, message?: unknown) => {
    const isText = typeof first === 'string';
    report({
      kind: 'log',
      level,
      fields: isText || first === null || typeof first !== 'object' ? {} : plain(first),
      message: isText ? first : typeof message === 'string' ? message : '',
    });
  };
}

const silent = (): void => undefined;
const logger: Logger = {
  trace: silent,
  debug: setup.logsDebug ? logAt('debug') : silent,
  info: logAt('info'),
  warn: logAt('warn'),
  error: logAt('error'),
  fatal: logAt('error'),
  isLevelEnabled: (level: string) => level !== 'trace' && (level !== 'debug' || setup.logsDebug),
};

const shard = new BlockShard({
  ...setup,
  secret: setup.secret === undefined ? undefined : Buffer.from(setup.secret),
  logger,
});

async function obey(command: ShardCommand): Promise<unknown> {
  switch (command.kind) {
    case 'listen':
      return await shard.listen(command.address);
    case 'join':
      shard.join(command.membership);
      return null;
    case 'usage':
      return shard.usage();
    case 'statistics':
      return shard.statistics();
    case 'close':
      await shard.close();
      return null;
  }
}

port.on('message', ({ id, command }: { id: number; command: ShardCommand }) => {
  obey(command).then(
    (answer) => {
      report({ kind: 'done', id, answer });
    },
    (error: unknown) => {
      report({ kind: 'failed', id, error: error as Error });
    },
  );
});
