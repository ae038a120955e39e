/** The permission check of access(2), for engines whose kernel side does not do it. Pure. */
import type { Stat } from '../stat.ts';
import { FileType, fileTypeOf } from '../stat.ts';
import type { Caller } from './types.ts';

const R_OK = 4;
const W_OK = 2;
const X_OK = 1;

/**
 * Whether `caller` may do all that `mask` (R_OK 4, W_OK 2, X_OK 1) asks. Knows the caller's primary group only.
 * uid 0 may do all, but execute only what somebody may execute (path_resolution(7)).
 */
export function mayAccess(
  stat: Pick<Stat, 'mode' | 'uid' | 'gid'>,
  caller: Pick<Caller, 'uid' | 'gid'>,
  mask: number,
): boolean {
  const wanted = mask & (R_OK | W_OK | X_OK);
  if (caller.uid === 0) {
    const searchable = fileTypeOf(stat.mode) === FileType.DIRECTORY;
    return (wanted & X_OK) === 0 || searchable || (stat.mode & 0o111) !== 0;
  }
  const shift = caller.uid === stat.uid ? 6 : caller.gid === stat.gid ? 3 : 0;
  return ((stat.mode >> shift) & wanted) === wanted;
}
