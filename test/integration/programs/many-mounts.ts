/**
 * A program for tests: mounts at argv[2] and unmounts again, argv[3] times, all in this process. Prints as JSON how many
 * descriptors and how much heap it held after each time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { argv, exit } from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startAttached } from '../../../src/cli/attached.ts';
import type { RootLogger } from '../../../src/cli/logging.ts';
import { ownUse } from '../../../src/cli/process-info.ts';
import { validateSettings } from '../../../src/config.ts';
import { silentLogger } from '../../../src/log.ts';
import { usableMemoryBytes } from '../../../src/machine-memory.ts';

const mountPoint = argv[2] ?? '';
const rounds = Number(argv[3]);
const logger: RootLogger = { ...silentLogger, component: () => silentLogger };

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Uses the mount from another process: this one serves it. */
async function useMount(): Promise<void> {
  const script = 'echo x > "$0/f"; cat "$0/f"; ls -l "$0"';
  const child = spawn('/bin/sh', ['-ec', script, mountPoint], { stdio: 'ignore' });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) throw new Error('the mount does not work');
}

async function oneMount(): Promise<void> {
  const mount = await startAttached(
    {
      settings: validateSettings({ capacity: '256M' }, usableMemoryBytes()),
      request: {
        mountPoint: Buffer.from(mountPoint),
        source: 'imss://',
        readOnly: false,
        allowOther: false,
        defaultPermissions: true,
        genericOptions: [],
      },
      metadataFile: undefined,
      debugFuse: false,
    },
    logger,
  );
  await useMount();
  await mount.engine.unmount('plain');
  const end = await mount.engine.ended;
  if (end.reason === 'failed') throw end.error;
  await mount.close();
}

const descriptors: number[] = [];
const heapUsedBytes: number[] = [];
for (let round = 0; round < rounds; round++) {
  await oneMount();
  await turn();
  collect();
  const use = ownUse();
  descriptors.push(use.descriptors);
  heapUsedBytes.push(use.heapUsedBytes);
}
console.log(JSON.stringify({ descriptors, heapUsedBytes }));
exit(0);
