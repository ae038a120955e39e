/**
 * How the transport fails. Services' own failures travel as FsError or through a FailureCodec; what is here says that
 * no answer could be had.
 */

/** The connection ended, or could not be made, before the answer came. `cause` is what ended it. */
export class ConnectionClosedError extends Error {
  override name = 'ConnectionClosedError';
}

/** No answer within the call's deadline. The server may still carry the request out. */
export class DeadlineError extends Error {
  override name = 'DeadlineError';
}

/** The other side sent something that the protocol does not allow. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

/**
 * Why a handshake failed:
 * `version` other protocol version; `cluster` another file system's server; `secret` the secrets differ;
 * `insecure` one side proves a secret and the other does not; `role` a server of the other kind; `not-ready` the server
 * cannot serve yet; `refused` the service does not want this client; `malformed` something that is no handshake.
 */
export const HANDSHAKE_FAILURES = [
  'version',
  'cluster',
  'secret',
  'insecure',
  'role',
  'not-ready',
  'refused',
  'malformed',
] as const;

export type HandshakeFailure = (typeof HANDSHAKE_FAILURES)[number];

/** The two sides do not go together. The message is one line: what is wrong; what to do. */
export class HandshakeError extends Error {
  override name = 'HandshakeError';
  readonly kind: HandshakeFailure;

  constructor(kind: HandshakeFailure, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }

  /** Waiting does not help: somebody has to change a setting. Damage on the way may look malformed. */
  get isPermanent(): boolean {
    return this.kind !== 'not-ready' && this.kind !== 'malformed';
  }
}
