/** Loads the optional package fuse-native, in one place, and says in one line what to do where that fails. */
import { createRequire } from 'node:module';
import { MountError } from '../fuse/mount-error.ts';
import type { FuseConstructor } from './fuse-native.d.ts';

/** The version that package.json names: we rely on its inside. */
export const FUSE_NATIVE_VERSION = '2.2.6';

/** `require`, or what stands for it in tests. */
export type Load = (name: string) => unknown;

/** What a binary is made for. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** The C library is glibc. */
  readonly hasGlibc: boolean;
}

/** The package's class. Throws {@link MountError}. */
export function loadFuseNative(
  load: Load = createRequire(import.meta.url),
  machine: () => Machine = ownMachine,
): FuseConstructor {
  let version: unknown;
  let loaded: unknown;
  try {
    ({ version } = load('fuse-native/package.json') as { version?: unknown });
    loaded = load('fuse-native');
  } catch (error) {
    throw unavailable(error, machine());
  }
  if (version !== FUSE_NATIVE_VERSION) {
    throw new MountError(
      `The engine fuse-native needs version ${FUSE_NATIVE_VERSION} of the package fuse-native, and ${String(version)} is installed: ` +
        `${remedy()}, or leave out --engine`,
    );
  }
  return loaded as FuseConstructor;
}

function ownMachine(): Machine {
  const { platform, arch } = process;
  // The report has no types. Only the header of a process that runs on glibc has this entry.
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return { platform, arch, hasGlibc: header?.glibcVersionRuntime !== undefined };
}

function unavailable(error: unknown, machine: Machine): MountError {
  const { code, message } = error as NodeJS.ErrnoException;
  const platform = `${machine.platform}-${machine.arch}`;
  if (platform !== 'linux-x64' || !machine.hasGlibc) {
    // npm leaves an optional package out without a word where it cannot be built.
    const libc = machine.platform === 'linux' && !machine.hasGlibc ? ' without glibc' : '';
    return new MountError(
      `The package fuse-native has no binary for ${platform}${libc}: build it against libfuse 2.9, as docs/engines.md says, or use --engine kernel`,
      { cause: error },
    );
  }
  if (code === 'MODULE_NOT_FOUND' && /'fuse-native(\/package\.json)?'/.test(message)) {
    return new MountError(
      `The engine fuse-native needs the optional package fuse-native, which is not installed: ${remedy()}, or leave out --engine`,
      { cause: error },
    );
  }
  return new MountError(
    `The package fuse-native is installed, but cannot be loaded (${message.split('\n')[0] ?? ''}): ${remedy()}, or leave out --engine`,
    { cause: error },
  );
}

function remedy(): string {
  return `run \`npm install --no-save fuse-native@${FUSE_NATIVE_VERSION}\` in the folder of imssfs`;
}
