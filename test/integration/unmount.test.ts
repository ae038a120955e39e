import { readdirSync, readlinkSync, statfsSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import {
  assertNoStack,
  assertRefused,
  assertWorks,
  commandTest,
  daemonOf,
  eventually,
} from '../support/command.ts';
import { isAlive, killNow, mountsBelow } from '../support/processes.ts';
import { describe, sh } from '../support/run.ts';

commandTest('umount-imss waits until the process has ended', async (t, shell) => {
  const pid = await shell.mount();
  writeFileSync(join(shell.mnt, 'large'), Buffer.alloc(64 * 1024 * 1024, 1));
  const result = await shell.umount([shell.mnt]);
  t.is(result.status, 0, describe(result));
  t.false(isAlive(pid));
  t.deepEqual(mountsBelow(shell.mnt), []);
  t.deepEqual(readdirSync(shell.mnt), []);
});

commandTest(
  'umount(8) ends the daemon too',
  async (t, shell) => {
    const pid = await shell.mount();
    await sh('umount "$MNT"', { env: { MNT: shell.mnt } });
    t.true(await eventually(() => !isAlive(pid)));
  },
  { needsRoot: true },
);

commandTest(
  'a busy mount is not unmounted, the holder is named, and --lazy detaches it',
  async (t, shell) => {
    const pid = await shell.mount();
    const holder = spawn('sleep', ['100'], { cwd: shell.mnt, stdio: 'ignore' });
    try {
      await once(holder, 'spawn');
      const busy = await shell.umount([shell.mnt]);
      assertRefused(t, busy, { status: 1, says: new RegExp(`\\b${String(holder.pid)}\\b`) });
      t.regex(busy.stderr, /in use|busy/i);
      await assertWorks(t, shell.mnt);
      const lazy = await shell.umount(['--lazy', shell.mnt]);
      t.is(lazy.status, 0, describe(lazy));
      t.deepEqual(mountsBelow(shell.mnt), []);
      t.true(isAlive(pid));
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    t.true(await eventually(() => !isAlive(pid)));
  },
);

commandTest(
  'while another mount namespace keeps the file system, umount-imss says which, and waits for it',
  async (t, shell) => {
    const pid = await shell.mount();
    const keeper = spawn('unshare', ['-m', 'sleep', '5'], { stdio: 'ignore' });
    await once(keeper, 'spawn');
    await eventually(
      () =>
        readlinkSync(`/proc/${String(keeper.pid)}/ns/mnt`) !== readlinkSync('/proc/self/ns/mnt'),
    );
    const result = await shell.umount([shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.regex(
      result.stderr,
      new RegExp(`still mounted in the mount namespace of.* ${String(keeper.pid)} sleep`),
    );
    t.false(isAlive(pid));
  },
  { needsRoot: true },
);

commandTest('umount-imss does not keep a mount busy in which it is started', async (t, shell) => {
  const pid = await shell.mount();
  const result = await shell.umount(['.'], { cwd: shell.mnt });
  t.is(result.status, 0, describe(result));
  t.false(isAlive(pid));
});

commandTest('--force unmounts', async (t, shell) => {
  const pid = await shell.mount();
  const result = await shell.umount(['--force', shell.mnt]);
  t.is(result.status, 0, describe(result));
  t.true(await eventually(() => !isAlive(pid)));
});

commandTest(
  '--all unmounts all mounts and waits for all processes',
  async (t, shell) => {
    const result = await shell.apart(
      `mkdir a b
     for folder in a b; do "$IMSSFS" --engine "$ENGINE" --log-file "$LOG" "$PWD/$folder"; done
     grep -c fuse.imssfs /proc/mounts
     "$UMOUNT" --all; grep -c fuse.imssfs /proc/mounts || true`,
    );
    t.is(result.status, 0, describe(result));
    const counts = result.stdout.split('\n').filter((line) => /^\d+$/.test(line));
    t.deepEqual(counts, ['2', '0']);
  },
  { needsRoot: true },
);

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  commandTest(`${signal} to the daemon unmounts and ends it`, async (t, shell) => {
    const pid = await shell.mount();
    process.kill(pid, signal);
    t.true(await eventually(() => !isAlive(pid)));
    t.deepEqual(mountsBelow(shell.mnt), []);
  });

  commandTest(
    `in the foreground, ${signal} unmounts and the command ends with status 0`,
    async (t, shell) => {
      const running = shell.imssfs(['-f', shell.mnt]);
      t.true(await eventually(() => mountsBelow(shell.mnt).length > 0));
      await assertWorks(t, shell.mnt);
      process.kill(daemonOf(shell.mnt), signal);
      const result = await running;
      t.is(result.status, 0, describe(result));
      t.deepEqual(mountsBelow(shell.mnt), []);
      assertNoStack(t, result);
    },
  );
}

commandTest(
  'in the foreground, umount-imss from elsewhere ends the command with status 0',
  async (t, shell) => {
    const running = shell.imssfs(['-f', shell.mnt]);
    t.true(await eventually(() => mountsBelow(shell.mnt).length > 0));
    t.is((await shell.umount([shell.mnt])).status, 0);
    t.is((await running).status, 0);
  },
);

commandTest(
  'after a killed daemon, imssfs recovers the dead mount and says so',
  async (t, shell) => {
    const pid = await shell.mount();
    killNow(pid);
    t.true(await eventually(() => !isAlive(pid)));
    // statfs always asks the daemon. A request that is under way when the connection ends fails with ECONNABORTED.
    t.true(await eventually(() => codeOf(() => statfsSync(shell.mnt)) === 'ENOTCONN'));
    const result = await shell.imssfs([shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.regex(result.stdout + result.stderr, /recover|dead|left|stale/i);
    t.is(mountsBelow(shell.mnt).length, 1);
    await assertWorks(t, shell.mnt);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest('umount-imss clears away the dead mount of a killed daemon', async (t, shell) => {
  const pid = await shell.mount();
  killNow(pid);
  t.true(await eventually(() => !isAlive(pid)));
  const result = await shell.umount([shell.mnt]);
  t.is(result.status, 0, describe(result));
  t.deepEqual(mountsBelow(shell.mnt), []);
});

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
