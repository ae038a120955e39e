/** Loads the optional package fuse-native, in one place, and says in one line what to do where that fails. */
import { createRequire } from 'node:module';
import { MountError } from '../fuse/mount-error.ts';
import type { FuseConstructor } from './fuse-native.d.ts';

/** The version that package.json names: we rely on its inside. */
export const FUSE_NATIVE_VERSION = '2.2.6';

/** `require`, or what stands for it in tests. */
export type Load = (name: string) => unknown;

/** The package's class. Throws {@link MountError}. */
export function loadFuseNative(load: Load = createRequire(import.meta.url)): FuseConstructor {
  let version: unknown;
  let loaded: unknown;
  try {
    ({ version } = load('fuse-native/package.json') as { version?: unknown });
    loaded = load('fuse-native');
  } catch (error) {
    throw unavailable(error);
  }
  if (version !== FUSE_NATIVE_VERSION) {
    throw new MountError(
      `The engine fuse-native needs version ${FUSE_NATIVE_VERSION} of the package fuse-native, and ${String(version)} is installed: ` +
        `${remedy()}, or leave out --engine`,
    );
  }
  return loaded as FuseConstructor;
}

function unavailable(error: unknown): MountError {
  const { code, message } = error as NodeJS.ErrnoException;
  const platform = `${process.platform}-${process.arch}`;
  if (code === 'MODULE_NOT_FOUND' && /'fuse-native(\/package\.json)?'/.test(message)) {
    return new MountError(
      `The engine fuse-native needs the optional package fuse-native, which is not installed: ${remedy()}, or leave out --engine`,
      { cause: error },
    );
  }
  return new MountError(
    `The package fuse-native is installed, but not for ${platform} (${message.split('\n')[0] ?? ''}): build it with \`npm rebuild fuse-native\` ` +
      '(which takes a C compiler, make and Python 3, on x86-64 with glibc), or leave out --engine',
    { cause: error },
  );
}

function remedy(): string {
  return `run \`npm install --no-save fuse-native@${FUSE_NATIVE_VERSION}\` in the folder of imssfs`;
}
