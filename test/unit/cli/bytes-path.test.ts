import test from 'ava';
import fc from 'fast-check';
import {
  bytesOf,
  joinPath,
  lastNameOf,
  parentOf,
  textOf,
  trimSlashes,
} from '../../../src/cli/bytes-path.ts';

test('an argument comes back byte for byte', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const argument = Buffer.from(bytes).toString('latin1');
      t.deepEqual(bytesOf(argument), Buffer.from(bytes));
    }),
  );
  t.is(textOf(Buffer.from('ü').toString('latin1')), 'ü');
});

test('paths are taken apart and put together at slashes', (t) => {
  const cut = (path: string): string[] =>
    [trimSlashes, parentOf, lastNameOf].map((part) => part(Buffer.from(path)).toString());
  t.deepEqual(cut('/a/b'), ['/a/b', '/a', 'b']);
  t.deepEqual(cut('/a'), ['/a', '/', 'a']);
  t.deepEqual(cut('a'), ['a', '.', 'a']);
  t.is(trimSlashes(Buffer.from('/a//')).toString(), '/a');
  t.is(trimSlashes(Buffer.from('//')).toString(), '/');
  t.is(joinPath(Buffer.from('/'), Buffer.from('a')).toString(), '/a');
  t.is(joinPath(Buffer.from('/a'), Buffer.from('b')).toString(), '/a/b');
});
