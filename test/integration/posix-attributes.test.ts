import type { ExecutionContext } from 'ava';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { pattern } from '../support/pattern.ts';
import { sh, shFails } from '../support/run.ts';
import { ALICE, BOB } from '../support/users.ts';

const MiB = 1024 * 1024;

function mode(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

async function denied(t: ExecutionContext, script: string, mount: Mount): Promise<void> {
  const said = await shFails(script, { cwd: mount.path, ...BOB });
  t.regex(said, /Permission denied|Operation not permitted/, script);
}

mountTest('chmod sets all twelve bits and moves ctime, not mtime', async (t, mount) => {
  writeFileSync(mount.at('file'), 'x');
  mkdirSync(mount.at('dir'));
  const before = statSync(mount.at('file'), { bigint: true });
  await sleep(20);
  for (const bits of [0, 0o400, 0o755, 0o7777, 0o1000, 0o4711, 0o2755]) {
    chmodSync(mount.at('file'), bits);
    t.is(mode(mount.at('file')), bits.toString(8));
    chmodSync(mount.at('dir'), bits | 0o700);
    t.is(mode(mount.at('dir')), (bits | 0o700).toString(8));
  }
  const after = statSync(mount.at('file'), { bigint: true });
  t.is(after.mtimeNs, before.mtimeNs);
  t.true(after.ctimeNs > before.ctimeNs);
});

mountTest(
  'chown sets user and group, one alone if asked, also on symlinks',
  async (t, mount) => {
    writeFileSync(mount.at('file'), 'x');
    symlinkSync('file', mount.at('link'));
    chownSync(mount.at('file'), 12345, 23456);
    const out = await sh(
      `stat -c '%u %g' file; chown 4294967294 file; stat -c '%u %g' file; chgrp 7 file
       chown -h 99:98 link; stat -c '%u %g' file link`,
      { cwd: mount.path },
    );
    t.is(out, '12345 23456\n4294967294 23456\n4294967294 7\n99 98');
  },
  { needsRoot: true },
);

mountTest(
  'times keep their nanoseconds, before 1970 and after 2106 too',
  async (t, mount) => {
    const stamps: Record<string, string> = {
      '2020-02-29 12:34:56.123456789': '1582979696.123456789',
      '1970-01-01 00:00:00': '0.000000000',
      '1969-12-31 23:59:59.000000001': '-1.999999999',
      '1901-01-01 00:00:00.5': '-2177452799.500000000',
      '2038-01-19 03:14:08.000000007': '2147483648.000000007',
      '2106-02-07 06:28:16.999999999': '4294967296.999999999',
      '2400-01-01 00:00:00.25': '13569465600.250000000',
    };
    await sh('touch f; mkdir d; ln -s f l; mkfifo p', { cwd: mount.path });
    for (const stamp of Object.keys(stamps)) {
      for (const name of ['f', 'd', 'l', 'p']) {
        await sh('touch -h -d "$STAMP" "$NAME"', {
          cwd: mount.path,
          env: { STAMP: stamp, NAME: name },
        });
        const out = await sh('date -u -d "$STAMP" "+%F %T.%N"; stat -c "%x|%y" "$NAME"', {
          cwd: mount.path,
          env: { STAMP: stamp, NAME: name },
        });
        const [wanted, seen] = out.split('\n');
        t.is(seen, `${String(wanted)} +0000|${String(wanted)} +0000`, `${name} ${stamp}`);
      }
    }
  },
  { lacks: 'milliseconds' },
);

mountTest(
  'access and modification time are set apart, and either can be left alone',
  async (t, mount) => {
    writeFileSync(mount.at('f'), 'x');
    utimesSync(mount.at('f'), 1000, 2000);
    await sh('touch -a -d @3000.000000003 f', { cwd: mount.path });
    t.is(await sh('stat -c "%X %.9Y" f', { cwd: mount.path }), '3000 2000.000000000');
    await sh('touch -m -d @4000.000000004 f', { cwd: mount.path });
    t.is(await sh('stat -c "%.9X %.9Y" f', { cwd: mount.path }), '3000.000000003 4000.000000004');
    const before = Date.now();
    await sh('touch f', { cwd: mount.path });
    t.true(Math.abs(statSync(mount.at('f')).mtimeMs - before) < 60_000);
  },
  { lacks: 'partialChange' },
);

mountTest(
  'set times outlive the writes and the close before them',
  async (t, mount) => {
    const out = await sh(
      `echo data > f; exec 3>>f; echo more >&3; touch -d @1000.000000001 f; exec 3>&-
     stat -c %.9Y f; cp -p f g; stat -c %.9Y g; mv g h; stat -c %.9Y h`,
      { cwd: mount.path },
    );
    t.is(out, '1000.000000001\n1000.000000001\n1000.000000001');
  },
  { lacks: 'milliseconds' },
);

mountTest('the first read after a write moves atime, the next one does not', async (t, mount) => {
  const path = mount.at('f');
  writeFileSync(path, 'data');
  utimesSync(path, 1000, 2000);
  readFileSync(path);
  const first = statSync(path, { bigint: true });
  t.true(first.atimeNs > first.mtimeNs);
  await sleep(20);
  readFileSync(path);
  t.is(statSync(path, { bigint: true }).atimeNs, first.atimeNs);
  t.is(statSync(path, { bigint: true }).mtimeNs, first.mtimeNs);
});

mountTest(
  'with noatime, reading leaves atime alone',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, 'data');
    utimesSync(path, 1000, 2000);
    readFileSync(path);
    t.is(statSync(path).atimeMs, 1_000_000);
  },
  { mountOptions: 'noatime' },
);

mountTest(
  'what two users make belongs to each, and permission bits hold between them',
  async (t, mount) => {
    const make =
      'umask 022; mkdir -m 700 $N; echo secret > $N/f; echo open > $N.txt; ln -s $N.txt $N.l';
    await sh(make, { cwd: mount.path, env: { N: 'alice' }, ...ALICE });
    await sh(make, { cwd: mount.path, env: { N: 'bob' }, ...BOB });
    const out = await sh(
      'stat -c "%u %g" alice alice/f alice.txt alice.l bob bob/f bob.txt bob.l',
      {
        cwd: mount.path,
      },
    );
    t.is(
      out,
      [...Array<string>(4).fill('65534 65534'), ...Array<string>(4).fill('12345 23456')].join('\n'),
    );
    t.is(await sh('cat alice.txt', { cwd: mount.path, ...BOB }), 'open');
    for (const script of [
      'cat alice/f',
      'ls alice',
      'echo x >> alice.txt',
      'touch alice/new',
      'chmod 777 alice.txt',
      'chgrp 23456 alice.txt',
      'touch -d @5 alice.txt',
      'rm -rf alice',
      'truncate -s 0 alice.txt',
      'chown 0 bob.txt',
      'chgrp 0 bob.txt',
      'setfattr -n user.x -v y alice.txt',
    ]) {
      await denied(t, script, mount);
    }
    t.is(await sh('cat alice/f alice.txt', { cwd: mount.path }), 'secret\nopen');
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest(
  'a group member has the group’s rights and may give a file to that group',
  async (t, mount) => {
    await sh('echo x > shared; chgrp 4000 shared; chmod 060 shared', { cwd: mount.path });
    const asMember = 'setpriv --reuid 12345 --regid 23456 --groups 4000';
    const out = await sh(
      `${asMember} sh -ec 'echo y >> shared; cat shared; touch own; chgrp 4000 own; stat -c %g own'`,
      { cwd: mount.path },
    );
    t.is(out, 'x\ny\n4000');
    await denied(t, 'cat shared', mount);
    await denied(t, 'chgrp 4001 own', mount);
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest(
  'a write, a truncation and a chown drop set-uid and set-gid',
  async (t, mount) => {
    const fresh = (): void => {
      writeFileSync(mount.at('f'), 'program');
      chmodSync(mount.at('f'), 0o6777);
    };
    for (const change of ['echo x >> f', 'truncate -s 3 f', ': > f']) {
      fresh();
      await sh(change, { cwd: mount.path, ...BOB });
      t.is(mode(mount.at('f')), '777', change);
    }
    fresh();
    chownSync(mount.at('f'), 12345, 23456);
    t.is(mode(mount.at('f')), '777');
    fresh();
    writeFileSync(mount.at('f'), 'root may');
    t.is(mode(mount.at('f')), '6777');
    mkdirSync(mount.at('d'));
    chmodSync(mount.at('d'), 0o6777);
    chownSync(mount.at('d'), 12345, 23456);
    t.is(mode(mount.at('d')), '6777');
    await sh('touch mine; chmod 2755 mine', { cwd: mount.path, ...BOB });
    t.is(mode(mount.at('mine')), '2755');
    await sh('chgrp 4000 mine', { cwd: mount.path });
    await sh('chmod 2755 mine', { cwd: mount.path, ...BOB });
    t.is(mode(mount.at('mine')), '755');
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest(
  'a program that an ordinary user has changed no longer runs as its owner',
  async (t, mount) => {
    const program = mount.at('program');
    for (const change of ['printf x >> program', 'cat /usr/bin/id > program']) {
      await sh('cp /usr/bin/id program; chmod 6777 program', { cwd: mount.path });
      t.is(await sh(`${program} -u`, { cwd: mount.path, ...BOB }), '0');
      await sh(change, { cwd: mount.path, ...BOB });
      t.is(await sh(`${program} -u`, { cwd: mount.path, ...BOB }), String(BOB.uid), change);
      t.is(await sh('stat -c %a program', { cwd: mount.path }), '777', change);
    }
    await sh('chmod 6777 program; setpriv --reuid 12345 --clear-groups sh -c ": > program"', {
      cwd: mount.path,
    });
    t.is(await sh('stat -c %a program', { cwd: mount.path }), '777');
  },
  { needsRoot: true, lacks: 'caller' },
);

mountTest(
  'file capabilities go with a write, a truncation and a chown',
  async (t, mount) => {
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    for (const change of ['printf x >> f', ': > f', 'truncate -s 1 f', 'chown 5 f', 'chgrp 5 f']) {
      writeFileSync(mount.at('f'), 'program');
      libc.setxattr(mount.at('f'), 'security.capability', capability);
      await sh(change, { cwd: mount.path });
      t.throws(() => libc.getxattr(mount.at('f'), 'security.capability'), { code: 'ENODATA' });
    }
  },
  { needsRoot: true },
);

mountTest(
  'a chown that changes nothing moves ctime',
  async (t, mount) => {
    writeFileSync(mount.at('f'), 'x');
    const before = statSync(mount.at('f'), { bigint: true });
    await sleep(20);
    // Node takes no -1; Perl does.
    await sh(`perl -e 'chown -1, -1, "f" or die'`, { cwd: mount.path });
    t.true(statSync(mount.at('f'), { bigint: true }).ctimeNs > before.ctimeNs);
  },
  { lacks: 'partialChange' },
);

mountTest(
  'statfs counts data in and out, and shows the capacity',
  async (t, mount) => {
    const free = (): number => {
      const figures = statfsSync(mount.path);
      return figures.bfree * figures.bsize;
    };
    const all = statfsSync(mount.path);
    const total = all.blocks * all.bsize;
    t.true(Math.abs(total - 256 * MiB) <= 4 * MiB, `${total} bytes`);
    t.true(all.bavail <= all.bfree && all.bfree <= all.blocks);
    t.true(all.ffree > 0 && all.ffree <= all.files);
    const before = free();
    writeFileSync(mount.at('f'), pattern(16 * MiB));
    const used = before - free();
    t.true(used >= 16 * MiB && used <= 20 * MiB, `${used} bytes used by 16 MiB`);
    truncateSync(mount.at('f'), 4 * MiB);
    await until(() => before - free() <= 8 * MiB);
    t.true(before - free() >= 4 * MiB);
    unlinkSync(mount.at('f'));
    await until(() => before - free() <= MiB);
    t.is(await sh('stat -f -c %l .', { cwd: mount.path }), '255');
    const df = await sh('df -P -B1 . | tail -1', { cwd: mount.path });
    t.is(Number(df.split(/\s+/)[1]), total);

    async function until(condition: () => boolean): Promise<void> {
      for (let waits = 0; !condition() && waits < 100; waits++) await sleep(50);
      t.true(condition(), `${condition.toString()}: ${before - free()} bytes in use`);
    }
  },
  { capacity: '256M' },
);
