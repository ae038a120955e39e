/** How long the programs of these tests may take before they are taken for hung. */
import type { MountTestOptions } from '../support/mount.ts';
import type { RunOptions } from '../support/run.ts';

/** For one program. */
export const LONG = { timeoutMs: 400_000 } as const satisfies RunOptions;

/** For a test that runs such programs. On fuse-native, which translates a path for every operation, they take minutes. */
export const WHOLE_TEST = {
  timeoutMs: 440_000,
  notByDefaultOn: ['fuse-native'],
} as const satisfies MountTestOptions;
