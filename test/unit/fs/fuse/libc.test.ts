import test from 'ava';
import { loadKoffi } from '../../../../src/fs/fuse/libc.ts';

test('where koffi has no binary, the kernel engine says to try the other one', (t) => {
  const load = (): never => {
    throw new Error('Cannot find the native Koffi module; did you bundle it correctly?');
  };
  t.throws(() => loadKoffi(load), {
    name: 'LibcUnavailableError',
    message: /^The package koffi has no binary for \S+; use --engine fuse-native/,
  });
});

test('a machine with another word size or byte order is refused', (t) => {
  t.throws(() => loadKoffi(() => ({ sizeof: () => 4 })), {
    name: 'LibcUnavailableError',
    message: /64-bit little-endian/,
  });
});
