import test from 'ava';
import { readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isRoot, skipsMounts, whyNoMounts, withFolder } from '../support/mount.ts';
import { mountsBelow, nodeProcessesOf } from '../support/processes.ts';

const COMPARE = fileURLToPath(new URL('../../bench/compare.js', import.meta.url));
const TEST_TIMEOUT_MS = 120_000;
const POLL_MS = 50;
const MAX_POLLS = 600;
/** A run that no machine ends by itself before it is interrupted. */
const ENDLESS = [
  '--quick',
  '--targets',
  'tmpfs,kernel',
  '--only',
  '^create',
  '--rounds',
  '1000000',
];

async function until(holds: () => boolean): Promise<boolean> {
  for (let polls = 0; polls < MAX_POLLS && !holds(); polls++) await sleep(POLL_MS);
  return holds();
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const) {
  const declare = skipsMounts || !isRoot ? test.skip : test.serial;
  declare(`a comparison that ${signal} ends leaves no mount, process or folder`, async (t) => {
    t.timeout(TEST_TIMEOUT_MS + 60_000);
    const obstacle = whyNoMounts();
    if (obstacle !== undefined) throw new Error(obstacle);
    await withFolder(TEST_TIMEOUT_MS, async (folder) => {
      const ours = (): string[] =>
        readdirSync(folder).filter((name) => name.startsWith('imssfs-bench-'));
      const child = spawn(process.execPath, [COMPARE, ...ENDLESS], {
        env: { ...process.env, TMPDIR: folder },
        stdio: 'ignore',
      });
      const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
      try {
        t.true(await until(() => mountsBelow(folder).length === 2), 'both targets are mounted');
        t.is(ours().length, 1);
        child.kill(signal);
        t.is(await exited, status);
        t.true(await until(() => ours().length === 0), 'the folder is removed');
        t.deepEqual(mountsBelow(folder), []);
        t.deepEqual(nodeProcessesOf(folder, { below: true }), []);
      } finally {
        child.kill('SIGKILL');
      }
    });
  });
}
