/** What people do at a shell: sort, copy, lock, pack, look for files, and run what they have made. */
import type { Stats } from 'node:fs';
import {
  copyFileSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { makeTree } from '../support/make-tree.ts';
import { mountTest } from '../support/mount.ts';
import { chance, pattern } from '../support/pattern.ts';
import { sh } from '../support/run.ts';
import { sameBytes } from '../support/files.ts';
import { LONG } from './bounds.ts';

const MiB = 1024 * 1024;

mountTest('flock(1) keeps processes apart: no update of a counter is lost', async (t, mount) => {
  const out = await sh(
    `echo 0 > counter; pids=
     for process in 1 2 3 4; do
       for i in $(seq 20); do flock lock sh -c 'read -r n < counter; echo $((n + 1)) > counter'; done & pids="$pids $!"
     done
     for pid in $pids; do wait $pid; done; cat counter`,
    { ...LONG, cwd: mount.path },
  );
  t.is(out, '80');
});

mountTest(
  'flock(1) -n says whether a lock is taken, and shared locks go together',
  async (t, mount) => {
    const out = await sh(
      `try() { if flock -n "$@" lock true; then echo "$1 got it"; else echo "$1 did not"; fi; }
     exec 8> lock 9> lock; flock -x 8; try -x; try -s; flock -n 9 || echo nor 9
     flock -u 8; flock -s 8; flock -s 9; try -s; try -x; exec 8>&-; try -x; exec 9>&-; try -x`,
      { cwd: mount.path },
    );
    t.deepEqual(out.split('\n'), [
      ...['-x did not', '-s did not', 'nor 9'],
      ...['-s got it', '-x did not', '-x did not', '-x got it'],
    ]);
  },
);

mountTest(
  'sort, with its temporary files in the mount, uniq, split and join by cat do as in memory',
  async (t, mount) => {
    const random = chance(5);
    const lines = Array.from({ length: 200_000 }, () => String(random(100_000)));
    writeFileSync(mount.at('lines'), lines.map((line) => `${line}\n`).join(''));
    await sh('sort -n -S 200k -T . lines > sorted; sort -n -c sorted; uniq -c sorted > counts', {
      ...LONG,
      cwd: mount.path,
    });
    const sorted = lines.map(Number).sort((a, b) => a - b);
    t.is(readFileSync(mount.at('sorted'), 'utf8'), sorted.map((line) => `${line}\n`).join(''));
    t.is(await sh('wc -l < counts', { cwd: mount.path }), String(new Set(lines).size));
    await sh('split -n 7 lines part-; cat part-?? | cmp - lines; rm part-??; ls -A', {
      cwd: mount.path,
    });
    t.deepEqual(readdirSync(mount.path).sort(), ['counts', 'lines', 'sorted']);
  },
);

mountTest(
  'dd copies past the page cache, synchronously, into the middle and at the end',
  async (t, mount) => {
    const data = pattern(4 * MiB);
    writeFileSync(mount.at('source'), data);
    await sh(
      `dd if=source of=direct bs=64k iflag=direct oflag=direct,sync conv=fsync status=none
     dd if=source of=middle bs=4096 count=100 skip=7 seek=50 conv=fdatasync status=none
     dd if=source of=middle bs=1 count=3 seek=10 conv=notrunc status=none
     dd if=source of=middle bs=1000 count=2 oflag=append conv=notrunc status=none`,
      { cwd: mount.path },
    );
    sameBytes(t, readFileSync(mount.at('direct')), data, 'direct');
    const middle = Buffer.concat([
      Buffer.alloc(50 * 4096),
      data.subarray(7 * 4096, 107 * 4096),
      data.subarray(0, 2000),
    ]);
    data.copy(middle, 10, 0, 3);
    sameBytes(t, readFileSync(mount.at('middle')), middle, 'middle');
  },
);

mountTest('truncate, ln, mkfifo, install and mktemp make what they say', async (t, mount) => {
  const out = await sh(
    `echo text > f; truncate -s 1M f; stat -c %s f; truncate -s -1000 f; stat -c %s f; truncate -s 3 f; cat f; echo
     ln f hard; ln -s f soft; mkdir d; ln -sr f d/relative; readlink soft d/relative; stat -c %h f
     mkfifo pipe; stat -c %F pipe; (cat pipe > piped) & echo through > pipe; wait; cat piped
     install -d -m 750 made/of/folders; install -m 640 f made/of; stat -c %a made/of/folders made/of/f
     t=$(mktemp -p . name.XXXXXX); stat -c %a:%s "$t"; rm "$t"; mv -T d e; ls -A`,
    { cwd: mount.path },
  );
  t.deepEqual(out.split('\n'), [
    ...['1048576', '1047576', 'tex', 'f', '../f', '2'],
    ...['fifo', 'through', '750', '640', '600:0'],
    ...['e', 'f', 'hard', 'made', 'pipe', 'piped', 'soft'],
  ]);
});

/** Of a folder and all that is in it, whose names need not be text. */
function statsOf(folder: Buffer): Stats[] {
  const names = readdirSync(folder, { encoding: 'buffer' });
  const below = names.flatMap((name) => {
    const path = Buffer.concat([folder, Buffer.from('/'), name]);
    const stat = lstatSync(path);
    return stat.isDirectory() ? statsOf(path) : [stat];
  });
  return [lstatSync(folder), ...below];
}

mountTest(
  'find and du see every entry of a tree with its size, and rm -rf removes them all',
  async (t, mount) => {
    await sh('mkdir tree', { cwd: mount.path });
    await makeTree(mount.at('tree'));
    const stats = statsOf(Buffer.from(mount.at('tree')));
    const options = { ...LONG, cwd: mount.path };
    const count = (script: string): Promise<string> => sh(`${script} -printf . | wc -c`, options);
    t.is(await count('find tree'), String(stats.length));
    t.is(await count('find tree -type l'), String(stats.filter((s) => s.isSymbolicLink()).length));
    t.is(await count('find tree -size +1M'), String(stats.filter(({ size }) => size > MiB).length));
    t.is(
      await count('find tree -type f -links +1'),
      String(stats.filter((s) => s.isFile() && s.nlink > 1).length),
    );
    const files = new Map(stats.map((s) => [s.ino, s]));
    const sum = (of: (s: (typeof stats)[number]) => number): number =>
      [...files.values()].reduce((total, s) => total + of(s), 0);
    t.is(await sh('du -s -B1 tree | cut -f1', options), String(sum((s) => s.blocks * 512)));
    await sh('rm -rf tree', options);
    t.deepEqual(readdirSync(mount.path), []);
  },
  { lacks: 'utf8' },
);

mountTest('zip and unzip carry a tree, and an archive is changed in place', async (t, mount) => {
  const options = { ...LONG, cwd: mount.path };
  await sh(
    `mkdir -p tree/sub; for i in $(seq 60); do seq $((i * 50)) > tree/sub/$i; done; chmod 751 tree/sub/7
     ln -s sub/9 tree/link; zip -qry archive.zip tree; unzip -tq archive.zip; unzip -q archive.zip -d out
     diff -r --no-dereference tree out/tree; test "$(stat -c %a out/tree/sub/7)" = 751`,
    options,
  );
  const out = await sh(
    `zip -qd archive.zip tree/sub/9; echo new > tree/sub/60; zip -q archive.zip tree/sub/60
     unzip -Z1 archive.zip | grep -c 'tree/sub/[0-9]'; unzip -p archive.zip tree/sub/60; ls -A`,
    options,
  );
  t.is(out, '59\nnew\narchive.zip\nout\ntree');
});

mountTest(
  'scripts, programs and libraries in the mount run, and one that runs cannot be written',
  async (t, mount) => {
    copyFileSync('/bin/sleep', mount.at('program'));
    const out = await sh(
      `printf '#!/bin/sh\\necho script "$1"\\n' > script; chmod 755 script program; ./script works
     ./program 30 & running=$!; n=0
     until test "$(readlink /proc/$running/exe)" = "$(pwd -P)/program"; do n=$((n + 1)); test $n -lt 1000; sleep 0.01; done
     (: >> program) 2> said && echo 'it was opened' || grep -o 'Text file busy' said
     rm program; test -d /proc/$running; kill $running; wait $running || true
     chmod 644 script; ./script 2> /dev/null || echo $?`,
      { cwd: mount.path },
    );
    t.is(out, 'script works\nText file busy\n126');
    t.is(statSync(mount.at('script')).mode & 0o777, 0o644);
    t.deepEqual(readdirSync(mount.path).sort(), ['said', 'script']);
  },
  { lacks: 'hiddenFiles' },
);
