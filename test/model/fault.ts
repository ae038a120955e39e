/** Deliberate misbehaviour of a worker: what the comparison must find, to be worth anything. */
import type { Operation } from './operation.ts';

export type Fault =
  | 'RENAME_NOREPLACE is ignored'
  | 'O_APPEND is ignored'
  | 'O_EXCL is ignored'
  | 'chmod loses the sticky bit'
  | 'truncate grows by one byte too few'
  | 'pwrite stores a wrong last byte'
  | 'listings lack an entry'
  | 'setxattr replaces nothing'
  | 'a write moves no mtime';

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
    case 'setxattr replaces nothing':
      if (operation.op !== 'setxattr' || operation.mode !== 'either') return operation;
      return { ...operation, mode: 'create' };
    case 'pwrite stores a wrong last byte':
    case 'listings lack an entry':
    case 'a write moves no mtime':
      return operation;
  }
}

function withoutFlag(operation: Operation, flag: 'O_APPEND' | 'O_EXCL'): Operation {
  if (operation.op !== 'open') return operation;
  return { ...operation, flags: operation.flags.filter((other) => other !== flag) };
}

/** What such a file system does besides, right after the operation and unseen. */
export function aftermath(fault: Fault | undefined, operation: Operation): Operation | undefined {
  if (fault !== 'pwrite stores a wrong last byte') return undefined;
  if (operation.op !== 'pwrite' || operation.length === 0) return undefined;
  const { offset, length, fill } = operation;
  // The byte that would come next.
  return { ...operation, offset: offset + length - 1, length: 1, fill: fill + length };
}

/** What such a file system tells of the operation. `original` is as it was before {@link distort}. */
export function misreport(fault: Fault | undefined, original: Operation, result: string): string {
  switch (fault) {
    case 'listings lack an entry':
      return original.op === 'list' ? result.replace(/ [^ ]*$/, '') : result;
    case 'setxattr replaces nothing':
      if (original.op !== 'setxattr' || original.mode !== 'either') return result;
      return result.replace(/^EEXIST/, 'ok');
    case 'a write moves no mtime':
      if (original.op !== 'write' && original.op !== 'pwrite') return result;
      return result.replace('mtime recent moved', 'mtime recent as before');
    default:
      return result;
  }
}
