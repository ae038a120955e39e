/**
 * The command `imssfs server` with servers that do nothing but listen. FAKE_SERVER says what goes wrong: `wait`
 * (never ready, and says for whom it waits), `fail` (soon after it was ready), `slow` (never done with stopping).
 */
import { type Server, createServer } from 'node:net';
import { argv, env, exit } from 'node:process';
import { commandArguments } from '../../src/cli/bytes-path.ts';
import type { RunningServer, ServerEnd, StartServer } from '../../src/cli/cluster-config.ts';
import { runImssfs } from '../../src/cli/program.ts';
import { systemMounts } from '../../src/cli/system-mounts.ts';
import { formatAddress } from '../../src/net/hostfile.ts';

const behaviour = env['FAKE_SERVER'] ?? 'serve';

interface Addressed {
  listenHost: string;
  port: number;
  index: number | undefined;
}

function starter(name: string): StartServer<Addressed> {
  return async ({ listenHost, port, index }, _logger, tell) => {
    if (behaviour === 'wait') {
      tell('waiting for metadata server 0 at node1:5569');
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    }
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: listenHost, port }, resolve);
    });
    const number = index === undefined ? '' : ` ${index}`;
    return running(server, `${name}${number} at ${formatAddress(listenHost, port)}`);
  };
}

function running(server: Server, title: string): RunningServer {
  let end: (value: ServerEnd) => void = () => undefined;
  const ended = new Promise<ServerEnd>((resolve) => (end = resolve));
  if (behaviour === 'fail') {
    setTimeout(() => {
      end({ reason: 'failed', error: new Error('the database is gone') });
    }, 100);
  }
  return {
    describe: () => [title, 'nobody is connected'],
    ended,
    stop: () => {
      if (behaviour === 'slow') return new Promise(() => undefined);
      server.close();
      end({ reason: 'stopped' });
      return Promise.resolve();
    },
  };
}

const starters = { meta: starter('metadata server'), blocks: starter('block server') };
const startEngine = (): Promise<never> => Promise.reject(new Error('nothing to mount'));
exit(
  await runImssfs({
    startEngine,
    starters,
    tools: systemMounts,
    args: commandArguments(),
    entry: argv[1] ?? '',
  }),
);
