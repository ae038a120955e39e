/** Lays out a request's bytes as a scattered read of the device leaves them. */
import {
  MAX_MINOR,
  InitFlag,
  type Negotiated,
  type OperationName,
} from '../../../../src/fs/fuse/abi.ts';
import {
  HEAD_BYTES,
  decodeRequest,
  type Request,
  type RequestMessage,
  type RequestOf,
} from '../../../../src/fs/fuse/request.ts';

const PAYLOAD_BYTES = 4096;

/** What a kernel of 7.45 and we might agree on. */
export const NEGOTIATED: Negotiated = {
  minor: MAX_MINOR,
  flags: InitFlag.SETXATTR_EXT,
  flags2: 0,
};

/** The message in buffers full of `filler`, as if an earlier request had left that there. */
export function messageOf(bytes: Buffer, filler = 0): RequestMessage {
  const head = Buffer.alloc(HEAD_BYTES, filler);
  const payload = Buffer.alloc(PAYLOAD_BYTES, filler);
  bytes.copy(head);
  bytes.subarray(HEAD_BYTES).copy(payload);
  return { head, payload, lengthBytes: bytes.length };
}

/** The first `lengthBytes` bytes of a request, which then says that this is all. */
export function truncated(bytes: Buffer, lengthBytes: number): Buffer {
  const shorter = Buffer.from(bytes.subarray(0, lengthBytes));
  if (lengthBytes >= 4) shorter.writeUInt32LE(lengthBytes, 0);
  return shorter;
}

/** Decodes a request that is known to be of one kind. */
export function decodeAs<N extends OperationName>(
  op: N,
  bytes: Buffer,
  negotiated: Negotiated = NEGOTIATED,
): RequestOf<N> {
  const request: Request = decodeRequest(messageOf(bytes), negotiated);
  if (request.op !== op) throw new Error(`decoded as ${request.op}, not as ${op}`);
  return request as RequestOf<N>;
}
