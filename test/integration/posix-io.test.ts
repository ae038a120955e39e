import { spawn } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { run, sh } from '../support/run.ts';

const MiB = 1024 * 1024;

mountTest('a shared mapping and read and write show each other’s data', (t, mount) => {
  const path = mount.at('file');
  const model = pattern(2 * MiB + 4096);
  writeFileSync(path, model);
  const fd = openSync(path, 'r+');
  try {
    libc.withSharedMapping(fd, model.length, (bytes, sync) => {
      t.true(bytes.equals(model), 'the mapping shows the file');
      for (const at of [0, 4095, MiB - 2, 2 * MiB + 4000]) {
        bytes.write('mapped', at);
        model.write('mapped', at);
      }
      t.true(readFileSync(path).equals(model), 'read shows what was mapped');
      sync();
      writeSync(fd, Buffer.from('written'), 0, 7, MiB + 100);
      model.write('written', MiB + 100);
      t.true(bytes.equals(model), 'the mapping shows what was written');
    });
    t.true(readFileSync(path).equals(model));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
});

mountTest(
  'pages changed through a mapping are there after it and its handle are gone',
  (t, mount) => {
    const path = mount.at('file');
    writeFileSync(path, Buffer.alloc(MiB));
    const fd = openSync(path, 'r+');
    libc.withSharedMapping(fd, MiB, (bytes) => {
      pattern(MiB).copy(bytes);
    });
    closeSync(fd);
    t.true(readFileSync(path).equals(pattern(MiB)));
  },
);

mountTest('O_DIRECT reads and writes the same data as the page cache does', async (t, mount) => {
  writeFileSync(`${mount.scratch}/source`, pattern(5 * MiB));
  const env = { SCRATCH: mount.scratch };
  await sh(
    `dd if="$SCRATCH/source" of=direct bs=1M oflag=direct status=none
     cmp direct "$SCRATCH/source"
     dd if=direct of="$SCRATCH/back" bs=64k iflag=direct status=none
     cmp "$SCRATCH/back" "$SCRATCH/source"
     dd if="$SCRATCH/source" of=direct bs=4k skip=100 seek=300 count=50 conv=notrunc oflag=direct status=none
     dd if="$SCRATCH/source" of="$SCRATCH/back" bs=4k skip=100 seek=300 count=50 conv=notrunc status=none
     cmp direct "$SCRATCH/back"`,
    { cwd: mount.path, env },
  );
  t.true(readFileSync(mount.at('direct')).equals(readFileSync(`${mount.scratch}/back`)));
});

mountTest(
  'a reader with the file in its cache sees what a direct writer changes',
  async (t, mount) => {
    writeFileSync(mount.at('file'), pattern(MiB, 1));
    const fd = openSync(mount.at('file'), 'r');
    const room = Buffer.alloc(MiB);
    readSync(fd, room, 0, MiB, 0);
    writeFileSync(`${mount.scratch}/new`, pattern(MiB, 2));
    await sh('dd if="$NEW" of=file bs=256k conv=notrunc oflag=direct status=none', {
      cwd: mount.path,
      env: { NEW: `${mount.scratch}/new` },
    });
    readSync(fd, room, 0, MiB, 0);
    closeSync(fd);
    t.true(room.equals(pattern(MiB, 2)));
  },
);

mountTest('programs run from the mount', async (t, mount) => {
  await sh(
    'cp "$(command -v env)" program; printf "#!/bin/sh\\necho script\\n" > script; chmod 755 script',
    {
      cwd: mount.path,
    },
  );
  t.is(await sh('./program echo ran; ./script', { cwd: mount.path }), 'ran\nscript');
});

mountTest('flock excludes other holders until it is released', async (t, mount) => {
  const out = await sh(
    `touch lock; exec 3>lock; flock -x 3
     flock -n -x lock echo wrong || echo held; flock -n -s lock echo wrong || echo held
     flock -u 3; flock -n -x lock echo free; flock -s 3; flock -n -s lock echo shared
     flock -n -x lock echo wrong || echo held; exec 3>&-; flock -n -x lock echo closed`,
    { cwd: mount.path },
  );
  t.is(out, 'held\nheld\nfree\nshared\nheld\nclosed');
});

mountTest('a waiting flock is granted when its holder is killed', async (t, mount) => {
  const holder = `
    use Fcntl ':flock';
    open(my $lock, '>', 'lock') or die; flock($lock, LOCK_EX) or die;
    open(my $ready, '>', 'ready') or die; sleep 60;`;
  const out = await sh(
    `perl -e "$HOLDER" & holder=$!
     while [ ! -e ready ]; do sleep 0.02; done
     flock -w 20 lock echo granted & waiter=$!
     sleep 0.2; kill -9 $holder; wait $waiter`,
    { cwd: mount.path, env: { HOLDER: holder } },
  );
  t.is(out, 'granted');
});

/**
 * A process that takes byte-range locks as told: `set TYPE FROM LENGTH`, `wait TYPE FROM LENGTH`,
 * `get FROM LENGTH`, `close`; it answers each with a line. `struct flock` is that of 64-bit Linux.
 */
const LOCKER = `
  use strict; use warnings; use Fcntl; $| = 1;
  open(my $file, '+<', $ARGV[0]) or die "open: $!";
  my %type = (r => F_RDLCK, w => F_WRLCK, u => F_UNLCK);
  while (my $line = <STDIN>) {
    my ($verb, @words) = split ' ', $line;
    if ($verb eq 'close') {
      open(my $other, '<', $ARGV[0]) or die "open: $!"; close $other; print "closed\\n"; next;
    }
    my ($type, $from, $length) = $verb eq 'get' ? ('w', @words) : @words;
    my $lock = pack('s s x4 q q i x4', $type{$type}, 0, $from, $length, 0);
    my $call = { set => F_SETLK, wait => F_SETLKW, get => F_GETLK }->{$verb};
    if (!fcntl($file, $call, $lock)) { print 'refused ', $!+0, "\\n"; next; }
    if ($verb ne 'get') { print "ok\\n"; next; }
    my ($held, undef, $at, $size) = unpack('s s x4 q q i x4', $lock);
    print $held == F_UNLCK ? "free\\n" : "held $at $size\\n";
  }`;

function startLocker(path: string): {
  ask(command: string): Promise<string>;
  end(): Promise<void>;
} {
  const child = spawn('perl', ['-e', LOCKER, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit');
  return {
    async ask(command) {
      child.stdin.write(`${command}\n`);
      const answer = await lines.next();
      return answer.done === true ? 'ended' : answer.value;
    },
    async end() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

mountTest(
  'byte-range locks conflict between processes, split, and end with their process',
  async (t, mount) => {
    const path = mount.at('file');
    writeFileSync(path, 'x'.repeat(1000));
    const first = startLocker(path);
    const second = startLocker(path);
    try {
      t.is(await first.ask('set w 0 100'), 'ok');
      t.is(await second.ask('set w 50 10'), 'refused 11');
      t.is(await second.ask('set r 99 1'), 'refused 11');
      t.is(await second.ask('set w 100 10'), 'ok');
      t.is(await second.ask('get 50 10'), 'held 0 100');
      t.is(await first.ask('set u 40 20'), 'ok');
      t.is(await second.ask('set w 40 20'), 'ok');
      t.is(await second.ask('get 0 0'), 'held 0 40');
      t.is(await second.ask('get 70 5'), 'held 60 40');
      t.is(await first.ask('set r 0 40'), 'ok');
      t.is(await second.ask('set r 0 40'), 'ok');
      t.is(await first.ask('set w 0 40'), 'refused 11');
      t.is(await first.ask('set w 500 0'), 'ok');
      t.is(await second.ask('get 4000000000000 1'), 'held 500 0');
      const waiting = second.ask('wait w 60 10');
      await first.end();
      t.is(await waiting, 'ok');
      t.is(await second.ask('get 0 0'), 'free');
    } finally {
      await first.end();
      await second.end();
    }
  },
);

mountTest('closing any handle on a file drops the process’s byte-range locks', async (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, 'x'.repeat(100));
  const first = startLocker(path);
  const second = startLocker(path);
  try {
    t.is(await first.ask('set w 0 10'), 'ok');
    t.is(await second.ask('set w 0 10'), 'refused 11');
    t.is(await first.ask('close'), 'closed');
    t.is(await second.ask('set w 0 10'), 'ok');
  } finally {
    await first.end();
    await second.end();
  }
});

mountTest('a byte-range lock that would wait for itself in a ring is refused', async (t, mount) => {
  const path = mount.at('file');
  writeFileSync(path, 'x'.repeat(100));
  const first = startLocker(path);
  const second = startLocker(path);
  try {
    t.is(await first.ask('set w 0 1'), 'ok');
    t.is(await second.ask('set w 1 1'), 'ok');
    const waits = first.ask('wait w 1 1');
    const ring = second.ask('wait w 0 1');
    t.is(await Promise.race([waits, ring]), 'refused 35');
  } finally {
    await first.end();
    await second.end();
  }
});

mountTest('many processes at once each read back what they wrote', async (t, mount) => {
  const script = `
    i=0
    while [ $i -lt 30 ]; do
      mkdir -p "$1/$i"; seq $i 2000 > "$1/$i/f"; seq $i 2000 | cmp - "$1/$i/f"
      mv "$1/$i/f" "$1/$i/g"; ln "$1/$i/g" "$1/$i/h"; rm "$1/$i/g"; i=$((i+1))
    done`;
  const results = await Promise.all(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
      run('/bin/sh', ['-euc', script, 'sh', name], { cwd: mount.path }),
    ),
  );
  for (const result of results) t.is(result.status, 0, result.stderr);
  t.is(await sh('find . -type f | wc -l', { cwd: mount.path }), '180');
});
