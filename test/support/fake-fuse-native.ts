/**
 * The package fuse-native as it is, over a binding that mounts nothing: tests call its handlers as libfuse's threads
 * would, and see what it answers.
 */
import { createRequire } from 'node:module';
import type { FuseConstructor } from '../../src/fs/native/fuse-native.d.ts';

/** The operations in the order of the C half's numbers. */
const OPERATIONS = [
  ...['init', 'error', 'access', 'statfs', 'fgetattr', 'getattr', 'flush', 'fsync', 'fsyncdir'],
  ...['readdir', 'truncate', 'ftruncate', 'utimens', 'readlink', 'chown', 'chmod', 'mknod'],
  ...['setxattr', 'getxattr', 'listxattr', 'removexattr', 'open', 'opendir', 'read', 'write'],
  ...['release', 'releasedir', 'create', 'unlink', 'rename', 'link', 'symlink', 'mkdir', 'rmdir'],
] as const;
export type OperationName = (typeof OPERATIONS)[number];

export function numberOf(operation: OperationName): number {
  return OPERATIONS.indexOf(operation);
}

/** What a handler has answered to libfuse. */
export interface Answer {
  operation: OperationName;
  result: number;
  values: unknown[];
}

/** The package's class; what it answers is added to `answers`. */
export function fakeFuseNative(answers: Answer[]): FuseConstructor {
  const ownRequire = createRequire(import.meta.url);
  const file = ownRequire.resolve('fuse-native');
  const require = createRequire(file);
  const replaced = [
    [require.resolve('node-gyp-build'), () => fakeBinding(answers)],
    [require.resolve('fuse-shared-library'), {}],
  ] as const;
  const cache = require.cache as Record<string, unknown>;
  const before = [...replaced.map(([name]) => name), file].map(
    (name) => [name, cache[name]] as const,
  );
  try {
    for (const [name, exports] of replaced) cache[name] = { exports, loaded: true };
    Reflect.deleteProperty(cache, file);
    return require(file) as FuseConstructor;
  } finally {
    for (const [name, module] of before) {
      if (module === undefined) Reflect.deleteProperty(cache, name);
      else cache[name] = module;
    }
  }
}

function fakeBinding(answers: Answer[]): Record<string, unknown> {
  const binding: Record<string, unknown> = { sizeof_fuse_thread_t: 4096 };
  for (const [number, operation] of OPERATIONS.entries()) {
    binding[`op_${operation}`] = number;
    // As in the C half, which has none for `error`.
    if (operation === 'error') continue;
    binding[`fuse_native_signal_${operation}`] = (
      _record: Buffer,
      result: number,
      ...values: unknown[]
    ) => {
      answers.push({ operation, result, values });
    };
  }
  return binding;
}
