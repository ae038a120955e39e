import type { ExecutionContext } from 'ava';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { mountTest } from '../support/mount.ts';
import { makeTree } from '../support/make-tree.ts';
import { pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';
import type { RunOptions } from '../support/run.ts';
import { differences, readTree } from '../support/tree.ts';

const LONG: RunOptions = { timeoutMs: 240_000 };
const WHOLE_TEST = { timeoutMs: 280_000 };
/** How many entries a real tree should have for a copy of it to mean something. */
const ENOUGH_ENTRIES = 3_000;
const MODULES = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
const SHOWN_DIFFERENCES = 20;

/** The machine's own trees; a machine without headers and documentation has at least our dependencies. */
function realTrees(): string[] {
  const trees = ['/usr/include', '/usr/share/doc'].filter((path) => existsSync(path));
  const count = trees.reduce((sum, path) => sum + readdirSync(path, { recursive: true }).length, 0);
  return count >= ENOUGH_ENTRIES ? trees : [...trees, ...modulePackages()];
}

function modulePackages(): string[] {
  return ['typescript', '@types', '@typescript-eslint', 'eslint', 'ava', '.bin']
    .map((name) => MODULES + name)
    .filter((path) => existsSync(path));
}

function sameTree(t: ExecutionContext, source: string, copy: string): number {
  const tree = readTree(source);
  const found = differences(tree, readTree(copy));
  t.deepEqual(found.slice(0, SHOWN_DIFFERENCES), [], `${found.length} differences`);
  return tree.size;
}

mountTest(
  'real trees copied in by cp -a and out by tar equal their source in every attribute',
  async (t, mount) => {
    let entries = 0;
    for (const [index, source] of realTrees().entries()) {
      // A first plain copy cuts hard links to files outside of the tree, whose counts could not be equal.
      const plain = `${mount.scratch}/plain-${index}`;
      await sh('cp -a -- "$FROM" "$TO"', { ...LONG, env: { FROM: source, TO: plain } });
      const inside = mount.at(`tree-${index}`);
      await sh('cp -a -- "$FROM" "$TO"', { ...LONG, env: { FROM: plain, TO: inside } });
      entries += sameTree(t, plain, inside);
      const back = `${mount.scratch}/back-${index}`;
      mkdirSync(back);
      await sh(
        'tar -C "$FROM" --format=posix --numeric-owner -cf "$TO.tar" .; tar -C "$TO" -xpf "$TO.tar"; rm "$TO.tar"',
        { ...LONG, env: { FROM: inside, TO: back } },
      );
      sameTree(t, plain, back);
      await sh('diff -r --no-dereference "$A" "$B"; rm -r "$A" "$B"', {
        ...LONG,
        env: { A: plain, B: back },
      });
    }
    t.true(entries >= 1_000, `${entries} entries`);
    t.log(`${entries} entries`);
    await sh('rm -r tree-*', { ...LONG, cwd: mount.path });
    t.deepEqual(readdirSync(mount.path), []);
  },
  { ...WHOLE_TEST, lacks: 'milliseconds' },
);

mountTest(
  'a tree of links, odd names, modes, owners, times and holes survives cp, tar and rsync',
  async (t, mount) => {
    const source = `${mount.scratch}/source`;
    mkdirSync(source);
    await makeTree(source);
    const env = { SOURCE: source, SCRATCH: mount.scratch };
    const options = { ...LONG, cwd: mount.path, env };
    await sh('cp -a "$SOURCE" copied', options);
    sameTree(t, source, mount.at('copied'));
    await sh(
      `mkdir "$SCRATCH/out" unpacked; tar -C copied --format=posix -Scf - . | tar -C "$SCRATCH/out" -xpf -
       tar -C "$SOURCE" --format=posix -cf archive.tar .; tar -C unpacked -xpf archive.tar`,
      options,
    );
    sameTree(t, source, `${mount.scratch}/out`);
    sameTree(t, source, mount.at('unpacked'));
    await sh('rsync -aHX "$SOURCE/" synced', options);
    sameTree(t, source, mount.at('synced'));
    t.is(await sh('rsync -aHXni --delete "$SOURCE/" synced', options), '');
    t.is(await sh('rsync -aHXnic --delete synced/ "$SOURCE"', options), '');
    await sh('cp -a copied again; rm -r copied', options);
    sameTree(t, source, mount.at('again'));
  },
  { ...WHOLE_TEST, lacks: 'utf8' },
);

mountTest('rsync carries extended attributes and finds what changed', async (t, mount) => {
  await sh(
    `mkdir source; echo one > source/a; echo two > source/b; mkdir source/d; ln source/a source/d/a
     setfattr -n user.note -v text source/a source/d; touch -d 2001-01-01T00:00:00.5 source source/d; rsync -aHX source/ "$SCRATCH/copy"
     rsync -aHX "$SCRATCH/copy/" back`,
    { cwd: mount.path, env: { SCRATCH: mount.scratch } },
  );
  sameTree(t, mount.at('source'), mount.at('back'));
  t.is(await sh('getfattr --only-values -n user.note back/d', { cwd: mount.path }), 'text');
  await sh('echo three > source/b; setfattr -n user.note -v other source/d', { cwd: mount.path });
  const changes = await sh('rsync -aHXni source/ back', { cwd: mount.path });
  t.regex(changes, /^>f\S+ b$/m);
  t.regex(changes, /^\.d\S*x\S* d\/$/m);
  await sh('rsync -aHX --inplace --append-verify source/ back; rsync -aHX --delete source/ back', {
    cwd: mount.path,
  });
  t.is(await sh('cat back/b', { cwd: mount.path }), 'three');
});

mountTest(
  'git initialises, commits, branches, clones, collects and checks a repository',
  async (t, mount) => {
    mkdirSync(mount.at('work'));
    for (let i = 0; i < 400; i++) {
      mkdirSync(mount.at('work', `d${i % 20}`), { recursive: true });
      writeFileSync(mount.at('work', `d${i % 20}`, `f${i}`), pattern(200 + i * 31, i));
    }
    const out = await sh(
      `cd work; git init -q -b main; ln -s d1/f1 link; chmod 755 d2/f2
       git add -A; git commit -qm first; git status --porcelain
       git checkout -qb side; git rm -qr d3; echo changed > d4/f4; git commit -qam second
       git checkout -q main; echo other > d5/f5; git commit -qam third; git merge -q -m merged side
       git tag v1; git clone -q . ../local; git clone -q --no-local . ../clone; git gc -q --prune=now
       git fsck --full --strict; git -C ../clone fsck --full --strict; git -C ../clone gc -q --aggressive
       git -C ../local fsck --full; git worktree add -q ../tree side; git stash list
       git -C ../clone status --porcelain; git status --porcelain; git -C ../clone log --oneline | wc -l
       test "$(git rev-parse main)" = "$(git -C ../clone rev-parse main)"
       git -C ../clone checkout -q v1; git -C ../clone diff --stat main`,
      {
        ...LONG,
        cwd: mount.path,
        env: {
          HOME: mount.scratch,
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_AUTHOR_NAME: 'A',
          GIT_AUTHOR_EMAIL: 'a@example.org',
          GIT_COMMITTER_NAME: 'A',
          GIT_COMMITTER_EMAIL: 'a@example.org',
        },
      },
    );
    t.is(out, '4');
  },
  WHOLE_TEST,
);

/** fio's arguments for one verified run; the same arguments with `--verify_only` read it again. */
function fioArguments(job: {
  name: string;
  block: string;
  direct: boolean;
  more?: string;
}): string {
  return `fio --name=${job.name} --rw=randwrite --bs=${job.block} --direct=${job.direct ? 1 : 0} \\
    --size=24m --ioengine=psync --fallocate=none --verify=crc32c --verify_fatal=1 --randrepeat=1 \\
    --norandommap=0 --output-format=terse ${job.more ?? ''}`;
}

for (const direct of [false, true]) {
  mountTest(
    `fio verifies random writes of many sizes, ${direct ? 'direct' : 'buffered'}`,
    async (t, mount) => {
      const kind = direct ? 'direct' : 'buffered';
      for (const [block, more] of [
        ['4k', ''],
        ['64k', '--fsync=16'],
        ['1m', '--end_fsync=1'],
        ['4k', '--numjobs=2 --group_reporting'],
        ['4k', '--ioengine=libaio --iodepth=16'],
      ] as const) {
        const name = `${kind}-${block}-${more.replace(/\W+/g, '')}`;
        const job = fioArguments({ name, block, direct, more });
        // The files' cached pages are dropped in between, so that the second pass reads what was stored.
        const out = await sh(
          `${job} --do_verify=1; for f in ${name}*; do dd if=$f iflag=nocache count=0 status=none; done
           ${job} --verify_only=1; rm ${name}*`,
          { ...LONG, cwd: mount.path },
        );
        t.notRegex(out, /verify: bad|error=/);
      }
    },
    WHOLE_TEST,
  );
}

mountTest(
  'fio verifies writes through a shared mapping and blocks that straddle ours',
  async (t, mount) => {
    const out = await sh(
      `${fioArguments({ name: 'mapped', block: '4k', direct: false, more: '--ioengine=mmap' })}
       ${fioArguments({ name: 'odd', block: '3k-300k', direct: false }).replace('--bs=', '--bsrange=')}`,
      { ...LONG, cwd: mount.path },
    );
    t.notRegex(out, /verify: bad|error=/);
  },
  WHOLE_TEST,
);

mountTest(
  'SQLite keeps a database whole, with a journal and with a write-ahead log',
  async (t, mount) => {
    for (const mode of ['delete', 'wal']) {
      const insert = (writer: number): string =>
        `PRAGMA busy_timeout=60000; BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)
       INSERT INTO t SELECT ${writer}*10000+i, hex(randomblob(100)) FROM n; COMMIT;`;
      const out = await sh(
        `sqlite3 $DB 'PRAGMA journal_mode=${mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);' > /dev/null
       for i in 1 2 3; do sqlite3 $DB "$(eval echo \\"\\$SQL$i\\")" > /dev/null & pids="\${pids:-} $!"; done
       for pid in $pids; do wait $pid; done
       sqlite3 $DB 'DELETE FROM t WHERE id % 3 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t;'`,
        {
          ...LONG,
          cwd: mount.path,
          env: { DB: `${mode}.db`, SQL1: insert(1), SQL2: insert(2), SQL3: insert(3) },
        },
      );
      t.regex(out, /^ok\n4000$/);
    }
  },
);

mountTest(
  'an archive of the mount made while nothing changes has no complaints',
  async (t, mount) => {
    await makeTree(mount.path);
    const out = await sh(
      'tar -cf "$SCRATCH/a.tar" . 2>&1; tar --compare -f "$SCRATCH/a.tar" 2>&1',
      {
        ...LONG,
        cwd: mount.path,
        env: { SCRATCH: mount.scratch },
      },
    );
    t.is(out, '');
  },
  { lacks: 'utf8' },
);
