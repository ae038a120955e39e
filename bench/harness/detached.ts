/** A file system of processes of their own, on loopback addresses: a metadata server, block servers and one mount. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastWords } from './command.ts';
import { bin, mountImssfs, type MountedImssfs } from './imssfs.ts';
import { type Place, waitForEnd } from './place.ts';

let fileSystems = 0;

export interface DetachedOptions {
  readonly blockServers: number;
  readonly capacityMib: number;
  /** Further arguments of the mount. */
  readonly args?: readonly string[];
}

/** Starts the servers and mounts; the place ends all of it. */
export async function mountDetached(
  place: Place,
  { blockServers, capacityMib, args = [] }: DetachedOptions,
): Promise<MountedImssfs> {
  const number = ++fileSystems;
  const name = `imssfs-detached-${number}`;
  // One network for each file system and each run: nothing else listens there.
  const network = `127.${200 + number}.${1 + (process.pid % 254)}`;
  const file = (suffix: string): string => join(place.folder, `${name}-${suffix}`);
  const hosts = Array.from({ length: blockServers }, (_, index) => `${network}.${101 + index}`);
  const [metaFile, dataFile] = [file('meta-hosts'), file('data-hosts')];
  writeFileSync(metaFile, `${network}.1\n`);
  writeFileSync(dataFile, `${hosts.join('\n')}\n`);
  const cluster = ['-a', metaFile, '--secret-file', file('secret')];
  await serve(place, ['server', 'meta', ...cluster, '--node', `${network}.1`]);
  const capacity = ['-S', `${Math.ceil(capacityMib / blockServers) + 64}M`];
  for (const host of hosts) {
    const own = ['-h', dataFile, '--node', host, ...capacity];
    await serve(place, ['server', 'blocks', ...cluster, ...own]);
  }
  return mountImssfs(place, name, ['-d', '2', ...cluster, '-h', dataFile, ...args]);
}

/** Starts a server that ends with the place; resolves to its process when it says that it is ready. */
export function serve(place: Place, args: readonly string[]): Promise<number> {
  const child = spawn(bin('imssfs'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  place.atEnd(async () => {
    child.kill('SIGTERM');
    if (child.pid !== undefined) await waitForEnd(child.pid);
  });
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (/^ready: /m.test(stdout)) resolve(child.pid ?? 0);
    });
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('exit', (code) => {
      reject(
        new Error(
          `imssfs ${args.join(' ')} ended with ${String(code)}: ${lastWords(stderr) ?? ''}`,
        ),
      );
    });
  });
}
