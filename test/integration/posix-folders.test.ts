import type { Dir } from 'node:fs';
import {
  linkSync,
  mkdirSync,
  opendirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { links } from '../support/files.ts';
import { type Mount, mountTest } from '../support/mount.ts';
import { sh, shFails } from '../support/run.ts';
import { BOB } from '../support/users.ts';

/** Reads up to `limit` names on from where the handle stands. */
function readSome(dir: Dir, limit: number): string[] {
  const names: string[] = [];
  while (names.length < limit) {
    const entry = dir.readSync();
    if (entry === null) break;
    names.push(entry.name);
  }
  return names;
}

/** With servers, where each change of a name is a round trip, a quarter of the entries fill several replies as well. */
function entriesOn(mount: Mount, count: number): number {
  return mount.engine === 'detached' ? Math.ceil(count / 12) * 3 : count;
}

mountTest('mkdir and rmdir make and remove, and fail as their man pages say', (t, mount) => {
  mkdirSync(mount.at('dir'), 0o751);
  const stat = statSync(mount.at('dir'));
  t.true(stat.isDirectory());
  t.is(stat.mode & 0o7777, 0o751);
  t.throws(
    () => {
      mkdirSync(mount.at('dir'));
    },
    { code: 'EEXIST' },
  );
  t.throws(
    () => {
      mkdirSync(mount.at('no', 'dir'));
    },
    { code: 'ENOENT' },
  );
  writeFileSync(mount.at('file'), 'x');
  t.throws(
    () => {
      mkdirSync(mount.at('file'));
    },
    { code: 'EEXIST' },
  );
  t.throws(
    () => {
      mkdirSync(mount.at('file', 'dir'));
    },
    { code: 'ENOTDIR' },
  );
  const removal = (path: string, code: string): void => {
    t.throws(
      () => {
        rmdirSync(path);
      },
      { code },
      path,
    );
  };
  removal(mount.at('file'), 'ENOTDIR');
  removal(mount.at('missing'), 'ENOENT');
  removal(`${mount.path}/dir/.`, 'EINVAL');
  removal(`${mount.path}/dir/..`, 'ENOTEMPTY');
  t.throws(
    () => {
      unlinkSync(mount.at('dir'));
    },
    { code: 'EISDIR' },
  );
  rmdirSync(mount.at('dir'));
  t.deepEqual(readdirSync(mount.path), ['file']);
});

mountTest(
  'rmdir refuses a folder that holds anything, and takes it once it is empty',
  (t, mount) => {
    for (const [name, fill] of [
      [
        'file',
        (path: string) => {
          writeFileSync(path, '');
        },
      ],
      [
        'folder',
        (path: string) => {
          mkdirSync(path);
        },
      ],
      [
        'symlink',
        (path: string) => {
          symlinkSync('x', path);
        },
      ],
    ] as const) {
      const dir = mount.at(`d-${name}`);
      mkdirSync(dir);
      fill(`${dir}/inside`);
      t.throws(
        () => {
          rmdirSync(dir);
        },
        { code: 'ENOTEMPTY' },
      );
      rmSync(`${dir}/inside`, { recursive: true });
      rmdirSync(dir);
    }
    t.deepEqual(readdirSync(mount.path), []);
  },
);

mountTest('a folder has two links and one more for each folder in it', (t, mount) => {
  t.is(links(mount.path), 2);
  mkdirSync(mount.at('d'));
  t.is(links(mount.path), 3);
  t.is(links(mount.at('d')), 2);
  for (let i = 0; i < 10; i++) mkdirSync(mount.at('d', `sub${i}`));
  writeFileSync(mount.at('d', 'file'), '');
  t.is(links(mount.at('d')), 12);
  rmdirSync(mount.at('d', 'sub3'));
  t.is(links(mount.at('d')), 11);
  renameSync(mount.at('d', 'sub4'), mount.at('sub4'));
  t.is(links(mount.at('d')), 10);
  t.is(links(mount.path), 4);
});

mountTest(
  'a folder moves its times when entries come and go, not when they are read',
  async (t, mount) => {
    mkdirSync(mount.at('d'));
    const times = (): readonly [bigint, bigint] => {
      const stat = statSync(mount.at('d'), { bigint: true });
      return [stat.mtimeNs, stat.ctimeNs];
    };
    let before = times();
    for (const change of [
      () => {
        writeFileSync(mount.at('d', 'a'), '');
      },
      () => {
        linkSync(mount.at('d', 'a'), mount.at('d', 'b'));
      },
      () => {
        renameSync(mount.at('d', 'b'), mount.at('d', 'c'));
      },
      () => {
        unlinkSync(mount.at('d', 'c'));
      },
      () => {
        mkdirSync(mount.at('d', 'sub'));
      },
      () => {
        rmdirSync(mount.at('d', 'sub'));
      },
    ]) {
      await sleep(20);
      change();
      const after = times();
      t.true(after[0] > before[0], change.toString());
      t.true(after[1] > before[1], change.toString());
      before = after;
    }
    await sleep(20);
    writeFileSync(mount.at('d', 'a'), 'changed');
    readdirSync(mount.at('d'));
    t.deepEqual(times(), before);
  },
);

mountTest(
  'a listing has each entry once, with its type and inode, and both dots',
  async (t, mount) => {
    mkdirSync(mount.at('d', 'sub'), { recursive: true });
    writeFileSync(mount.at('d', 'file'), '');
    symlinkSync('file', mount.at('d', 'symlink'));
    await sh('mkfifo d/fifo', { cwd: mount.path });
    const types = readdirSync(mount.at('d'), { withFileTypes: true }).map((entry) => {
      const kinds = [entry.isDirectory(), entry.isFile(), entry.isSymbolicLink(), entry.isFIFO()];
      return [entry.name, kinds.indexOf(true)];
    });
    t.deepEqual(types.sort(), [
      ['fifo', 3],
      ['file', 1],
      ['sub', 0],
      ['symlink', 2],
    ]);
    const listed = await sh('ls -1aiU --color=never d | sort -k2 | sed "s/^ *//"', {
      cwd: mount.path,
    });
    const stated = await sh(
      'cd d; for f in . .. fifo file sub symlink; do stat -c "%i %n" $f; done',
      {
        cwd: mount.path,
      },
    );
    t.is(listed, stated);
  },
);

mountTest('ls -l shows what was made', async (t, mount) => {
  const out = await sh(
    `umask 022; mkdir d; echo hello > f; ln -s f s; chmod 4711 f; touch -hd '2001-02-03 04:05:06' f s d
     ls -ln --time-style=full-iso | cut -d' ' -f1-2,5- | tr -s ' '`,
    { cwd: mount.path },
  );
  const when = '2001-02-03 04:05:06.000000000 +0000';
  t.regex(out, new RegExp(`^-rws--x--x 1 6 ${when.replace('+', '\\+')} f$`, 'm'));
  t.regex(out, /^lrwxrwxrwx 1 1 2001-02-03 \S+ \+0000 s -> f$/m);
  t.regex(out, /^drwxr-xr-x 2 \d+ 2001-02-03 \S+ \+0000 d$/m);
});

mountTest('thousands of entries list completely while others come and go', (t, mount) => {
  const doomed = entriesOn(mount, 600);
  const stable = Array.from({ length: 5 * doomed }, (_, i) => `stable-${i}`);
  for (const [index, name] of stable.entries()) {
    writeFileSync(mount.at(name), '');
    if (index % 5 === 0) writeFileSync(mount.at(`doomed-${index / 5}`), '');
  }
  const dir = opendirSync(mount.path, { bufferSize: 64 });
  const seen: string[] = [];
  const removed = new Set<string>();
  try {
    for (let round = 0; ; round++) {
      const names = readSome(dir, 250);
      if (names.length === 0) break;
      seen.push(...names);
      for (let i = round * 30; i < (round + 1) * 30 && i < doomed; i++) {
        unlinkSync(mount.at(`doomed-${doomed - 1 - i}`));
        removed.add(`doomed-${doomed - 1 - i}`);
        if (i % 4 === 0) writeFileSync(mount.at(`late-${i}`), '');
      }
    }
  } finally {
    dir.closeSync();
  }
  t.is(new Set(seen).size, seen.length, 'an entry came twice');
  t.deepEqual(seen.filter((name) => name.startsWith('stable-')).sort(), stable.sort());
  t.deepEqual(
    readdirSync(mount.path).filter((name) => removed.has(name)),
    [],
  );
});

mountTest(
  'entries renamed within a folder being listed are not lost from the next listing',
  (t, mount) => {
    const count = entriesOn(mount, 1500);
    for (let i = 0; i < count; i++) writeFileSync(mount.at(`before-${i}`), '');
    const dir = opendirSync(mount.path);
    readSome(dir, count / 3);
    for (let i = 0; i < count; i += 2) renameSync(mount.at(`before-${i}`), mount.at(`after-${i}`));
    readSome(dir, Infinity);
    dir.closeSync();
    t.is(new Set(readdirSync(mount.path)).size, count);
  },
);

mountTest(
  'removing entries while listing them empties the folder, as rm -r does',
  async (t, mount) => {
    mkdirSync(mount.at('d'));
    const count = entriesOn(mount, 2000);
    for (let i = 0; i < count; i++) writeFileSync(mount.at('d', `file-${i}`), '');
    const dir = opendirSync(mount.at('d'), { bufferSize: 16 });
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) {
      unlinkSync(mount.at('d', entry.name));
    }
    dir.closeSync();
    t.deepEqual(readdirSync(mount.at('d')), []);
    await sh('for i in 1 2 3 4 5; do mkdir -p d/$i/a/b/c; echo x > d/$i/a/b/f; done; rm -r d', {
      cwd: mount.path,
    });
    t.deepEqual(readdirSync(mount.path), []);
  },
);

mountTest(
  'telldir and seekdir come back to the same place, rewinddir sees what is new',
  async (t, mount) => {
    const script = `
    use strict; use warnings;
    opendir(my $d, '.') or die "opendir: $!";
    my @names; my @places;
    while (defined(my $name = readdir $d)) { push @names, $name; push @places, telldir $d; }
    die 'entries: ' . @names unless @names == 1502;
    for my $i (0, 1, 7, 250, 750, 1499) {
      seekdir $d, $places[$i];
      my $next = readdir $d;
      die "after $i came $next, not $names[$i + 1]" unless $next eq $names[$i + 1];
    }
    seekdir $d, $places[500];
    my @rest; while (defined(my $name = readdir $d)) { push @rest, $name; }
    die 'the rest differs' unless join('/', @rest) eq join('/', @names[501 .. $#names]);
    my ($gone, $after) = @names[1000, 1001];
    unlink $gone or die "unlink: $!";
    seekdir $d, $places[999];
    my $next = readdir $d;
    die "where $gone was came $next, not $after" unless $next eq $after;
    seekdir $d, $places[1000];
    $next = readdir $d;
    die "after the removed one came $next" unless $next eq $after;
    rewinddir $d;
    open(my $f, '>', 'fresh') or die "open: $!";
    my %all = map { $_ => 1 } readdir $d;
    rewinddir $d;
    %all = map { $_ => 1 } readdir $d;
    die 'fresh is missing' unless $all{fresh};
    die 'the removed one is there' if $all{$gone};
    print 'ok';`;
    for (let i = 0; i < 1500; i++) writeFileSync(mount.at(`entry-${i}`), '');
    t.is(await sh('perl -e "$SCRIPT"', { cwd: mount.path, env: { SCRIPT: script } }), 'ok');
  },
  { lacks: 'snapshot' },
);

mountTest(
  'a removed working folder is empty and takes no new entries',
  async (t, mount) => {
    const out = await sh(
      `mkdir d; cd d; rmdir ../d; ls -A; stat -c %h .
     touch x 2>&1 || true; mkdir y 2>&1 || true; cd ..; ls -A`,
      { cwd: mount.path },
    );
    t.regex(out, /^0\n.*touch.*No such file.*\n.*mkdir.*No such file.*$/s);
  },
  { lacks: 'nameless' },
);

mountTest('umask and the mode given make the mode of what is new', async (t, mount) => {
  const out = await sh(
    'umask 027; touch f; mkdir d; mkfifo p; umask 077; touch g; umask 0; mkdir -m 1777 h; stat -c %a f d p g h',
    { cwd: mount.path },
  );
  t.is(out, '640\n750\n640\n600\n1777');
});

mountTest(
  'a set-gid folder passes its group on, and to folders the bit too',
  async (t, mount) => {
    const out = await sh(
      `mkdir d; chgrp 4000 d; chmod 2777 d; cd d; touch f; mkdir s; mkdir s/t; ln -s x l; mkfifo p
       stat -c '%g %A' f s s/t l p`,
      { cwd: mount.path },
    );
    t.is(
      out,
      '4000 -rw-r--r--\n4000 drwxr-sr-x\n4000 drwxr-sr-x\n4000 lrwxrwxrwx\n4000 prw-r--r--',
    );
    await sh('cd d; touch bobs; mkdir bobdir', { cwd: mount.path, ...BOB });
    t.is(
      await sh('stat -c "%u %g" d/bobs d/bobdir', { cwd: mount.path }),
      '12345 4000\n12345 4000',
    );
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest('one-letter names in the root are entries like any other', async (t, mount) => {
  await sh('mkdir a; echo x > a/b; echo y > c; mv c a/; ls a/b a/c; rm -r a', { cwd: mount.path });
  t.regex(await shFails('ls a', { cwd: mount.path }), /No such file/);
});
