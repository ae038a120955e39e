/** Errors to what a reply carries, and back. Names, numbers and messages cross the network, stacks never. */
import { Errno, errnoName, FsError, type ErrnoName } from '../errno.ts';
import { nullable, text } from './codec.ts';
import { ProtocolError } from './errors.ts';
import { STATUS_PROTOCOL, type FailureCodec } from './operation.ts';

/** A failure as it travels. */
export interface EncodedFailure {
  readonly status: number;
  readonly args: unknown;
  /** Nobody expected this error: it became EIO and is to be logged. */
  readonly unexpected?: boolean;
}

const MAX_DETAIL_CHARACTERS = 1000;
const detail = nullable(text);

export function encodeFailure(error: unknown, failures: readonly FailureCodec[]): EncodedFailure {
  const codec = failures.find((candidate) => candidate.matches(error));
  if (codec !== undefined) return { status: codec.status, args: codec.encode(error) };
  if (error instanceof FsError) return { status: error.errno, args: detailOf(error) };
  if (error instanceof ProtocolError) {
    return { status: STATUS_PROTOCOL, args: error.message.slice(0, MAX_DETAIL_CHARACTERS) };
  }
  return { status: Errno.EIO, args: 'the server failed; its log says why', unexpected: true };
}

/** The message without the name that FsError puts in front. */
function detailOf(error: FsError): string | null {
  const prefix = `${error.code}: `;
  if (!error.message.startsWith(prefix)) return null;
  return error.message.slice(prefix.length, prefix.length + MAX_DETAIL_CHARACTERS);
}

/** Never throws: what cannot be understood is a ProtocolError. */
export function decodeFailure(
  status: number,
  args: unknown,
  failures: readonly FailureCodec[],
): Error {
  try {
    if (status === STATUS_PROTOCOL) {
      return new ProtocolError(`the server did not understand: ${text.decode(args)}`);
    }
    if (status < STATUS_PROTOCOL) return decodeErrno(status, detail.decode(args) ?? undefined);
    const codec = failures.find((candidate) => candidate.status === status);
    return codec?.decode(args) ?? new ProtocolError(`a reply of unknown status ${status}`);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    return new ProtocolError(`a failure of status ${status} is malformed`, { cause: error });
  }
}

function decodeErrno(errno: number, message: string | undefined): FsError {
  const name = errnoName(errno);
  // The kernel never asks again for what was answered ENOSYS once, not even to open a file.
  if (name in Errno && errno !== Errno.ENOSYS) return new FsError(name as ErrnoName, message);
  return new FsError(
    'EIO',
    `the server reports ${name}${message === undefined ? '' : `: ${message}`}`,
  );
}
