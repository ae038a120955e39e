import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { commandTest } from '../../support/command.ts';
import { IMSSFS } from '../../support/mount.ts';
import { describe, run } from '../../support/run.ts';

/** In a mount namespace of its own: an /sbin that may be written, and all changes gone afterwards. */
const OVERLAY = `
  mkdir /run/upper /run/work
  mount -t overlay -o lowerdir=/usr/sbin,upperdir=/run/upper,workdir=/run/work overlay /usr/sbin
  at() { grep " $MNT fuse.imssfs " /proc/mounts | cut -d' ' -f1,4 | cut -d, -f1-4; }
`;

commandTest(
  'mount -t imss, -t fuse.imssfs and lines of fstab mount with the installed helpers',
  async (t, shell) => {
    const result = await shell.apart(`${OVERLAY}
      $IMSSFS install-mount-helper
      mount -t imss imss:// $MNT -o capacity=64M,noatime; at; $UMOUNT $MNT
      mount -t fuse.imssfs imss://sub $MNT -o size=64M,nosuid; at; $UMOUNT $MNT
      echo "imss:// $MNT imss size=64M,noauto,nofail,x-systemd.automount 0 0" >/run/fstab
      mount -T /run/fstab $MNT; at
      echo works >$MNT/file; cat $MNT/file
      mount -T /run/fstab -a; at
      $UMOUNT $MNT
      printf 'capacity = 64M\\nro # for all\\n' >/run/options
      mount -t imss /run/options $MNT; at; $UMOUNT $MNT
      mount -f -t imss imss:// $MNT; at
      mount -s -t imss imss:// $MNT -o size=64M,bogus; at; $UMOUNT $MNT
      mount -v -t imss imss:// $MNT -o size=64M | cut -d' ' -f1-4; $UMOUNT $MNT
      $IMSSFS install-mount-helper --remove
      ls /usr/sbin/mount.imss || echo gone`);
    t.is(result.status, 0, describe(result));
    const plain = 'imss:// rw,relatime,user_id=0,group_id=0';
    t.deepEqual(result.stdout.trimEnd().split('\n'), [
      'wrote /sbin/mount.imss',
      'wrote /sbin/mount.fuse.imssfs',
      'imss:// rw,noatime,user_id=0,group_id=0',
      'imss://sub rw,nosuid,relatime,user_id=0',
      plain,
      'works',
      plain,
      '/run/options ro,relatime,user_id=0,group_id=0',
      plain,
      `mounted imss:// at ${shell.mnt}`,
      'removed /sbin/mount.imss',
      'removed /sbin/mount.fuse.imssfs',
      'gone',
    ]);
  },
  { needsRoot: true, once: true },
);

commandTest(
  'what cannot be mounted is one line, and the exit code is that of mount(8)',
  async (t, shell) => {
    const result = await shell.apart(`${OVERLAY}
      $IMSSFS install-mount-helper >/dev/null
      mount -t imss imss:// $MNT -o bogus=1 || echo $?
      mount -t imss /nowhere/options $MNT || echo $?
      mount -t imss imss:// $MNT -o hostfile=/nowhere/hosts || echo $?`);
    t.is(result.stdout, '1\n1\n32\n', describe(result));
    t.regex(
      result.stderr,
      /^imssfs: unknown mount option "bogus"[^\n]+\nimssfs: SOURCE \/nowhere\/options is no [^\n]+\nimssfs: cannot read hostfile \/nowhere\/hosts: [^\n]+\n$/,
    );
  },
  { needsRoot: true, once: true },
);

const MOUNT_FUSE = ['/sbin/mount.fuse', '/sbin/mount.fuse3'].some((path) => existsSync(path));
if (MOUNT_FUSE) {
  commandTest(
    'mount -t fuse.imssfs works through mount.fuse as well, where imssfs is in the usual PATH',
    async (t, shell) => {
      const result = await shell.apart(`${OVERLAY}
        ln -s $IMSSFS /usr/sbin/imssfs
        mount -t fuse.imssfs imss:// $MNT -o capacity=64M; at; $UMOUNT $MNT`);
      t.is(result.status, 0, describe(result));
      t.regex(result.stdout, /\nimss:\/\/ rw,relatime,user_id=0,group_id=0\n$/);
    },
    { needsRoot: true, once: true },
  );
}

test('helpers are written where it is said, and not over what another program put there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-helper-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const place = join(folder, "sb'in");
  mkdirSync(place);
  const install = ['install-mount-helper', '--directory', place];
  t.is((await run(IMSSFS, install)).status, 0);
  t.is((await run(IMSSFS, install)).status, 0, 'again');
  const helper = readFileSync(join(place, 'mount.imss'), 'utf8');
  t.regex(
    helper,
    /^#!\/bin\/sh\n# Written by "imssfs install-mount-helper"[^\n]+\nexec '\/\S+' '\/\S+\/bin\/mount\.imss' "\$@"\n$/,
  );
  const usage = await run(join(place, 'mount.imss'), []);
  t.deepEqual(
    [usage.status, usage.stderr.split('\n')[0]],
    [1, 'Usage: mount.imss SOURCE DIRECTORY [-sfnv] [-o options]'],
  );
  writeFileSync(join(place, 'mount.imss'), '#!/bin/sh\n');
  for (const args of [install, [...install, '--remove']]) {
    const refused = await run(IMSSFS, args);
    t.is(refused.status, 1);
    t.regex(
      refused.stderr,
      /^imssfs: \S+\/mount\.imss is not of imssfs; remove it first, [^\n]+\n$/,
    );
  }
  const missing = await run(IMSSFS, ['install-mount-helper', '--directory', join(folder, 'no')]);
  t.regex(missing.stderr, /^imssfs: cannot write \S+ \(ENOENT\); choose another --directory\n$/);
});
