import test from 'ava';
import { bindOn, loadKoffi } from '../../../../src/fs/fuse/libc.ts';

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

test('a function that cannot be found is told as such, and what to do', (t) => {
  const koffi = {
    load: () => ({
      func: () => {
        throw new Error("Cannot find function 'uv_poll_init' in shared library");
      },
    }),
  };
  t.throws(() => bindOn(koffi as never, 'linux'), {
    name: 'LibcUnavailableError',
    message: /lacks a function .*uv_poll_init.*use --engine fuse-native/,
  });
});

test('another system than Linux is refused before any function is looked for', (t) => {
  t.throws(() => bindOn({} as never, 'darwin'), {
    name: 'LibcUnavailableError',
    message: /this is darwin: mount from a Linux machine$/,
  });
});
