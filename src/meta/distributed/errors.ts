/** Why an operation cannot be done in one turn on this server; none of it is an answer to anybody. */

import type { FsError } from '../../errno.ts';
import { KeyValueError } from '../kv.ts';

/** The operation needs a key that another server keeps. */
export class ElsewhereError extends Error {
  override name = 'ElsewhereError';
  readonly server: number;

  constructor(server: number) {
    super(`kept by metadata server ${server}`);
    this.server = server;
  }
}

/** The operation needs a key that an undecided transaction holds. */
export class LockedError extends Error {
  override name = 'LockedError';
  /** Name of that transaction. */
  readonly holder: string;

  constructor(holder: string) {
    super(`held by transaction ${holder}`);
    this.holder = holder;
  }
}

/** What was read has changed since, or is held: the transaction cannot take place as it is. */
export class ConflictError extends Error {
  override name = 'ConflictError';
}

/** Another server could not be asked, or has not answered: it may or may not have done what it was asked for. */
export class UnreachableError extends Error {
  override name = 'UnreachableError';
}

/** Another server's database failed: as with one's own, the operation has not run, and may be tried again. */
export function asDatabaseError(error: FsError): KeyValueError {
  return new KeyValueError(error.code === 'ENOSPC' ? 'ENOSPC' : 'EIO', error);
}
