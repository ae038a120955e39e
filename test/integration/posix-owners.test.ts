/** Who may change owners, groups, modes and times, and whose a new file is; each with processes of several users. */
import type { ExecutionContext } from 'ava';
import { statSync } from 'node:fs';
import { type Mount, mountTest } from '../support/mount.ts';
import { sh, shFails } from '../support/run.ts';
import { BOB } from '../support/users.ts';

const USERS = { needsRoot: true, lacks: 'caller' } as const;

/** Bob, who is also in group 4000. */
const MEMBER = 'setpriv --reuid 12345 --regid 23456 --groups 4000';

function mode(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

async function denied(t: ExecutionContext, script: string, mount: Mount): Promise<void> {
  const said = await shFails(script, { cwd: mount.path, ...BOB });
  t.regex(said, /Permission denied|Operation not permitted/, script);
}

mountTest(
  'a new file has the caller’s group or the set-gid folder’s, and set-gid only if asked by a member',
  async (t, mount) => {
    const out = await sh(
      `mkdir plain shared; chgrp 4000 plain shared; chmod 777 plain; chmod 2777 shared
       ${MEMBER} sh -euc 'umask 0; for d in plain shared; do : > $d/f; mkdir $d/d; mkfifo $d/p; ln -s x $d/l; done'
       stat -c '%n %g %a' plain/* shared/*`,
      { cwd: mount.path },
    );
    t.is(
      out,
      `plain/d 23456 777\nplain/f 23456 666\nplain/l 23456 777\nplain/p 23456 666
shared/d 4000 2777\nshared/f 4000 666\nshared/l 4000 777\nshared/p 4000 666`,
    );
    const create = `perl -e 'use Fcntl; umask 0; sysopen my $f, $ARGV[0], O_CREAT|O_WRONLY, 02775 or die $!'`;
    await sh(
      `mkdir d; chgrp 4000 d; chmod 2777 d; cd d; ${create} root; ${MEMBER} ${create} member`,
      { cwd: mount.path },
    );
    await sh(`cd d; ${create} bob`, { cwd: mount.path, ...BOB });
    t.is(
      await sh('cd d; stat -c "%n %g %a" *', { cwd: mount.path }),
      'bob 4000 775\nmember 4000 2775\nroot 4000 2775',
    );
  },
  USERS,
);

mountTest(
  'chmod by an owner outside the group drops set-gid; owners give files to groups of theirs alone',
  async (t, mount) => {
    await sh('touch f; chown 12345:4000 f', { cwd: mount.path });
    await sh('chmod 2755 f', { cwd: mount.path, ...BOB });
    t.is(mode(mount.at('f')), '755');
    await sh(`${MEMBER} chmod 2755 f`, { cwd: mount.path });
    t.is(mode(mount.at('f')), '2755');
    await sh('chmod 4755 f; chmod 6711 f', { cwd: mount.path });
    t.is(mode(mount.at('f')), '6711');
    await denied(t, 'chmod 777 .', mount);
    await sh('rm f; touch f g; chown 12345:23456 f', { cwd: mount.path });
    await sh(`${MEMBER} chgrp 4000 f; ${MEMBER} chown 12345:23456 f`, { cwd: mount.path });
    for (const script of ['chgrp 4000 f', 'chown 777 f', 'chgrp 23456 g', 'chown 12345 g']) {
      await denied(t, script, mount);
    }
    // Set-uid goes with a chown by its owner, also one that changes nothing.
    for (const change of ['chgrp 23456 f', 'chown 12345:23456 f']) {
      await sh('chmod 6755 f', { cwd: mount.path });
      await sh(change, { cwd: mount.path, ...BOB });
      t.is(mode(mount.at('f')), '755', change);
    }
    t.is(await sh('stat -c "%u %g" f g', { cwd: mount.path }), '12345 23456\n0 0');
  },
  USERS,
);

mountTest(
  'who may write a file sets its times to now, but to no other time',
  async (t, mount) => {
    await sh('touch f; chmod 666 f; touch -d @1000 f', { cwd: mount.path });
    await sh('touch f', { cwd: mount.path, ...BOB });
    t.true(statSync(mount.at('f')).mtimeMs > 1_000_000_000);
    await denied(t, 'touch -d @5 f', mount);
    await sh('chmod 644 f', { cwd: mount.path });
    await denied(t, 'touch f', mount);
  },
  USERS,
);

mountTest(
  'in a sticky folder an entry is removed and replaced by its owner, the folder’s, or root',
  async (t, mount) => {
    await sh('mkdir s; chmod 1777 s; touch s/a s/b; mkdir s/d; chmod 777 s/d', {
      cwd: mount.path,
    });
    await sh('touch s/mine s/mine2', { cwd: mount.path, ...BOB });
    for (const script of ['rm -f s/a', 'mv s/a s/c', 'mv s/mine s/a', 'rmdir s/d', 'mv s/d s/e']) {
      await denied(t, script, mount);
    }
    await sh('mv s/mine s/c; rm s/c; ln s/mine2 s/again', { cwd: mount.path, ...BOB });
    await sh('rm s/again', { cwd: mount.path });
    await sh('chown 12345 s', { cwd: mount.path });
    await sh('rm -f s/a; mv s/b s/z', { cwd: mount.path, ...BOB });
    t.is(await sh('ls s', { cwd: mount.path }), 'd\nmine2\nz');
  },
  USERS,
);
