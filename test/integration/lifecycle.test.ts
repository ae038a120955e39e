import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  assertNoStack,
  assertWorks,
  commandTest,
  daemonOf,
  eventually,
} from '../support/command.ts';
import { isAlive, mountOptionsOf, mountsBelow } from '../support/processes.ts';
import { describe, run, sh } from '../support/run.ts';

commandTest(
  'imssfs returns when the mount answers and leaves a daemon with its output closed',
  async (t, shell) => {
    const result = await shell.imssfs([shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.true(result.outputClosed, 'the daemon holds the output of its command open');
    t.true((result.stdout + result.stderr).includes(shell.logFile), 'the log file is named');
    assertNoStack(t, result);
    await assertWorks(t, shell.mnt);
    t.true(isAlive(daemonOf(shell.mnt)));
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest('the log is JSON lines', async (t, shell) => {
  await shell.mount();
  await assertWorks(t, shell.mnt);
  await shell.umount([shell.mnt]);
  const lines = readFileSync(shell.logFile, 'utf8').split('\n').filter(Boolean);
  t.true(lines.length > 0);
  for (const line of lines) {
    const entry = JSON.parse(line) as { level?: unknown; msg?: unknown };
    t.is(typeof entry.level, 'number');
    t.is(typeof entry.msg, 'string');
  }
});

commandTest(
  'without --log-file the log that is named exists',
  async (t, shell) => {
    const result = await shell.apart(
      `said=$("$IMSSFS" --engine "$ENGINE" "$MNT" 2>&1)
     for word in $said; do word=\${word%[.,;)]}; if [ -f "$word" ]; then echo "log $word"; fi; done
     "$UMOUNT" "$MNT"`,
    );
    t.is(result.status, 0, describe(result));
    t.regex(result.stdout, /^log \//m);
  },
  { needsRoot: true },
);

commandTest(
  'the public description’s full line mounts, with hostfiles that name this machine',
  async (t, shell) => {
    writeFileSync(join(shell.folder, 'hostfile'), `${hostname()}\n`);
    writeFileSync(join(shell.folder, 'stat_hostfile'), 'localhost\n');
    const storage = Math.min(
      10_000_000_000,
      Math.floor((process.constrainedMemory() || totalmem()) / 2),
      Math.floor(totalmem() / 2),
    );
    const line = `-p 5555 -m 5569 -M ./metadata -h ./hostfile -b 1000000 -r imss:// -a ./stat_hostfile -S ${storage} -d 0 -B 1048576000 -l ${shell.mnt}/`;
    const result = await shell.imssfs(line.split(' '));
    t.is(result.status, 0, describe(result));
    await sh('head -c 3000001 /dev/urandom > f; cp f g; cmp f g; stat -c %s f', { cwd: shell.mnt });
    t.true(existsSync(join(shell.folder, 'metadata')));
    const unmounted = await shell.umount([`${shell.mnt}/`]);
    t.is(unmounted.status, 0, describe(unmounted));
  },
);

commandTest('-s and -S are the same, and sizes take suffixes', async (t, shell) => {
  for (const args of [
    ['-s', '128M'],
    ['-S', '128MiB'],
    ['-S', '134217728'],
  ]) {
    await shell.mount(...args, '-b', '64K');
    const size = Number(
      await sh('df -P -B1 . | tail -1 | tr -s " " | cut -d" " -f2', { cwd: shell.mnt }),
    );
    t.true(Math.abs(size - 134_217_728) <= 1_048_576, `${args.join(' ')}: ${size}`);
    t.is((await shell.umount([shell.mnt])).status, 0);
  }
});

commandTest(
  'help is -H and --help and goes to standard output; the version too',
  async (t, shell) => {
    for (const flag of ['-H', '--help', '--version']) {
      const result = await shell.imssfs([flag]);
      t.is(result.status, 0, describe(result));
      t.is(result.stderr, '');
      t.regex(result.stdout, flag === '--version' ? /^\d+\.\d+\.\d+/ : /--hostfile/);
    }
    t.regex((await shell.umount(['--help'])).stdout, /--lazy/);
  },
);

commandTest(
  'a folder that is not empty is mounted with a warning and is whole afterwards',
  async (t, shell) => {
    writeFileSync(join(shell.mnt, 'hidden'), 'still here');
    const result = await shell.imssfs([shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.regex(result.stderr, /not empty/i);
    t.deepEqual(readdirSync(shell.mnt), []);
    await assertWorks(t, shell.mnt);
    t.is((await shell.umount([shell.mnt])).status, 0);
    t.is(readFileSync(join(shell.mnt, 'hidden'), 'utf8'), 'still here');
  },
);

commandTest('two mounts at once are two file systems', async (t, shell) => {
  const second = join(shell.folder, 'second');
  mkdirSync(second);
  await shell.mount();
  t.is((await shell.imssfs([second])).status, 0);
  writeFileSync(join(second, 'f'), 'x');
  t.deepEqual(readdirSync(shell.mnt), []);
  t.is((await shell.umount([shell.mnt, second])).status, 0);
});

commandTest('a mount with -o ro is read-only', async (t, shell) => {
  await shell.mount('-o', 'ro');
  t.throws(
    () => {
      writeFileSync(join(shell.mnt, 'f'), 'x');
    },
    { code: 'EROFS' },
  );
  t.throws(
    () => {
      mkdirSync(join(shell.mnt, 'd'));
    },
    { code: 'EROFS' },
  );
  t.true(mountOptionsOf(shell.mnt)?.includes('ro'));
  t.is((await shell.umount([shell.mnt])).status, 0);
});

commandTest(
  'generic mount options reach the kernel, and fsname names the source',
  async (t, shell) => {
    await shell.mount('-o', 'nosuid,nodev,noexec', '-o', 'noatime,fsname=chosen-name');
    const options = mountOptionsOf(shell.mnt) ?? [];
    for (const name of ['nosuid', 'nodev', 'noexec', 'noatime'])
      t.true(options.includes(name), name);
    t.is(await sh('df . --output=source | tail -1', { cwd: shell.mnt }), 'chosen-name');
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest('--debug-fuse writes a line for each request, and no data', async (t, shell) => {
  await shell.mount('--debug-fuse');
  for (let i = 0; i < 20; i++) mkdirSync(join(shell.mnt, `debugged-${i}`));
  writeFileSync(join(shell.mnt, 'file'), 'PRIVATE-DATA');
  readFileSync(join(shell.mnt, 'file'));
  t.is((await shell.umount([shell.mnt])).status, 0);
  const log = readFileSync(shell.logFile, 'utf8');
  const lines = log.split('\n').filter((line) => /mkdir/i.test(line));
  for (let i = 0; i < 20; i++) {
    const ofFolder = lines.filter((line) => line.includes(`debugged-${i}\\"`));
    t.is(ofFolder.length, 1, `lines of mkdir debugged-${i}`);
    t.regex(ofFolder[0] ?? '', shell.engine === 'kernel' ? / -> ok nodeid=\d+ / : / -> ok"/);
  }
  for (const name of [/create|mknod/i, /write/i, /lookup|getattr/i]) t.regex(log, name);
  t.false(log.includes('PRIVATE-DATA'));
});

commandTest(
  'mount points with blanks and bytes that are not UTF-8 work',
  async (t, shell) => {
    const result = await shell.apart(
      `for name in 'with  blank' "$(printf 'bytes\\377\\200')" "$(printf 'new\\nline')"; do
       mkdir "$name"; "$IMSSFS" --engine "$ENGINE" --log-file "$LOG" "$name" > /dev/null
       echo inside > "$name/file"; stat -f -c %T "$name"; "$UMOUNT" "$name"; ls -A "$name"
     done`,
    );
    t.is(result.status, 0, describe(result));
    t.is(result.stdout.match(/fuse/g)?.length, 3, describe(result));
    t.false(result.stdout.includes('file'), describe(result));
  },
  { needsRoot: true, lacks: 'mountPoint' },
);

commandTest(
  'an ordinary user mounts by fusermount, and owns what they make',
  async (t, shell) => {
    const result = await shell.apart(
      `open_fuse 666; mkdir -m 700 home; mkdir home/m; chown -R 65534:65534 home
       export XDG_RUNTIME_DIR="$PWD/home"; cd home
       $AS_USER "$IMSSFS" --engine "$ENGINE" --log-file log m > /dev/null
       $AS_USER node -e 'fs.chmodSync("m", 0o1777)'; $AS_USER stat -c 'mode %a' m
       $AS_USER sh -ec 'cd m; echo mine > f; stat -c "owner %u %g" f; cat f'
       $AS_USER "$UMOUNT" m; ls -A m; grep -c fuse.imssfs /proc/mounts || true`,
    );
    t.is(result.status, 0, describe(result));
    t.is(result.stdout, 'mode 1777\nowner 65534 65534\nmine\n0\n');
  },
  { needsRoot: true },
);

commandTest(
  'a connection that is ended by force while in use leaves no dead mount, and the log says why',
  async (t, shell) => {
    const pid = await shell.mount();
    const open = openSync(join(shell.mnt, 'open'), 'w');
    try {
      await run('umount', ['-f', shell.mnt]);
      t.true(await eventually(() => !isAlive(pid) && mountsBelow(shell.mnt).length === 0));
    } finally {
      t.throws(() => {
        closeSync(open);
      });
    }
    t.regex(readFileSync(shell.logFile, 'utf8'), /"level":60,.*ended from outside while in use/);
    t.deepEqual(readdirSync(shell.mnt), []);
  },
  { needsRoot: true },
);
