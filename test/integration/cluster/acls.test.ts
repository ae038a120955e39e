/** ACLs where a file system has several mounts: each sees what another has changed with its next system call. */
import test from 'ava';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { withCluster } from '../../support/cluster.ts';
import { isRoot, skipsMounts } from '../../support/mount.ts';
import { sh, shFails } from '../../support/run.ts';
import { BOB } from '../../support/users.ts';

const clusterTest = skipsMounts || !isRoot ? test.skip : test.serial;

const SHAPE = { meta: 2, blocks: 2, mounts: 2 };

clusterTest('an ACL that one mount sets counts on the other at once', async (t) => {
  await withCluster(t, { ...SHAPE, mountArgs: ['-o', 'acl'] }, async (cluster) => {
    const [here, there] = [{ cwd: cluster.at(0) }, { cwd: cluster.at(1) }];
    // Folders are spread over the metadata servers: some of these are kept apart from their parent.
    for (const name of ['a', 'b', 'c', 'd']) {
      await sh(`mkdir ${name}; echo data > ${name}/f; chmod 600 ${name}/f`, here);
      const read = `cat ${name}/f`;
      t.regex(await shFails(read, { ...there, ...BOB }), /denied/);
      await sh(`setfacl -m u:12345:r ${name}/f`, here);
      t.is(await sh(read, { ...there, ...BOB }), 'data');
      t.regex(await sh(`getfacl -cn ${name}/f`, there), /^user:12345:r--$/m);
      await sh(`chmod g= ${name}/f`, there);
      t.regex(await shFails(read, { ...here, ...BOB }), /denied/);
      t.regex(await sh(`getfacl -cn ${name}/f`, here), /^mask::---$/m);
      await sh(`setfacl -d -m u:12345:rwx ${name}`, there);
      await sh(`umask 077; mkdir ${name}/sub; : > ${name}/sub/g`, here);
      t.regex(await sh(`getfacl -cn ${name}/sub`, there), /^default:user:12345:rwx$/m);
      await sh(`echo bob > ${name}/sub/g`, { ...here, ...BOB });
      t.is(await sh(`cat ${name}/sub/g`, there), 'bob');
      t.is(await sh(`stat -c %a ${name}/sub/g`, there), '664');
      await sh(`setfacl -b ${name}/f; setfacl -k ${name}`, there);
      t.is(await sh(`getfacl -cn ${name}/f ${name} | grep -c 12345 || :`, here), '0');
    }
  });
});

clusterTest('a mount without -o acl inherits default ACLs within its umask', async (t) => {
  await withCluster(t, SHAPE, async (cluster) => {
    await cluster.unmount(0);
    t.is((await cluster.mount(0, ['-o', 'acl'])).status, 0);
    mkdirSync(cluster.at(0, 'd'));
    await sh('setfacl -d -m u:12345:rwx,g::rwx,o::- d', { cwd: cluster.at(0) });
    await sh('umask 027; : > d/f', { cwd: cluster.at(1) });
    writeFileSync(cluster.at(1, 'd', 'g'), '', { mode: 0o666 });
    t.is(
      await sh('getfacl -cnE d/f | grep .', { cwd: cluster.at(0) }),
      'user::rw-\nuser:12345:rwx\ngroup::rwx\nmask::r--\nother::---',
    );
    t.is(statSync(cluster.at(1, 'd', 'g')).mode & 0o007, 0);
    t.regex(await shFails('setfacl -m u:1:r d/f', { cwd: cluster.at(1) }), /not supported/);
    await sh('chmod 600 d/f', { cwd: cluster.at(1) });
    t.regex(await sh('getfacl -cn d/f', { cwd: cluster.at(0) }), /^mask::---$/m);
  });
});
