/**
 * The Linux error numbers (x86-64 and arm64 agree on these), and the one error class by which an operation
 * fails for a reason that its caller expects. Numbers are positive everywhere but in a FUSE reply.
 */

/** Error numbers from `asm-generic/errno-base.h` and `asm-generic/errno.h`. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const;

/** Name of an error number in {@link Errno}. */
export type ErrnoName = keyof typeof Errno;

const NAMES = new Map<number, ErrnoName>(
  Object.entries(Errno).map(([name, code]) => [code, name as ErrnoName]),
);

/** `ENOENT` for 2, `errno 999` for a number that this table lacks. */
export function errnoName(code: number): string {
  return NAMES.get(code) ?? `errno ${code}`;
}

/** An operation failed as its man page says it may; `errno` is positive. */
export class FsError extends Error {
  override name = 'FsError';
  readonly code: ErrnoName;
  readonly errno: number;

  constructor(code: ErrnoName, detail?: string, options?: { cause?: unknown }) {
    const { stackTraceLimit } = Error;
    // EIO is what gets logged. Of the others, which programs ask for all day, a stack costs more than the operation.
    if (code !== 'EIO') Error.stackTraceLimit = 0;
    super(detail === undefined ? code : `${code}: ${detail}`, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.errno = Errno[code];
  }
}
