/**
 * The requests for locks, which come only where INIT has asked for them. What RELEASE says of locks is not needed: the
 * kernel tells there of flock(2) alone (`fuse_file_release`), while fcntl's open-file-description locks, whose owner is
 * the same pointer, must go as well; so all goes that was locked by the handle.
 */
import { FsError } from '../../errno.ts';
import type { HandleId } from '../../ids.ts';
import { LOCK_END, type LockType } from '../../meta/lock-store.ts';
import type { Task } from '../../task.ts';
import type { FileLocks, LockDemand } from '../file-locks.ts';
import { FUSE_LK_OUT, LockFlag } from './abi.ts';
import { END_OF_RANGE } from './layout.ts';
import { done, type OperationContext, type Reply, single } from './operation-replies.ts';
import { structReply } from './reply.ts';
import type { RequestOf } from './request.ts';

/** Types of a lock in fcntl.h (x86-64 and arm64 agree on these). */
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

type LockRequest = RequestOf<'GETLK'> | RequestOf<'SETLK'> | RequestOf<'SETLKW'>;

function typeOf(type: number): LockType | 'none' {
  if (type === F_RDLCK) return 'read';
  if (type === F_WRLCK) return 'write';
  if (type === F_UNLCK) return 'none';
  throw new FsError('EINVAL', `a lock of type ${type}`);
}

function demandOf({ input }: LockRequest): LockDemand {
  const { owner, lk, lk_flags } = input;
  const kind = (lk_flags & LockFlag.FLOCK) === 0 ? 'posix' : 'flock';
  const { start, end, type, pid } = lk;
  if (end < start) throw new FsError('EINVAL', 'a lock that ends before it starts');
  return { owner: { kind, ...owner }, type: typeOf(type), start, end, pid };
}

function locksOf({ vfs }: OperationContext): FileLocks {
  if (vfs.locks === undefined) throw new FsError('ENOSYS');
  return vfs.locks;
}

export const LOCK_HANDLERS = {
  *GETLK(context: OperationContext, request: RequestOf<'GETLK'>): Task<Reply> {
    const { header, input } = request;
    const { start, end } = input.lk;
    const found = yield* locksOf(context).test(input.fh as HandleId, demandOf(request));
    const lk =
      found === undefined
        ? { start, end, type: F_UNLCK, pid: 0 }
        : {
            start: found.start,
            end: found.end === LOCK_END ? END_OF_RANGE : found.end,
            type: found.type === 'read' ? F_RDLCK : F_WRLCK,
            pid: found.pid,
          };
    return single(structReply(header.unique, FUSE_LK_OUT, { lk }));
  },

  *SETLK(context: OperationContext, request: RequestOf<'SETLK'>): Task<Reply> {
    yield* locksOf(context).set(request.input.fh as HandleId, demandOf(request), false);
    return done(request.header);
  },

  *SETLKW(context: OperationContext, request: RequestOf<'SETLKW'>): Task<Reply> {
    yield* locksOf(context).set(request.input.fh as HandleId, demandOf(request), true);
    return done(request.header);
  },
};
