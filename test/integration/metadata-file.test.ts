import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { assertRefused, assertWorks, commandTest } from '../support/command.ts';
import { pattern } from '../support/pattern.ts';
import { describe, sh } from '../support/run.ts';

commandTest(
  '-M keeps folders and empty files over a remount, and says how many datasets lost their data',
  async (t, shell) => {
    const file = join(shell.folder, 'metadata');
    await shell.mount('-M', file);
    await sh(
      `mkdir -p a/b/c; touch a/empty a/b/other; chmod 640 a/empty; chmod 2750 a/b; touch -d @1000.5 a/b/other
     ln a/empty a/linked; head -c 3000000 /dev/zero > a/data; echo small > data2`,
      { cwd: shell.mnt },
    );
    const before = await sh('find a -type d -printf "%p %m %n %i\\n" | sort', { cwd: shell.mnt });
    t.is((await shell.umount([shell.mnt])).status, 0);
    t.true(statSync(file).size > 0);

    const result = await shell.imssfs(['-M', file, shell.mnt]);
    t.is(result.status, 0, describe(result));
    t.regex(result.stdout + result.stderr, /\b2\b/, describe(result));
    t.is(await sh('find a -type d -printf "%p %m %n %i\\n" | sort', { cwd: shell.mnt }), before);
    t.is(await sh('stat -c "%a %s %h" a/empty', { cwd: shell.mnt }), '640 0 2');
    t.deepEqual(readdirSync(join(shell.mnt, 'a')).sort(), ['b', 'empty', 'linked']);
    t.deepEqual(readdirSync(shell.mnt), ['a']);
    await assertWorks(t, shell.mnt);
    await sh('echo new > a/empty; mkdir a/b/c/d; mv a/b a/z; rm -r a', { cwd: shell.mnt });
    t.is((await shell.umount([shell.mnt])).status, 0);

    await shell.mount('-M', file);
    t.deepEqual(readdirSync(shell.mnt), []);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest(
  '-M in use by one mount is refused to a second, and the first goes on',
  async (t, shell) => {
    const file = join(shell.folder, 'metadata');
    const second = join(shell.folder, 'second');
    mkdirSync(second);
    await shell.mount('-M', file);
    assertRefused(t, await shell.imssfs(['-M', file, second]), {
      status: 1,
      says: /in use|lock|another|already/i,
    });
    await assertWorks(t, shell.mnt);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest(
  '-M is free again after its daemon was killed, with the namespace in it',
  async (t, shell) => {
    const file = join(shell.folder, 'metadata');
    const pid = await shell.mount('-M', file);
    mkdirSync(join(shell.mnt, 'kept'));
    process.kill(pid, 'SIGKILL');
    await shell.mount('-M', file);
    t.deepEqual(readdirSync(shell.mnt), ['kept']);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest(
  '-M on a read-only place is refused',
  async (t, shell) => {
    const place = join(shell.folder, 'read-only');
    mkdirSync(place);
    await sh('mount -t tmpfs -o ro none "$PLACE"', { env: { PLACE: place } });
    const result = await shell.imssfs(['-M', join(place, 'metadata'), shell.mnt]);
    await sh('umount "$PLACE"', { env: { PLACE: place } });
    assertRefused(t, result, { status: 1, says: /read-only|EROFS|cannot|permission/i });
  },
  { needsRoot: true },
);

commandTest(
  '-M in a folder that does not exist, or that is a folder itself, is refused',
  async (t, shell) => {
    for (const [path, says] of [
      [join(shell.folder, 'none', 'metadata'), /none is not a directory: make it/],
      [dirname(shell.folder), /cannot write \S+ \(EISDIR\)|which a mount would hide/],
      ['/proc/metadata', /cannot write \/proc\/metadata \(ENOENT\): name a file elsewhere/],
    ] as const) {
      assertRefused(t, await shell.imssfs(['-M', path, shell.mnt]), { status: 1, says });
    }
  },
);

commandTest('-M holding anything else is refused and left as it is', async (t, shell) => {
  const file = join(shell.folder, 'metadata');
  const garbage = [pattern(65_536), pattern(100), Buffer.from('#!/bin/sh\necho a program\n')];
  for (const content of garbage) {
    writeFileSync(file, content);
    assertRefused(t, await shell.imssfs(['-M', file, shell.mnt]), {
      status: 1,
      says: /metadata/i,
    });
    t.true(readFileSync(file).equals(content), 'the file was changed');
  }
});

commandTest(
  'without -M, nothing is left on disk after the unmount',
  async (t, shell) => {
    const result = await shell.apart(
      `mkdir -m 700 tmp runtime; export TMPDIR="$PWD/tmp" XDG_RUNTIME_DIR="$PWD/runtime"
     "$IMSSFS" --engine "$ENGINE" --log-file "$LOG" "$MNT" > /dev/null
     mkdir "$MNT/d"; echo x > "$MNT/d/f"; "$UMOUNT" "$MNT"; find tmp runtime /run -type f`,
    );
    t.is(result.status, 0, describe(result));
    t.is(result.stdout, '', 'these files are left');
  },
  { needsRoot: true },
);

commandTest('a failed start leaves no metadata file behind', async (t, shell) => {
  const file = join(shell.folder, 'metadata');
  const result = await shell.imssfs(['-M', file, join(shell.folder, 'missing')]);
  t.is(result.status, 1);
  t.false(existsSync(file));
});
