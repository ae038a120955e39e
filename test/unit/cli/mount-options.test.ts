import test from 'ava';
import { UsageError } from '../../../src/cli/errors.ts';
import { MOUNT_OPTION_NAMES, type MountOptions, parseMountOptions } from '../../../src/cli/mount-options.ts'; // prettier-ignore

function parse(...args: string[]): MountOptions {
  return parseMountOptions(args, { allowOther: false, source: 'imss://' });
}

test('without -o a mount is writable, checked by the kernel, and for its user alone', (t) => {
  t.deepEqual(parse(), {
    source: 'imss://',
    readOnly: false,
    allowOther: false,
    defaultPermissions: true,
    acl: false,
    genericOptions: [],
    allowNonEmpty: false,
  });
});

test('root shares its mount with other users unless it says otherwise', (t) => {
  const root = { allowOther: true, source: 'imss://' };
  t.true(parseMountOptions([], root).allowOther);
  t.false(parseMountOptions(['no_allow_other'], root).allowOther);
});

test('options are comma-separated and -o may be repeated', (t) => {
  const options = parse('ro,nosuid', 'noatime,,fsname=my\\,data');
  t.true(options.readOnly);
  t.deepEqual(options.genericOptions, ['nosuid', 'noatime']);
  t.is(options.source, 'my,data');
});

test('of two options that contradict each other the later one wins', (t) => {
  t.false(parse('ro,rw').readOnly);
  t.deepEqual(parse('nosuid,suid').genericOptions, []);
  t.deepEqual(parse('suid', 'nosuid').genericOptions, ['nosuid']);
  t.deepEqual(parse('noatime,strictatime').genericOptions, ['strictatime']);
  t.false(parse('default_permissions,no_default_permissions').defaultPermissions);
});

test('acl is off unless asked for, and needs the kernel’s checks', (t) => {
  t.true(parse('acl').acl);
  t.false(parse('acl,noacl').acl);
  t.throws(() => parse('acl,no_default_permissions'), {
    instanceOf: UsageError,
    message: /acl and no_default_permissions contradict/,
  });
});

test('words that only fstab needs are ignored', (t) => {
  t.deepEqual(
    parse('defaults,auto,noauto,user,users,_netdev,nofail,x-systemd.automount,X-a=b,comment=hi'),
    parse(),
  );
});

test('every option named in the help is accepted', (t) => {
  for (const name of MOUNT_OPTION_NAMES) {
    t.notThrows(() => parse(name === 'subtype=' ? 'subtype=imssfs' : name.endsWith('=') ? `${name}x` : name)); // prettier-ignore
  }
});

for (const [word, message] of [
  ['bogus', /unknown mount option "bogus" \(-o\)/],
  ['ro,uid=1000', /unknown mount option "uid"/],
  ['allow_root', /unknown mount option "allow_root"/],
  ['remount', /cannot remount \(-o\); unmount and mount again/],
  ['ro=1', /unknown mount option "ro"/],
  ['fsname', /mount option fsname needs a value; write fsname=VALUE/],
  ['fsname=', /mount option fsname is empty/],
  ['subtype=other', /subtype=other is refused/],
  ['toString', /unknown mount option "toString"/],
  ['__proto__=1', /unknown mount option "__proto__"/],
] as const) {
  test(`-o ${word} is refused by name`, (t) => {
    t.throws(() => parse(word), { instanceOf: UsageError, message });
  });
}

test('unknown options are ignored after sloppy, wherever it stands, and other errors are not', (t) => {
  t.true(parse('bogus,sloppy,ro').readOnly);
  t.throws(() => parse('sloppy,fsname='), { instanceOf: UsageError, message: /fsname is empty/ });
});
