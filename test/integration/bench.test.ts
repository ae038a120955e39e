import test from 'ava';
import { readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/command.ts';
import { isRoot, skipsMounts, whyNoMounts, withFolder } from '../support/mount.ts';
import { mountsBelow, nodeProcessesOf } from '../support/processes.ts';
import { runProgram } from '../support/run-program.ts';

const bench = (name: string): string =>
  fileURLToPath(new URL(`../../bench/${name}.js`, import.meta.url));
const TEST_TIMEOUT_MS = 120_000;
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

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const) {
  const declare = skipsMounts || !isRoot ? test.skip : test.serial;
  declare(`a comparison that ${signal} ends leaves no mount, daemon or folder`, async (t) => {
    t.timeout(TEST_TIMEOUT_MS + 60_000);
    const obstacle = whyNoMounts();
    if (obstacle !== undefined) throw new Error(obstacle);
    await withFolder(TEST_TIMEOUT_MS, async (folder) => {
      const ours = (): string[] =>
        readdirSync(folder).filter((name) => name.startsWith('imssfs-bench-'));
      const child = spawn(process.execPath, [bench('compare'), ...ENDLESS], {
        env: { ...process.env, TMPDIR: folder },
        stdio: 'ignore',
      });
      const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
      try {
        t.true(
          await eventually(() => mountsBelow(folder).length === 2),
          'both targets are mounted',
        );
        t.is(ours().length, 1);
        child.kill(signal);
        t.is(await exited, status);
        t.true(await eventually(() => ours().length === 0), 'the folder is removed');
        t.deepEqual(mountsBelow(folder), []);
        t.deepEqual(nodeProcessesOf(folder, { below: true }), []);
      } finally {
        child.kill('SIGKILL');
      }
    });
  });
}

for (const signal of ['SIGINT', 'SIGHUP'] as const) {
  const declare = skipsMounts ? test.skip : test.serial;
  declare(`a memory benchmark that ${signal} ends exits with 130 and leaves nothing`, async (t) => {
    t.timeout(TEST_TIMEOUT_MS + 60_000);
    const obstacle = whyNoMounts();
    if (obstacle !== undefined) throw new Error(obstacle);
    await withFolder(TEST_TIMEOUT_MS, async (folder) => {
      // The full one: a quick one might end by itself.
      const child = spawn(process.execPath, [bench('memory')], {
        env: { ...process.env, TMPDIR: folder },
        stdio: 'ignore',
      });
      const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
      try {
        t.true(await eventually(() => mountsBelow(folder).length === 1), 'imssfs is mounted');
        child.kill(signal);
        t.is(await exited, 130);
        t.deepEqual(mountsBelow(folder), []);
        t.deepEqual(nodeProcessesOf(folder, { below: true }), []);
        t.deepEqual(readdirSync(folder), []);
      } finally {
        child.kill('SIGKILL');
      }
    });
  });
}

for (const [args, status, says] of [
  [['--help'], 0, /--targets A,B/],
  [['--quik'], 2, /--quik.*see --help/s],
  [['--rounds', '0'], 2, /--rounds 0: write a whole number/],
] as const) {
  test(`all benchmarks with ${args.join(' ')} start none`, async (t) => {
    const { code, stdout, stderr } = await runProgram(process.execPath, [bench('all'), ...args]);
    t.is(code, status);
    t.regex(stdout + stderr, says);
    t.notRegex(stdout, /^==/m);
  });
}
