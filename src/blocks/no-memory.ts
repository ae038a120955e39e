/** The store's own tables grow, and the system may have no memory for that: to callers, the store is full. */
import { FsError } from '../errno.ts';

/** Runs `reserve`, which throws a RangeError when there is no memory: ENOSPC. */
export function reserveOrFail(reserve: () => void): void {
  try {
    reserve();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FsError('ENOSPC', 'no memory left for the block index', { cause: error });
  }
}
