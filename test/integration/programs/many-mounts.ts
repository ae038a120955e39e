/**
 * A program for tests: mounts at argv[2] and unmounts again, argv[3] times, all in this process and by the engine
 * argv[4]. Prints as JSON how many descriptors and how much heap it held after each time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { argv, exit } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startAttached } from '../../../src/cli/attached.ts';
import type { RootLogger } from '../../../src/cli/logging.ts';
import { ownUse, type ProcessUse } from '../../../src/cli/process-info.ts';
import { validateSettings } from '../../../src/config.ts';
import { silentLogger } from '../../../src/log.ts';
import { usableMemoryBytes } from '../../../src/machine-memory.ts';

const mountPoint = argv[2] ?? '';
const rounds = Number(argv[3]);
const engine = argv[4] ?? '';
/** Descriptors are settled when so many looks in a row have found as many. */
const ENOUGH_POLLS = 5;
const MAX_POLLS = 100;
const POLL_MS = 10;

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
      settings: validateSettings({ capacity: '256M', engine }, usableMemoryBytes()),
      request: {
        mountPoint: Buffer.from(mountPoint),
        source: 'imss://',
        readOnly: false,
        allowOther: false,
        defaultPermissions: true,
        acl: false,
        genericOptions: [],
      },
      metadataFile: undefined,
      cluster: undefined,
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

/**
 * What this process holds once descriptors no longer become fewer: some are closed a few turns, or a thread's end,
 * after the mount is.
 */
async function settledUse(): Promise<ProcessUse> {
  let use = ownUse();
  for (let same = 0, polls = 0; same < ENOUGH_POLLS && polls < MAX_POLLS; polls++) {
    await sleep(POLL_MS);
    const next = ownUse();
    same = next.descriptors === use.descriptors ? same + 1 : 0;
    use = next;
  }
  collect();
  return ownUse();
}

const descriptors: number[] = [];
const heapUsedBytes: number[] = [];
for (let round = 0; round < rounds; round++) {
  await oneMount();
  const use = await settledUse();
  descriptors.push(use.descriptors);
  heapUsedBytes.push(use.heapUsedBytes);
}
console.log(JSON.stringify({ descriptors, heapUsedBytes }));
exit(0);
