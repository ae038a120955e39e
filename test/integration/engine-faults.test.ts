/** What becomes of a mount when its own code throws. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assertWorks, commandTest, eventually } from '../support/command.ts';
import { mountsBelow } from '../support/processes.ts';
import { describe, run } from '../support/run.ts';

const FAULTY = fileURLToPath(new URL('./programs/faulty-imssfs.js', import.meta.url));
const ERROR = 50;
const FATAL = 60;

interface Line {
  level: number;
  err?: { message: string };
}

function linesOf(logFile: string): Line[] {
  const lines = readFileSync(logFile, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Line);
}

commandTest(
  'an operation that throws what is no errno fails with EIO and one line of the log, and the mount goes on',
  async (t, shell) => {
    const args = [FAULTY, '--engine', shell.engine, '--log-file', shell.logFile, shell.mnt];
    const started = await run(process.execPath, args);
    t.is(started.status, 0, describe(started));
    for (const name of ['throws-now', 'throws-later']) {
      const result = await run('cat', [name], { cwd: shell.mnt, timeoutMs: 20_000 });
      t.regex(result.stderr, /Input\/output error/, describe(result));
    }
    const errors = linesOf(shell.logFile).filter(({ level }) => level >= ERROR);
    t.deepEqual(
      errors.map(({ err }) => err?.message),
      ['a fault at once', 'a fault after waiting'],
    );
    await assertWorks(t, shell.mnt);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

const FATAL_FAULTS = {
  'breaks-invariant': /fault in an invariant/,
  'breaks-invariant-later': /fault in an invariant/,
  'breaks-engine': /fault in an engine/,
};

for (const [name, fault] of Object.entries(FATAL_FAULTS)) {
  commandTest(
    `a lookup that ${name.replaceAll('-', ' ')} ends the mount: logged, exit code 1, nobody hangs`,
    async (t, shell) => {
      const args = [FAULTY, '-f', '--engine', shell.engine, '--log-file', shell.logFile, shell.mnt];
      const daemon = spawn(process.execPath, args, { cwd: '/', stdio: 'ignore' });
      try {
        t.true(
          await eventually(() => mountsBelow(shell.mnt).length > 0 && daemon.pid !== undefined),
        );
        await assertWorks(t, shell.mnt);
        const ended = once(daemon, 'exit');
        const result = await run('cat', [name], { cwd: shell.mnt, timeoutMs: 30_000 });
        t.false(result.timedOut, describe(result));
        t.not(result.status, 0);
        t.deepEqual(await ended, [1, null]);
        t.deepEqual(mountsBelow(shell.mnt), []);
        const fatal = linesOf(shell.logFile).filter(({ level }) => level === FATAL);
        t.true(fatal.length > 0);
        t.true(fatal.every(({ err }) => fault.test(err?.message ?? '')));
      } finally {
        daemon.kill('SIGKILL');
      }
    },
  );
}
