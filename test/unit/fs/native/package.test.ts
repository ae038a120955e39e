import test from 'ava';
import { loadFuseNative } from '../../../../src/fs/native/package.ts';

function failing(code: string | undefined, message: string): () => never {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

test('without the package, the error says how to get it, in one line', (t) => {
  const load = failing(
    'MODULE_NOT_FOUND',
    "Cannot find module 'fuse-native/package.json'\nRequire stack:",
  );
  const error = t.throws(() => loadFuseNative(load), { name: 'MountError' });
  t.regex(error.message, /not installed: run `npm install --no-save fuse-native@2\.2\.6`/);
  t.false(error.message.includes('\n'));
});

test('a package without a binary for this machine is told apart', (t) => {
  const load = (name: string): unknown =>
    name === 'fuse-native'
      ? failing(undefined, 'No native build was found\n  loaded from')()
      : { version: '2.2.6' };
  const error = t.throws(() => loadFuseNative(load), { name: 'MountError' });
  t.regex(error.message, /not for \S+ \(No native build was found\): build it with `npm rebuild/);
  t.false(error.message.includes('\n'));
});

test('another version of the package is refused, for we know the inside of one', (t) => {
  t.throws(() => loadFuseNative(() => ({ version: '3.0.0' })), {
    name: 'MountError',
    message: /needs version 2\.2\.6 .* 3\.0\.0 is installed/,
  });
});
