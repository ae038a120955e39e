/** Programs that change files in place, and those that follow such changes. */
import { readFileSync, watch, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { links } from '../support/files.ts';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';

const MAX_WAITS = 400;
const WAIT_MS = 25;

mountTest(
  'sed -i replaces a file by a new one with its mode, and leaves its other name alone',
  async (t, mount) => {
    const out = await sh(
      `printf 'one\\ntwo\\n' > f; chmod 640 f; ln f other; sed -i.bak s/two/zwei/ f
     cat f; stat -c %a f; cat other; cmp f.bak other; ls -A`,
      { cwd: mount.path },
    );
    t.is(out, 'one\nzwei\n640\none\ntwo\nf\nf.bak\nother');
    t.deepEqual([links(mount.at('f')), links(mount.at('other'))], [1, 2]);
  },
);

for (const copies of ['yes', 'no'] as const) {
  mountTest(
    `vi changes a file and keeps a backup ${copies === 'yes' ? 'that it copies' : 'by renaming the original'}`,
    async (t, mount) => {
      writeFileSync(mount.at('text'), 'one\ntwo\nthree\n');
      const before = await sh('chmod 751 text; stat -c %i text', { cwd: mount.path });
      await sh(
        `vi -u NONE -i NONE -N -es -c 'set backup backupskip= backupdir=. directory=. backupcopy=${copies}' \\
           -c '%s/two/zwei/' -c '$put =range(1,3)' -c wq text < /dev/null`,
        { cwd: mount.path, env: { HOME: mount.scratch, TERM: 'dumb' } },
      );
      t.is(readFileSync(mount.at('text'), 'utf8'), 'one\nzwei\nthree\n1\n2\n3\n');
      t.is(readFileSync(mount.at('text~'), 'utf8'), 'one\ntwo\nthree\n');
      t.is(await sh('ls -A; stat -c %a text', { cwd: mount.path }), 'text\ntext~\n751');
      const after = await sh(`stat -c %i ${copies === 'yes' ? 'text' : 'text~'}`, {
        cwd: mount.path,
      });
      t.is(after, before);
    },
  );
}

mountTest(
  'inotify tells of files that are made, written, moved and removed in the mount',
  async (t, mount) => {
    const seen: string[] = [];
    const watcher = watch(mount.path, (event, name) => seen.push(`${event} ${String(name)}`));
    const told = async (event: string): Promise<boolean> => {
      for (let waits = 0; !seen.includes(event) && waits < MAX_WAITS; waits++) await sleep(WAIT_MS);
      return seen.includes(event);
    };
    try {
      await sh('echo one > made', { cwd: mount.path });
      t.true(await told('rename made'), seen.join());
      t.true(await told('change made'), seen.join());
      await sh('mv made moved', { cwd: mount.path });
      t.true(await told('rename moved'), seen.join());
      seen.length = 0;
      await sh('rm moved', { cwd: mount.path });
      t.true(await told('rename moved'), seen.join());
    } finally {
      watcher.close();
    }
  },
);

mountTest(
  'tail -F shows what others append, and follows a log that is rotated',
  async (t, mount) => {
    const out = await sh(
      `echo first > log; tail -n +1 -F -s 0.05 log > "$SEEN" 2> /dev/null & tail=$!
     seen() { n=0; until grep -q "$1" "$SEEN"; do n=$((n + 1)); test $n -lt 400; sleep 0.05; done; }
     seen first; echo second >> log; seen second; mv log log.1; echo third > log; seen third
     kill $tail; wait $tail || true; cat "$SEEN"`,
      { cwd: mount.path, env: { SEEN: `${mount.scratch}/seen` } },
    );
    t.is(out, 'first\nsecond\nthird');
  },
);
