/** Users other than root to run programs as. Their numbers need no entry in /etc/passwd. */
import type { RunOptions } from './run.ts';

export const ALICE = { uid: 65534, gid: 65534 } as const satisfies RunOptions;
export const BOB = { uid: 12345, gid: 23456 } as const satisfies RunOptions;

/** A command line that runs another as a user whom the system knows, and who may read a checkout in /root. */
export const AS_NOBODY: readonly string[] = [
  '/usr/bin/setpriv',
  ...['--reuid', '65534', '--regid', '65534', '--clear-groups'],
  ...['--inh-caps', '+dac_read_search', '--ambient-caps', '+dac_read_search'],
];
