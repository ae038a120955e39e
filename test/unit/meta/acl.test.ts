import test from 'ava';
import { FsError } from '../../../src/errno.ts';
import {
  type Acl,
  type AclEntry,
  AclTag,
  checkAcl,
  decodeAcl,
  encodeAcl,
  isMinimal,
  limitedTo,
  NO_ID,
  permissionsOf,
  withMode,
} from '../../../src/meta/acl.ts';
import { outcome } from './helpers.ts';

const LETTERS: Record<string, AclTag> = {
  u: AclTag.OWNER,
  U: AclTag.USER,
  g: AclTag.GROUP,
  G: AclTag.NAMED_GROUP,
  m: AclTag.MASK,
  o: AclTag.OTHERS,
};

/** `u7 U5:1000 g4 m5 o0`: upper case are the named entries. */
function acl(text: string): Acl {
  return text.split(' ').map((word): AclEntry => {
    const [, letter = '', bits = '', id] = /^(\w)(\d)(?::(\d+))?$/.exec(word) ?? [];
    return {
      tag: LETTERS[letter] as AclTag,
      permissions: Number(bits),
      id: id === undefined ? NO_ID : Number(id),
    };
  });
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

test('an ACL has the form of the kernel’s extended attribute', (t) => {
  const bytes = hex(
    `02000000
     01000700ffffffff 02000500e8030000 04000400ffffffff 08000600d0070000 10000700ffffffff 20000000ffffffff`.replaceAll(
      /\s/g,
      '',
    ),
  );
  const list = acl('u7 U5:1000 g4 G6:2000 m7 o0');
  t.is(encodeAcl(list).toString('hex'), bytes.toString('hex'));
  t.deepEqual(decodeAcl(bytes), list);
  t.deepEqual(decodeAcl(hex('02000000')), []);
});

test('the id of an entry that names nobody counts for nothing', (t) => {
  t.deepEqual(decodeAcl(hex('02000000 0100070005000000')), acl('u7'));
});

test('bytes that are no ACL are EINVAL at every length, another version EOPNOTSUPP', (t) => {
  const bytes = encodeAcl(acl('u7 g4 o0'));
  for (let length = 0; length < bytes.length; length++) {
    const expected = length >= 4 && (length - 4) % 8 === 0 ? 'OK' : 'EINVAL';
    t.is(outcome(() => decodeAcl(bytes.subarray(0, length))), expected, `${length} bytes`); // prettier-ignore
  }
  t.is(outcome(() => decodeAcl(hex('01000000'))), 'EOPNOTSUPP'); // prettier-ignore
  t.is(outcome(() => decodeAcl(hex('02000000 4000070005000000'))), 'EINVAL'); // prettier-ignore
});

for (const valid of [
  'u7 g7 o7',
  'u0 g0 m0 o0',
  'u7 U5:1 g4 m7 o0',
  'u7 U5:1 U6:2 g4 G1:1 G2:2 m7 o0',
  // Two entries of one user: the kernel takes them, and goes by the first.
  'u7 U5:1 U6:1 g4 m7 o0',
]) {
  test(`${valid} is valid`, (t) => {
    t.notThrows(() => {
      checkAcl(acl(valid));
    });
  });
}

for (const [wrong, why] of [
  ['u7 g7', 'nothing for others'],
  ['u7 o7', 'nothing for the group'],
  ['g7 o7', 'nothing for the owner'],
  ['u7 u7 g7 o7', 'two owners'],
  ['u7 g7 g7 o7', 'two groups'],
  ['u7 g7 m7 m7 o7', 'two masks'],
  ['u7 g7 o7 m7', 'a wrong order'],
  ['U5:1 u7 g7 m7 o7', 'a wrong order'],
  ['u7 U5:1 g7 o7', 'a user and no mask'],
  ['u7 g7 G5:1 o7', 'a group and no mask'],
  ['u7 U5 g7 m7 o7', 'a user without a name'],
  ['u8 g7 o7', 'a fourth bit'],
] as const) {
  test(`${wrong} is EINVAL: ${why}`, (t) => {
    t.throws(() => { checkAcl(acl(wrong)); }, { instanceOf: FsError, code: 'EINVAL' }); // prettier-ignore
  });
}

test('the mode shows owner, mask and others, without a mask the group', (t) => {
  t.is(permissionsOf(acl('u7 g5 o1')), 0o751);
  t.is(permissionsOf(acl('u6 U7:1 g7 m4 o0')), 0o640);
  t.true(isMinimal(acl('u7 g5 o1')));
  t.false(isMinimal(acl('u7 g5 m5 o1')));
  t.false(isMinimal(acl('u6 U7:1 g7 m4 o0')));
});

test('chmod sets owner, others, and the mask rather than the group', (t) => {
  t.deepEqual(withMode(acl('u7 g5 o1'), 0o100624), acl('u6 g2 o4'));
  t.deepEqual(withMode(acl('u7 U7:1 g5 m5 o1'), 0o2624), acl('u6 U7:1 g5 m2 o4'));
});

test('what is made gets of a default ACL no more than its mode asks', (t) => {
  const handedOn = acl('u7 U7:1 g5 m7 o5');
  t.deepEqual(limitedTo(handedOn, 0o100666), acl('u6 U7:1 g5 m6 o4'));
  t.deepEqual(limitedTo(handedOn, 0o40777), handedOn);
  t.deepEqual(limitedTo(acl('u7 g5 o5'), 0o640), acl('u6 g4 o0'));
});
