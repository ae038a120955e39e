/** What went wrong with a block server, as the file system reports it. */
import { FsError } from '../errno.ts';
import {
  ConnectionClosedError,
  DeadlineError,
  HandshakeError,
  ProtocolError,
} from '../net/errors.ts';

const TRANSPORT = [ConnectionClosedError, DeadlineError, HandshakeError, ProtocolError];

/** An answer of EIO says which server gave it. */
export function named(error: FsError, server: string): FsError {
  if (error.code !== 'EIO') return error;
  const detail = error.message.replace(/^EIO(: )?/, '');
  return new FsError('EIO', `block server ${server}: ${detail}`, { cause: error });
}

/** EIO with the server's name where no answer was had, or where that was EIO; everything else as it is. */
export function failureOf(error: unknown, server: string): unknown {
  if (error instanceof FsError) return named(error, server);
  if (!TRANSPORT.some((kind) => error instanceof kind)) return error;
  const { message } = error as Error;
  const told = message.startsWith(`${server}: `) ? message : `${server}: ${message}`;
  return new FsError('EIO', `block server ${told}`, { cause: error });
}
