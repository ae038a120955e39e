import test from 'ava';
import { MountError } from '../../../../src/fs/fuse/mount-error.ts';
import {
  MountFlag,
  fusermountOptions,
  mountData,
  mountFlags,
} from '../../../../src/fs/fuse/mount-options.ts';

const request = {
  mountPoint: Buffer.from('/mnt/imss'),
  source: 'imss://',
  readOnly: false,
  allowOther: false,
  defaultPermissions: false,
  acl: false,
  genericOptions: [],
};

test('generic options become flags, a later one overriding an earlier one', (t) => {
  t.is(mountFlags(request), 0);
  t.is(
    mountFlags({ readOnly: true, genericOptions: ['nosuid', 'nodev', 'noatime'] }),
    MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOATIME,
  );
  t.is(mountFlags({ readOnly: false, genericOptions: ['ro', 'noexec', 'exec', 'rw'] }), 0);
  t.is(mountFlags({ readOnly: true, genericOptions: ['defaults', 'rw'] }), MountFlag.RDONLY);
});

test('an option that does not exist is refused by name', (t) => {
  for (const name of ['nosuch', 'constructor', '']) {
    t.throws(() => mountFlags({ readOnly: false, genericOptions: [name] }), {
      instanceOf: MountError,
      message: `Unknown mount option: ${name}`,
    });
  }
});

test('the kernel is told descriptor, root mode, owner and permissions', (t) => {
  const connection = { fd: 21, uid: 1000, gid: 100, maxReadBytes: 1048576 };
  t.is(
    mountData(request, connection),
    'fd=21,rootmode=40000,user_id=1000,group_id=100,max_read=1048576',
  );
  t.is(
    mountData({ allowOther: true, defaultPermissions: true }, connection),
    'fd=21,rootmode=40000,user_id=1000,group_id=100,max_read=1048576,default_permissions,allow_other',
  );
});

test('fusermount gets generic options by name and a source that it reads whole', (t) => {
  const options = fusermountOptions(
    {
      ...request,
      source: 'imss://a,b\\c',
      readOnly: true,
      defaultPermissions: true,
      genericOptions: ['defaults', 'noatime'],
    },
    4096,
  );
  t.is(
    options,
    'fsname=imss://a\\,b\\\\c,subtype=imssfs,noatime,ro,max_read=4096,default_permissions',
  );
  t.throws(() => fusermountOptions({ ...request, genericOptions: ['fd=3'] }, 4096), {
    instanceOf: MountError,
  });
});
