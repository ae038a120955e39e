/** FALLOCATE, LSEEK and COPY_FILE_RANGE: kernel words in, {@link FileRanges}, kernel words out. */
import { FsError } from '../../errno.ts';
import type { HandleId } from '../../ids.ts';
import type { Task } from '../../task.ts';
import { FUSE_COPY_FILE_RANGE_OUT, FUSE_LSEEK_OUT, FUSE_WRITE_OUT } from './abi.ts';
import { done, type OperationContext, type Reply, single } from './operation-replies.ts';
import { structReply } from './reply.ts';
import type { RequestHeader, RequestOf } from './request.ts';

/** Modes of fallocate(2), of linux/falloc.h. */
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;

/** Of lseek(2); the kernel works out the others itself. */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** How much one COPY_FILE_RANGE can be told to have copied: its reply's size has 32 bits. */
const MAX_COPIED = 2 ** 32 - 4096;

export function* fallocate(
  { vfs }: OperationContext,
  { header, input }: RequestOf<'FALLOCATE'>,
): Task<Reply> {
  const { mode, offset, length } = input;
  const handle = input.fh as HandleId;
  const change = {
    range: { offset, length },
    keepsSize: (mode & FALLOC_FL_KEEP_SIZE) !== 0,
    dropPrivilegeBits: mayNotKeepPrivileges(header),
  };
  switch (mode) {
    case 0:
    case FALLOC_FL_KEEP_SIZE:
      yield* vfs.ranges.allocate(handle, change);
      break;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
      yield* vfs.ranges.punch(handle, change);
      break;
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
      yield* vfs.ranges.zero(handle, change);
      break;
    default:
      throw new FsError('EOPNOTSUPP', `fallocate mode ${mode}`);
  }
  return done(header);
}

export function* lseek(
  { vfs }: OperationContext,
  { header, input }: RequestOf<'LSEEK'>,
): Task<Reply> {
  const handle = input.fh as HandleId;
  let offset: number;
  if (input.whence === SEEK_DATA) offset = yield* vfs.ranges.seekData(handle, input.offset);
  else if (input.whence === SEEK_HOLE) offset = yield* vfs.ranges.seekHole(handle, input.offset);
  else throw new FsError('EINVAL', `lseek whence ${input.whence}`);
  return single(structReply(header.unique, FUSE_LSEEK_OUT, { offset }));
}

export function* copyFileRange(
  context: OperationContext,
  { header, input }: RequestOf<'COPY_FILE_RANGE'>,
): Task<Reply> {
  const length = Math.min(input.len, MAX_COPIED);
  const size = yield* copy(context, header, { ...input, len: length });
  return single(structReply(header.unique, FUSE_WRITE_OUT, { size }));
}

export function* copyFileRange64(
  context: OperationContext,
  { header, input }: RequestOf<'COPY_FILE_RANGE_64'>,
): Task<Reply> {
  const copied = yield* copy(context, header, input);
  return single(structReply(header.unique, FUSE_COPY_FILE_RANGE_OUT, { bytes_copied: copied }));
}

function copy(
  { vfs }: OperationContext,
  header: RequestHeader,
  input: RequestOf<'COPY_FILE_RANGE'>['input'],
): Task<number> {
  if (input.flags !== 0) throw new FsError('EINVAL', `copy_file_range flags ${input.flags}`);
  return vfs.ranges.copy(
    { handle: input.fh_in as HandleId, offset: input.off_in },
    { handle: input.fh_out as HandleId, offset: input.off_out },
    { length: input.len, dropPrivilegeBits: mayNotKeepPrivileges(header) },
  );
}

/**
 * Of writes and truncations the kernel says whether set-uid and set-gid are to be dropped (HANDLE_KILLPRIV_V2), of these
 * operations it does not. Who has CAP_FSETID may keep them, and that is known of root only.
 */
function mayNotKeepPrivileges({ uid }: RequestHeader): boolean {
  return uid !== 0;
}
