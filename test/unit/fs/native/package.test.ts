import test from 'ava';
import { loadFuseNative } from '../../../../src/fs/native/package.ts';

function failing(code: string | undefined, message: string): () => never {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

const PLAIN = { platform: 'linux', arch: 'x64', hasGlibc: true };

test('where there is no binary, the error says to build it, not to install it', (t) => {
  const load = failing('MODULE_NOT_FOUND', "Cannot find module 'fuse-native/package.json'");
  const machines = [
    [{ ...PLAIN, arch: 'arm64' }, 'linux-arm64'],
    [{ ...PLAIN, hasGlibc: false }, 'linux-x64 without glibc'],
    [{ platform: 'darwin', arch: 'x64', hasGlibc: false }, 'darwin-x64'],
  ] as const;
  for (const [machine, name] of machines) {
    const { message } = t.throws(() => loadFuseNative(load, () => machine), { name: 'MountError' });
    t.true(message.includes(`no binary for ${name}: build it against libfuse 2.9`), message);
    t.notRegex(message, /npm install|\n/);
  }
});

test('without the package, the error says how to get it, in one line', (t) => {
  const load = failing(
    'MODULE_NOT_FOUND',
    "Cannot find module 'fuse-native/package.json'\nRequire stack:",
  );
  const error = t.throws(() => loadFuseNative(load, () => PLAIN), { name: 'MountError' });
  t.regex(error.message, /not installed: run `npm install --no-save fuse-native@2\.2\.6`/);
  t.false(error.message.includes('\n'));
});

test('a package whose binary cannot be loaded is told apart', (t) => {
  const load = (name: string): unknown =>
    name === 'fuse-native'
      ? failing(undefined, 'No native build was found\n  loaded from')()
      : { version: '2.2.6' };
  const error = t.throws(() => loadFuseNative(load, () => PLAIN), { name: 'MountError' });
  t.regex(error.message, /cannot be loaded \(No native build was found\): run `npm install/);
  t.false(error.message.includes('\n'));
});

test('another version of the package is refused, for we know the inside of one', (t) => {
  t.throws(() => loadFuseNative(() => ({ version: '3.0.0' })), {
    name: 'MountError',
    message: /needs version 2\.2\.6 .* 3\.0\.0 is installed/,
  });
});
