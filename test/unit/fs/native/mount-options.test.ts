import test from 'ava';
import { libfuseOptions } from '../../../../src/fs/native/mount-options.ts';

const PLAIN = {
  source: 'imss://',
  readOnly: false,
  allowOther: false,
  defaultPermissions: true,
  acl: false,
  genericOptions: [],
};

test('attributes are asked for each time, names are remembered, set-user-ID has no effect', (t) => {
  t.is(
    libfuseOptions(PLAIN, false),
    '-ofsname=imss://,subtype=imssfs,use_ino,big_writes,nosuid,nodev,entry_timeout=86400,negative_timeout=0,attr_timeout=0,max_background=6,congestion_threshold=6,default_permissions',
  );
});

test('commas and backslashes in the source are escaped, and flags passed on', (t) => {
  const text = libfuseOptions(
    {
      ...PLAIN,
      source: 'imss://a,b\\c',
      readOnly: true,
      defaultPermissions: false,
      genericOptions: ['noatime', 'relatime'],
    },
    false,
  );
  t.regex(text, /^-ofsname=imss:\/\/a\\,b\\\\c,subtype=imssfs,.*,noatime,ro$/);
});

test('options that libfuse would choke on after mounting are refused before', (t) => {
  // limit: 'mountOptions'
  for (const name of ['nodiratime', 'strictatime', 'lazytime', 'nosymfollow', 'x']) {
    const message = new RegExp(`cannot pass the mount option ${name} `);
    t.throws(() => libfuseOptions({ ...PLAIN, genericOptions: [name] }, false), { message });
  }
});

test('allow_other is refused with the way out', (t) => {
  t.throws(() => libfuseOptions({ ...PLAIN, allowOther: true }, false), {
    name: 'MountError',
    message: /lets in nobody but you: leave out allow_other, or use --engine kernel/,
  });
});

test('acl is refused with the way out', (t) => {
  // limit: 'acl'
  t.throws(() => libfuseOptions({ ...PLAIN, acl: true }, false), {
    name: 'MountError',
    message: /knows no ACLs: leave out acl, or use --engine kernel/,
  });
});

test('options that would be cut off are refused', (t) => {
  const text = libfuseOptions({ ...PLAIN, source: '' }, false);
  const room = 1023 - Buffer.byteLength(text);
  t.is(Buffer.byteLength(libfuseOptions({ ...PLAIN, source: 'x'.repeat(room) }, false)), 1023);
  t.throws(() => libfuseOptions({ ...PLAIN, source: 'é'.repeat(room / 2 + 1) }, false), {
    message: /take 102[45] bytes, .* 1023: shorten fsname/,
  });
});

test('root may mount on a folder that is not empty; of fusermount it is not asked', (t) => {
  t.regex(libfuseOptions(PLAIN, true), /,nonempty/);
  t.notRegex(libfuseOptions(PLAIN, false), /nonempty/);
});
