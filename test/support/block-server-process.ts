/** Block servers in processes of their own, for tests that kill them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Address } from '../../src/net/call.ts';
import { CLUSTER, SECRET } from './block-servers.ts';

export interface ServerProcess {
  readonly address: Address;
  /** Kills it as `kill -9` does; resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts a server that was born at `bornEpoch`; resolves when it serves. */
export async function startServerProcess(options: {
  port?: number;
  bornEpoch: number;
  threads?: number;
}): Promise<ServerProcess> {
  const { port = 0, bornEpoch, threads = 1 } = options;
  const program = new URL('../faults/blocks-server-worker.js', import.meta.url).pathname;
  const words = [port, bornEpoch, threads, CLUSTER, SECRET.toString('hex')].map(String);
  const child = spawn(process.execPath, [program, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const address = { host: '127.0.0.1', port: await portOf(child) };
  return {
    address,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

async function portOf(child: ChildProcess): Promise<number> {
  return await new Promise((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => {
      resolve(Number(text.toString()));
    });
    child.once('exit', (code) => {
      reject(new Error(`the block server ended with ${String(code)}`));
    });
  });
}
