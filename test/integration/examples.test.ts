import test from 'ava';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { skipsMounts, withFolder } from '../support/mount.ts';
import { isAlive, mountsBelow } from '../support/processes.ts';
import { describe, run, runOk } from '../support/run.ts';
import { hasSlurm, runJob } from '../support/slurm.ts';

const SCRATCH_JOB = fileURLToPath(new URL('../../../examples/scratch-job.sh', import.meta.url));
const TIMEOUT_MS = 60_000;

(skipsMounts ? test.skip : test)(
  'the scratch job computes in a mount of its own and leaves only its result',
  async (t) => {
    t.timeout(2 * TIMEOUT_MS);
    await withFolder(TIMEOUT_MS, async (folder) => {
      mkdirSync(`${folder}/input/sub`, { recursive: true });
      writeFileSync(`${folder}/input/a`, 'hello\n');
      writeFileSync(`${folder}/input/sub/b c`, '');
      const result = `${folder}/result`;
      await runOk(SCRATCH_JOB, [`${folder}/input`, result, '64M'], {
        timeoutMs: TIMEOUT_MS,
        env: { TMPDIR: folder },
      });
      t.is(
        readFileSync(result, 'utf8'),
        '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  a\n' +
          'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  sub/b c\n',
      );
      t.deepEqual(mountsBelow(folder), []);
    });
  },
);

function example(name: string): string {
  return fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));
}

/** A port that was free a moment ago. */
async function freePort(host: string): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: 0 }, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? String(address.port) : '';
}

(skipsMounts ? test.skip : test.serial)(
  'the example of nodes by hand shares a file over servers, and leaves nothing running',
  async (t) => {
    t.timeout(3 * TIMEOUT_MS);
    await withFolder(TIMEOUT_MS, async (folder) => {
      const result = await runOk(example('two-nodes.sh'), [folder], {
        timeoutMs: 2 * TIMEOUT_MS,
        env: {
          META_PORT: await freePort('127.0.0.2'),
          DATA_PORT: await freePort('127.0.0.4'),
          HOME: folder,
        },
      });
      t.regex(result.stdout, /\nwritten on client 1\n/);
      t.regex(
        result.stdout,
        /\nblock servers\n {2}0 {2}127\.0\.0\.4:\d+ {2}up .*\n {2}1 {2}127\.0\.0\.5:\d+ {2}up /,
      );
      t.deepEqual(mountsBelow(folder), []);
      const pids = [...result.stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
      t.true(pids.length >= 6);
      t.deepEqual(pids.filter(isAlive), []);
    });
  },
);

(skipsMounts || !existsSync('/usr/bin/mpirun.mpich') ? test.skip : test.serial)(
  'the example of mpirun starts its servers with MPICH, and leaves nothing running',
  async (t) => {
    t.timeout(3 * TIMEOUT_MS);
    await withFolder(TIMEOUT_MS, async (folder) => {
      const [meta, data] = [await freePort('127.0.0.2'), await freePort('127.0.0.4')];
      writeFileSync(`${folder}/stat_hostfile`, `127.0.0.2:${meta}\n`);
      writeFileSync(`${folder}/hostfile`, `127.0.0.4:${data}\n127.0.0.5:${data}\n`);
      const result = await run(example('mpirun.sh'), [folder], {
        timeoutMs: 2 * TIMEOUT_MS,
        env: { MPIRUN: 'mpirun.mpich -launcher fork -f', HOME: folder },
        endsGroup: true,
      });
      t.is(result.status, 0, describe(result));
      t.regex(result.stdout, /(^|\n)100000\n/);
      const pids = [...result.stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
      t.true(pids.length >= 4);
      t.deepEqual(pids.filter(isAlive), []);
      t.deepEqual(mountsBelow(folder), []);
    });
  },
);

/** Stands for IOR, which Debian does not have: each task writes and reads a file of its own. */
const IOR = `#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -o ] && file=$2; shift; done
head -c 1048576 /dev/urandom >"$file.$SLURM_PROCID"
echo "task $SLURM_PROCID of $SLURM_NTASKS: $(wc -c <"$file.$SLURM_PROCID") bytes"
`;

// Only CI installs Slurm by itself (scripts/test-packages.js): nobody's machine gets its daemons for a test.
(skipsMounts || !hasSlurm ? test.skip : test.serial)(
  'the example of Slurm starts servers and mounts, runs its tasks, and leaves nothing running',
  async (t) => {
    t.timeout(3 * TIMEOUT_MS);
    await withFolder(TIMEOUT_MS, async (folder) => {
      const bin = `${folder}/bin`;
      mkdirSync(bin);
      writeFileSync(`${bin}/ior`, IOR, { mode: 0o755 });
      const launchers = fileURLToPath(new URL('../../../bin', import.meta.url));
      const path = [bin, launchers, process.env['PATH'] ?? ''].join(':');
      const result = await runJob(folder, ['--ntasks-per-node=2', example('slurm.sbatch')], {
        timeoutMs: 2 * TIMEOUT_MS,
        env: { PATH: path, HOME: folder, TMPDIR: folder, CAPACITY: '64M' },
      });
      t.is(result.status, 0, describe(result));
      t.regex(result.stdout, /\nblock servers\n {2}0 {2}localhost:5555 {2}up /);
      t.regex(result.stdout, /\ntask 0 of 2: 1048576 bytes\n/);
      t.regex(result.stdout, /\ntask 1 of 2: 1048576 bytes\n/);
      const pids = [...result.stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1]));
      t.true(pids.length >= 3);
      t.deepEqual(pids.filter(isAlive), []);
      t.deepEqual(mountsBelow(folder), []);
    });
  },
);

for (const name of ['two-nodes.sh', 'mpirun.sh', 'slurm.sbatch']) {
  test(`${name} is a script without a mistake in its syntax`, async (t) => {
    const { status, stderr } = await run('bash', ['-n', example(name)]);
    t.deepEqual([status, stderr], [0, '']);
  });
}
