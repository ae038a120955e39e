import test from 'ava';
import fc from 'fast-check';
import { FsError } from '../../src/errno.ts';
import { decodeUri, encodeUri, encodeUriName } from '../../src/uri.ts';

const name = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes))
  .filter((bytes) => !bytes.includes(0x2f) && !bytes.includes(0))
  .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')));

test('unreserved characters stand for themselves, all other bytes are percent-encoded', (t) => {
  t.is(encodeUri([]), 'imss://');
  t.is(encodeUri([Buffer.from('a'), Buffer.from('b-._~9Z')]), 'imss://a/b-._~9Z');
  t.is(encodeUriName(Buffer.from('a b%ü')), 'a%20b%25%C3%BC');
  t.is(encodeUriName(Buffer.from([0xff, 0x01])), '%FF%01');
});

test('every path decodes to the bytes that it was encoded from', (t) => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 5 }), (path) => {
      t.deepEqual(decodeUri(encodeUri(path)), path);
    }),
  );
  t.pass();
});

test('slashes at the end and lower-case digits are accepted', (t) => {
  t.deepEqual(decodeUri('imss:///'), []);
  t.deepEqual(decodeUri('imss://a/%c3%bc//'), [Buffer.from('a'), Buffer.from('ü')]);
});

for (const bad of ['', 'a/b', 'http://a', 'imss://a//b', 'imss://a b', 'imss://%2', 'imss://%zz'])
  test(`"${bad}" is refused`, (t) => {
    t.is(t.throws(() => decodeUri(bad), { instanceOf: FsError }).code, 'EINVAL');
  });

for (const bad of ['imss://.', 'imss://a/..', 'imss://%2E%2e', 'imss://a%2Fb', 'imss://a%00'])
  test(`"${bad}" is refused, for it cannot be a name`, (t) => {
    t.is(t.throws(() => decodeUri(bad), { instanceOf: FsError }).code, 'EINVAL');
  });
