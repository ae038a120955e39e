/** Users other than root to run programs as. Their numbers need no entry in /etc/passwd. */
import type { RunOptions } from './run.ts';

export const ALICE = { uid: 65534, gid: 65534 } as const satisfies RunOptions;
export const BOB = { uid: 12345, gid: 23456 } as const satisfies RunOptions;
