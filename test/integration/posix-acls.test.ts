/** POSIX ACLs with `-o acl`: kept, inherited, enforced by the kernel, and carried along by the usual programs. */
import type { ExecutionContext } from 'ava';
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AclEntry, AclTag, encodeAcl, NO_ID } from '../../src/meta/acl.ts';
import * as libc from '../support/libc.ts';
import { type Mount, mountTest } from '../support/mount.ts';
import { sh, shFails } from '../support/run.ts';
import { ALICE, BOB } from '../support/users.ts';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';

/** A tmpfs has ACLs without being asked, so the same expectations hold there. */
const WITH_ACL = { args: ['-o', 'acl'], lacks: 'acl' } as const;
const AS_USERS = { ...WITH_ACL, needsRoot: true };

function mode(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

function entry(tag: AclTag, permissions: number, id = NO_ID): AclEntry {
  return { tag, permissions, id };
}

const OWNER = entry(AclTag.OWNER, 7);
const GROUP = entry(AclTag.GROUP, 5);
const OTHERS = entry(AclTag.OTHERS, 0);
const MASK = entry(AclTag.MASK, 7);
const BOBS = entry(AclTag.USER, 6, BOB.uid);

/** What getfacl says of a path, in one line. */
async function acl(mount: Mount, path: string): Promise<string> {
  const text = await sh(`getfacl -cnE ${path}`, { cwd: mount.path });
  return text.trim().replaceAll('\n', ' ');
}

async function denied(t: ExecutionContext, script: string, mount: Mount): Promise<void> {
  const said = await shFails(script, { cwd: mount.path, ...BOB });
  t.regex(said, /Permission denied|Operation not permitted/, script);
}

mountTest(
  'ACLs are set, shown, listed and removed, and a mode says what an ACL of three entries does',
  async (t, mount) => {
    await sh('mkdir d; touch d/f; chmod 640 d/f; setfacl -m u:12345:rw,g:4000:r d/f', {
      cwd: mount.path,
    });
    t.is(await acl(mount, 'd/f'), 'user::rw- user:12345:rw- group::r-- group:4000:r-- mask::rw- other::---'); // prettier-ignore
    t.is(mode(mount.at('d', 'f')), '660');
    t.deepEqual(libc.listxattr(mount.at('d', 'f')), [ACCESS]);
    await sh('setfacl -d -m u::rwx,g::rx,o::-,u:12345:rwx d', { cwd: mount.path });
    t.deepEqual(libc.listxattr(mount.at('d')), [DEFAULT]);
    libc.setxattr(mount.at('d', 'f'), ACCESS, encodeAcl([OWNER, GROUP, OTHERS]));
    t.is(mode(mount.at('d', 'f')), '750');
    t.deepEqual(libc.listxattr(mount.at('d', 'f')), []);
    t.throws(() => libc.getxattr(mount.at('d', 'f'), ACCESS), { code: 'ENODATA' });
    await sh('setfacl -k d; setfacl -m u:1:rwx d/f; setfacl -b d/f', { cwd: mount.path });
    t.deepEqual(libc.listxattr(mount.at('d')), []);
    t.is(await acl(mount, 'd/f'), 'user::rwx group::r-x other::---');
  },
  WITH_ACL,
);

mountTest(
  'chmod changes the mask of an ACL, or the group where there is none; setting an ACL moves ctime',
  async (t, mount) => {
    const path = mount.at('f');
    await sh('touch f; setfacl -m u::rw,u:12345:rw,g::r,o::- f; chmod 4751 f', { cwd: mount.path });
    t.is(await acl(mount, 'f'), 'user::rwx user:12345:rw- group::r-- mask::r-x other::--x');
    t.is(mode(path), '4751');
    const before = statSync(path, { bigint: true });
    await sh('sleep 0.02; setfacl -m u:12345:r,m::rwx f', { cwd: mount.path });
    const after = statSync(path, { bigint: true });
    t.true(after.ctimeNs > before.ctimeNs);
    t.is(after.mtimeNs, before.mtimeNs);
    t.is(mode(path), '4771');
    await sh('setfacl -x u:12345,m f; chmod 620 f', { cwd: mount.path });
    t.is(await acl(mount, 'f'), 'user::rw- group::-w- other::---');
  },
  WITH_ACL,
);

mountTest(
  'a default ACL is inherited instead of the umask by all that is made, but symlinks',
  async (t, mount) => {
    const out = await sh(
      `umask 077; mkdir plain; mkdir d; setfacl -d -m u::rwx,g::rx,o::rx,u:12345:rwx d
       cd d; touch f; mkdir e; mkfifo p; mkdir -m 700 own; mknod n c 1 3 || : > n; ln -s f l
       (umask 0; : > open); touch ../plain/f; mkdir ../plain/e
       stat -c '%n %a' f e p own open ../plain/f ../plain/e; getfacl -cnE e f | grep .`,
      { cwd: mount.path },
    );
    t.is(
      out,
      `f 664\ne 775\np 664\nown 700\nopen 664\n../plain/f 600\n../plain/e 700
user::rwx
user:12345:rwx
group::r-x
mask::rwx
other::r-x
default:user::rwx
default:user:12345:rwx
default:group::r-x
default:mask::rwx
default:other::r-x
user::rw-
user:12345:rwx
group::r-x
mask::rw-
other::r--`,
    );
    t.deepEqual(libc.listxattr(mount.at('d', 'l')), []);
    t.deepEqual(libc.listxattr(mount.at('d', 'p')), [ACCESS]);
    t.deepEqual(libc.listxattr(mount.at('d', 'n')), [ACCESS]);
    t.deepEqual(libc.listxattr(mount.at('plain', 'f')), []);
  },
  { ...WITH_ACL, needsRoot: true },
);

mountTest(
  'ACLs let in the users and groups that they name, within the mask, and keep out the rest',
  async (t, mount) => {
    await sh('mkdir d; echo data > d/f; chmod 640 d/f; chmod 700 d', { cwd: mount.path });
    await denied(t, 'cat d/f', mount);
    await sh('setfacl -m u:12345:x d; setfacl -m u:12345:rw d/f', { cwd: mount.path });
    t.is(await sh('cat d/f; echo more >> d/f', { cwd: mount.path, ...BOB }), 'data');
    await denied(t, 'ls d', mount);
    await denied(t, 'touch d/new', mount);
    await denied(t, 'setfacl -m u:12345:rwx d', mount);
    // The mask limits whom the ACL names.
    await sh('chmod g-w d/f', { cwd: mount.path });
    t.is(await sh('cat d/f', { cwd: mount.path, ...BOB }), 'data\nmore');
    await denied(t, 'echo x >> d/f', mount);
    // Who is named in vain is not among the others.
    await sh('chmod 755 d; chmod 666 d/f; setfacl -m u:12345:- d/f', { cwd: mount.path });
    await denied(t, 'cat d/f', mount);
    t.is(await sh('cat d/f', { cwd: mount.path, ...ALICE }), 'data\nmore');
    await sh('setfacl -b -m g:4000:rw d/f; chmod o= d/f', { cwd: mount.path });
    await denied(t, 'cat d/f', mount);
    const member = 'setpriv --reuid 12345 --regid 23456 --groups 4000';
    t.is(await sh(`${member} tail -n 1 d/f`, { cwd: mount.path }), 'more');
    await sh('setfacl -x g:4000 d/f', { cwd: mount.path });
    await t.throwsAsync(sh(`${member} cat d/f`, { cwd: mount.path }), { message: /denied/ });
  },
  AS_USERS,
);

mountTest(
  'what ordinary users make in a shared folder is open to those whom its default ACL names',
  async (t, mount) => {
    await sh(
      'mkdir d; chmod 700 d; setfacl -m u:65534:rwx,u:12345:rwx,d:u:65534:rwx,d:u:12345:rwx,d:o::- d',
      { cwd: mount.path },
    );
    await sh('umask 077; mkdir d/e; echo from alice > d/e/f', { cwd: mount.path, ...ALICE });
    t.is(
      await sh('cat d/e/f; echo from bob >> d/e/f; : > d/e/g', { cwd: mount.path, ...BOB }),
      'from alice',
    );
    t.is(await sh('cat d/e/f', { cwd: mount.path, ...ALICE }), 'from alice\nfrom bob');
    t.is(await sh('stat -c "%u %a" d/e/f d/e/g', { cwd: mount.path }), '65534 660\n12345 660');
    const other = 'setpriv --reuid 777 --regid 777 --clear-groups';
    await t.throwsAsync(sh(`${other} cat d/e/f`, { cwd: mount.path }), { message: /denied/ });
  },
  AS_USERS,
);

mountTest(
  'malformed ACLs are EINVAL, those in a wrong place fail as elsewhere, and one of 500 names is kept',
  (t, mount) => {
    mkdirSync(mount.at('d'));
    writeFileSync(mount.at('f'), '');
    symlinkSync('f', mount.at('l'));
    const fails = (path: string, name: string, value: Buffer, code: string): void => {
      t.throws(
        () => {
          libc.setxattr(mount.at(path), name, value);
        },
        { code },
        `${path} ${name} ${value.toString('hex')}`,
      );
    };
    const whole = encodeAcl([OWNER, GROUP, OTHERS]);
    for (const value of [
      Buffer.from('x'),
      whole.subarray(0, -1),
      encodeAcl([OWNER, GROUP]),
      encodeAcl([GROUP, OWNER, OTHERS]),
      encodeAcl([OWNER, BOBS, GROUP, OTHERS]),
      encodeAcl([OWNER, OWNER, GROUP, OTHERS]),
      encodeAcl([entry(AclTag.OWNER, 8), GROUP, OTHERS]),
      encodeAcl([entry(64 as AclTag, 7), GROUP, OTHERS]),
    ]) {
      fails('f', ACCESS, value, 'EINVAL');
      fails('d', DEFAULT, value, 'EINVAL');
    }
    fails('f', ACCESS, Buffer.from('01000000', 'hex'), 'EOPNOTSUPP');
    fails('l', ACCESS, whole, 'EOPNOTSUPP');
    fails('f', DEFAULT, whole, 'EACCES');
    fails('f', 'system.posix_acl', whole, 'EOPNOTSUPP');
    libc.removexattr(mount.at('f'), ACCESS);
    libc.removexattr(mount.at('d'), DEFAULT);
    libc.setxattr(mount.at('f'), ACCESS, encodeAcl([OWNER, BOBS, GROUP, MASK, OTHERS]));
    t.is(libc.xattrSize(mount.at('f'), ACCESS), 44);
    t.throws(() => libc.getxattr(mount.at('f'), ACCESS, 43), { code: 'ERANGE' });
    t.is(mode(mount.at('f')), '770');
    const named = Array.from({ length: 500 }, (_, id) => entry(AclTag.USER, id % 8, 1000 + id));
    const value = encodeAcl([OWNER, ...named, GROUP, MASK, OTHERS]);
    libc.setxattr(mount.at('f'), ACCESS, value);
    t.deepEqual(libc.getxattr(mount.at('f'), ACCESS), value);
  },
  WITH_ACL,
);

mountTest(
  'only the owner changes an ACL, and loses set-gid of a group that is not theirs',
  async (t, mount) => {
    await sh('touch f; chown 12345:4000 f; chmod 2775 f; touch other', { cwd: mount.path });
    await denied(t, 'setfacl -m u:1:r other', mount);
    await sh('setfacl -m u:1:r f', { cwd: mount.path, ...BOB });
    t.is(mode(mount.at('f')), '775');
    await sh('chmod 2775 f; setfacl -m u:2:r f', { cwd: mount.path });
    t.is(mode(mount.at('f')), '2775');
    const member = 'setpriv --reuid 12345 --regid 23456 --groups 4000';
    await sh(`${member} setfacl -m u:3:r f`, { cwd: mount.path });
    t.is(mode(mount.at('f')), '2775');
  },
  AS_USERS,
);

mountTest(
  'cp -a, mv, tar, rsync and setfacl --restore bring ACLs along',
  async (t, mount) => {
    const out = await sh(
      `mkdir -p src/sub; echo x > src/f; echo y > src/sub/g; ln -s f src/l
       setfacl -m u:12345:rw src/f; setfacl -m u:12345:rwx,d:g:4000:rx src/sub; chmod 2750 src/sub
       facl() { (cd "$1"; find . | LC_ALL=C sort | xargs getfacl -n 2>&1); }
       facl src > "$SCRATCH/want"
       cp -a src copied; rsync -aAX src/ synced
       tar --acls -cf "$SCRATCH/t.tar" src; mkdir out; tar --acls -xpf "$SCRATCH/t.tar" -C out
       cp -a src moved-from; mv moved-from moved
       cp -r src plain; (cd plain; setfacl -R -b .; setfacl --restore="$SCRATCH/want")
       cp -a src "$SCRATCH/elsewhere" 2> /dev/null || :
       for each in copied synced out/src moved plain; do facl $each | cmp - "$SCRATCH/want" && echo $each; done`,
      { cwd: mount.path, env: { SCRATCH: mount.scratch } },
    );
    t.is(out, 'copied\nsynced\nout/src\nmoved\nplain');
  },
  WITH_ACL,
);

mountTest(
  'without -o acl, ACLs are EOPNOTSUPP and nothing else changes',
  async (t, mount) => {
    mkdirSync(mount.at('d'));
    const value = encodeAcl([OWNER, GROUP, OTHERS]);
    for (const name of [ACCESS, DEFAULT]) {
      const code = 'EOPNOTSUPP';
      t.throws(() => { libc.setxattr(mount.at('d'), name, value); }, { code }); // prettier-ignore
      t.throws(() => libc.getxattr(mount.at('d'), name), { code });
      t.throws(() => { libc.removexattr(mount.at('d'), name); }, { code }); // prettier-ignore
    }
    await sh('umask 027; touch f; mkdir e', { cwd: mount.path });
    t.is(mode(mount.at('f')), '640');
    t.is(mode(mount.at('e')), '750');
    t.is(await acl(mount, 'f'), 'user::rw- group::r-- other::---');
  },
  { notOn: ['tmpfs'] },
);
