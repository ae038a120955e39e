import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { assertRefused, assertWorks, commandTest } from '../support/command.ts';
import { describe } from '../support/run.ts';

const USAGE = 2;
const FAILURE = 1;

/** Arguments before the mount point that are wrong in themselves. */
const WRONG_USAGE: Record<string, { args: string[]; says: RegExp }> = {
  'an unknown option': { args: ['--no-such-option'], says: /no-such-option/ },
  'an unknown short option': { args: ['-Z'], says: /-Z/ },
  'an option without its value': { args: ['-S'], says: /-S|argument|value|mount point/i },
  'a capacity below one block': { args: ['-S', '64K', '-b', '1M'], says: /capacity|-S/i },
  'a capacity above memory': { args: ['-S', String(totalmem() * 4)], says: /memory/i },
  'a capacity that is no number': { args: ['-S', 'much'], says: /much/ },
  'a capacity that is negative': { args: ['-S', '-5'], says: /-5|argument|size/ },
  'a capacity of zero': { args: ['-S', '0'], says: /capacity|-S|block/i },
  'a block size of zero': { args: ['-b', '0'], says: /block/i },
  'a block size of one': { args: ['-b', '1'], says: /block/i },
  'a huge block size': { args: ['-b', '1000T'], says: /block/i },
  'a block size beyond counting': { args: ['-b', '99999999999999999999'], says: /block/i },
  'a block size that is no number': { args: ['-b', '1MBB'], says: /1MBB/ },
  'an unknown policy': { args: ['-P', 'FASTEST'], says: /FASTEST/ },
  'an unknown engine': { args: ['--engine', 'steam'], says: /steam/ },
  'an unknown deployment': { args: ['-d', '7'], says: /7/ },
  'a port that is none': { args: ['-p', '70000'], says: /70000/ },
  'an unknown mount option': { args: ['-o', 'ro,sparkling'], says: /sparkling/ },
  'a mount option without its value': { args: ['-o', 'fsname='], says: /fsname/ },
  'an unknown log level': { args: ['--log-level', 'chatty'], says: /chatty/ },
  'a root that is no URI': { args: ['-r', '/somewhere'], says: /somewhere/ },
  // Of two arguments, the first is a source, as mount(8)'s helpers have it.
  'two mount points': { args: ['/elsewhere'], says: /\/elsewhere is no file system; write / },
};

for (const [what, { args, says }] of Object.entries(WRONG_USAGE)) {
  commandTest(
    `${what} is refused in one line with exit code 2`,
    async (t, shell) => {
      assertRefused(t, await shell.imssfs([...args, shell.mnt]), { status: USAGE, says });
    },
    { once: true },
  );
}

commandTest('no mount point at all is refused with exit code 2', async (t, shell) => {
  assertRefused(t, await shell.imssfs([]), { status: USAGE, says: /mount point/i });
  t.is((await shell.umount([])).status, USAGE);
  assertRefused(t, await shell.umount(['--no-such-option', shell.mnt]), {
    status: USAGE,
    says: /no-such-option/,
  });
});

commandTest(
  'a mount point that is missing, a file, or loops is refused and named',
  async (t, shell) => {
    const file = join(shell.folder, 'file');
    const loop = join(shell.folder, 'loop');
    writeFileSync(file, 'x');
    symlinkSync('loop', loop);
    for (const path of [join(shell.folder, 'missing'), file, join(file, 'x'), loop]) {
      const says = new RegExp(path.replaceAll(/[^\w/]/g, '.'));
      assertRefused(t, await shell.imssfs([path]), { status: FAILURE, says });
    }
  },
);

commandTest(
  'a path that is an imssfs mount already is refused, and the mount goes on',
  async (t, shell) => {
    await shell.mount();
    assertRefused(t, await shell.imssfs([shell.mnt]), { status: FAILURE, says: /already/i });
    await assertWorks(t, shell.mnt);
    t.is((await shell.umount([shell.mnt])).status, 0);
  },
);

commandTest(
  'hostfiles that are missing, empty, unreadable or name other machines are refused',
  async (t, shell) => {
    const write = (name: string, text: string): string => {
      const path = join(shell.folder, name);
      writeFileSync(path, text);
      return path;
    };
    for (const [path, says] of [
      [join(shell.folder, 'missing'), /missing/],
      [shell.folder, /./],
      [write('empty', ''), /empty|no host|names/i],
      [write('other', 'some-other-machine.invalid\n'), /some-other-machine/],
      [write('bytes', '\0\u0001\n'), /bytes|host/i],
    ] as const) {
      for (const flag of ['-h', '-a']) {
        assertRefused(t, await shell.imssfs([flag, path, shell.mnt]), {
          status: [FAILURE, USAGE],
          says,
        });
      }
    }
  },
);

commandTest('a log file that cannot be written is refused', async (t, shell) => {
  const path = join(shell.folder, 'none', 'log');
  assertRefused(t, await shell.imssfs(['--log-file', path, shell.mnt]), {
    status: [FAILURE, USAGE],
    says: /log/i,
  });
});

commandTest('umount-imss of what is no imssfs mount is refused and named', async (t, shell) => {
  mkdirSync(join(shell.folder, 'plain'));
  for (const path of [join(shell.folder, 'plain'), join(shell.folder, 'missing'), '/']) {
    assertRefused(t, await shell.umount([path]), { status: FAILURE, says: /mount|exist/i });
  }
  await shell.mount();
  mkdirSync(join(shell.mnt, 'inside'));
  assertRefused(t, await shell.umount([join(shell.mnt, 'inside')]), {
    status: FAILURE,
    says: /mount/i,
  });
  t.is((await shell.umount([shell.mnt])).status, 0);
});

/** Starts imssfs on a machine that lacks something; `prepare` runs before, as root, apart from others. */
const LACKING: Record<string, { prepare: string; prefix: string; says: RegExp }> = {
  'without /dev/fuse': {
    prepare: `mount -t tmpfs -o dev,mode=755 none /dev
      mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9`,
    prefix: '',
    says: /\/dev\/fuse/,
  },
  'as an ordinary user where fusermount is missing': {
    prepare: `open_fuse 666; chown 65534 mnt; chmod 777 .; export TMPDIR="$PWD"
      : > nothing; chmod 644 nothing
      for each in /bin /usr/bin /usr/local/bin; do
        for name in fusermount fusermount3; do
          if [ -e $each/$name ]; then mount --bind nothing $each/$name; fi
        done
      done`,
    prefix: '$AS_USER',
    says: /fusermount/,
  },
  'as an ordinary user who may not open /dev/fuse': {
    prepare: 'open_fuse 600; chown 65534 mnt; chmod 777 .; export TMPDIR="$PWD"',
    prefix: '$AS_USER',
    says: /\/dev\/fuse/,
  },
  'as root without CAP_SYS_ADMIN, as in a container': {
    prepare: ':',
    prefix: 'setpriv --bounding-set -sys_admin --inh-caps -sys_admin',
    says: /SYS_ADMIN|privileged/i,
  },
  'as an ordinary user on a folder of another': {
    prepare: 'open_fuse 666; chmod 777 .; export TMPDIR="$PWD"',
    prefix: '$AS_USER',
    says: /permission/i,
  },
};

for (const [what, { prepare, prefix, says }] of Object.entries(LACKING)) {
  commandTest(
    `${what}, imssfs fails in one line with exit code 1 and mounts nothing`,
    async (t, shell) => {
      const result = await shell.apart(
        `${prepare}
         status=0; ${prefix} "$IMSSFS" --engine "$ENGINE" --log-file "$PWD/user.log" "$MNT" || status=$?
         while read -r _ _ type _; do
           case $type in fuse.imssfs) echo 'something is mounted' >&2;; esac
         done < /proc/mounts
         exit $status`,
      );
      assertRefused(t, result, { status: FAILURE, says });
      t.is(result.stdout, '', describe(result));
    },
    { needsRoot: true },
  );
}
