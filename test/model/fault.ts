/** Deliberate misbehaviour of a worker: what the comparison must find, to be worth anything. */
import type { Operation } from './operation.ts';

export type Fault =
  | 'RENAME_NOREPLACE is ignored'
  | 'O_APPEND is ignored'
  | 'O_EXCL is ignored'
  | 'chmod loses the sticky bit'
  | 'truncate grows by one byte too few';

/** The operation as a file system with this fault would carry it out. */
export function distort(fault: Fault | undefined, operation: Operation): Operation {
  switch (fault) {
    case undefined:
      return operation;
    case 'RENAME_NOREPLACE is ignored':
      if (operation.op !== 'rename' || operation.flag !== 'noreplace') return operation;
      return { ...operation, flag: 'plain' };
    case 'O_APPEND is ignored':
      return withoutFlag(operation, 'O_APPEND');
    case 'O_EXCL is ignored':
      return withoutFlag(operation, 'O_EXCL');
    case 'chmod loses the sticky bit':
      if (operation.op !== 'chmod') return operation;
      return { ...operation, mode: operation.mode & ~0o1000 };
    case 'truncate grows by one byte too few':
      if (operation.op !== 'truncate' || operation.size === 0) return operation;
      return { ...operation, size: operation.size - 1 };
  }
}

function withoutFlag(operation: Operation, flag: 'O_APPEND' | 'O_EXCL'): Operation {
  if (operation.op !== 'open') return operation;
  return { ...operation, flags: operation.flags.filter((other) => other !== flag) };
}
