/**
 * Turns the bytes of one kernel request into a typed value, after the tables of `abi.ts`. Whatever the bytes are, the
 * result is a request or a {@link MalformedRequestError}, and no byte beyond the message is looked at.
 */
import { invariant } from '../../invariant.ts';
import {
  FUSE_EXTENSION_UNIT_BYTES,
  FUSE_FORGET_ONE,
  FUSE_IN_HEADER,
  FUSE_WRITE_IN,
  OPERATIONS,
  operationOf,
  type InputOf,
  type Negotiated,
  type Operation,
  type OperationName,
} from './abi.ts';
import {
  FieldRangeError,
  offsetsOf,
  readStruct,
  type Decoded,
  type Layout,
  type Words,
} from './layout.ts';

const HEADER_BYTES = FUSE_IN_HEADER.sizeBytes;

/** Length of the buffer that takes the beginning of every request: a WRITE's data start right after it. */
export const HEAD_BYTES = HEADER_BYTES + FUSE_WRITE_IN.sizeBytes;

/** One request as a scattered read of the device left it. Both buffers belong to the reader, who uses them again. */
export interface RequestMessage {
  /** The first {@link HEAD_BYTES} bytes; exactly that long, whatever the message's length. */
  readonly head: Buffer;
  /** What comes after them. */
  readonly payload: Buffer;
  /** How many bytes were read into both. */
  readonly lengthBytes: number;
}

/** What every request begins with. */
export interface RequestHeader {
  readonly opcode: number;
  /** Names this request in its reply. */
  readonly unique: Words;
  /** `unique` as one number, for use as a Map's key; see {@link uniqueKeyOf}. */
  readonly uniqueKey: number;
  /** Below 2^53, but in the header of a {@link MalformedRequestError}. */
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  /** The caller's thread, in the namespace that mounted; 0 if it has none there, or if the kernel itself calls. */
  readonly pid: number;
  /** Length of the extensions at the message's end, in units of 8 bytes. */
  readonly totalExtlen: number;
}

type NamesOf<N extends OperationName> = {
  0: readonly [];
  1: readonly [Buffer];
  2: readonly [Buffer, Buffer];
}[(typeof OPERATIONS)[N]['names']];

/** A decoded request of one kind. */
export interface RequestOf<N extends OperationName> {
  readonly op: N;
  readonly header: RequestHeader;
  readonly input: InputOf<N>;
  /** Raw bytes without the NUL; the receiver's own. */
  readonly names: NamesOf<N>;
  /**
   * The bytes after the names, the receiver's own; empty for operations without. Only a WRITE's are a view of the
   * message's payload, valid until the next read into that buffer: adopt the buffer, or copy.
   */
  readonly data: Buffer;
}

/** A request with a number that the tables lack; to be answered ENOSYS. */
export interface UnknownRequest {
  readonly op: 'UNKNOWN';
  readonly header: RequestHeader;
  readonly input: undefined;
  readonly names: readonly [];
  readonly data: Buffer;
}

/** Any request; `op` tells which. */
export type Request = { [N in OperationName]: RequestOf<N> }[OperationName] | UnknownRequest;

/** The bytes are not what the kernel's header files promise. */
export class MalformedRequestError extends Error {
  override name = 'MalformedRequestError';
  /** Present if at least the header could be read: the request is to be answered EIO. */
  readonly header: RequestHeader | undefined;

  constructor(message: string, header?: RequestHeader, options?: ErrorOptions) {
    super(message, options);
    this.header = header;
  }
}

const AT = offsetsOf(FUSE_IN_HEADER);
const WORD = 2 ** 32;
const EMPTY: Buffer = Buffer.alloc(0);
const NO_NAMES: readonly [] = [];

/**
 * A 64-bit `unique` as one number: exact below 2^53, which the kernel, counting up by 2 for each request
 * (`fuse_get_unique`), does not reach. Bit 63 marks a resent request, and those only come with HAS_RESEND.
 */
export function uniqueKeyOf(unique: Words): number {
  return unique.high * WORD + unique.low;
}

function readHeader(head: Buffer): RequestHeader {
  const unique = {
    low: head.readUInt32LE(AT.unique),
    high: head.readUInt32LE(AT.unique + 4),
  };
  return {
    opcode: head.readUInt32LE(AT.opcode),
    unique,
    uniqueKey: uniqueKeyOf(unique),
    nodeid: head.readUInt32LE(AT.nodeid + 4) * WORD + head.readUInt32LE(AT.nodeid),
    uid: head.readUInt32LE(AT.uid),
    gid: head.readUInt32LE(AT.gid),
    pid: head.readUInt32LE(AT.pid),
    totalExtlen: head.readUInt16LE(AT.total_extlen),
  };
}

/** The part of a message between its header and its extensions, in one piece. */
class Body {
  readonly header: RequestHeader;
  readonly #buffer: Buffer;
  /** The buffer was made for this request, so views of it may be given away. */
  readonly #owned: boolean;
  readonly #end: number;
  #at = HEADER_BYTES;

  constructor(header: RequestHeader, message: RequestMessage, end: number) {
    this.header = header;
    this.#owned = end > HEAD_BYTES;
    this.#buffer = this.#owned ? assemble(message, end) : message.head;
    this.#end = end;
  }

  #short(what: string): never {
    throw new MalformedRequestError(`Request ends before its ${what} does`, this.header);
  }

  struct(operation: Operation, from: Layout, negotiated: Negotiated): Decoded<Layout> {
    const start = this.#at;
    const sizeBytes =
      operation.inputBytes === undefined
        ? from.sizeBytes
        : operation.inputBytes({ buffer: this.#buffer, start, end: this.#end }, negotiated);
    this.#at = start + sizeBytes;
    if (this.#at > this.#end) this.#short(from.name);
    if (sizeBytes === from.sizeBytes) return readStruct(from, this.#buffer, start);
    const whole = Buffer.alloc(from.sizeBytes);
    this.#buffer.copy(whole, 0, start, this.#at);
    return readStruct(from, whole, 0);
  }

  name(): Buffer {
    const start = this.#at;
    const limit = this.#end;
    const buffer = this.#buffer;
    let end = start;
    // A loop beats Buffer.indexOf on names of the usual length, and cannot run past the message.
    while (end < limit && buffer[end] !== 0) end++;
    if (end === limit) this.#short('name');
    this.#at = end + 1;
    return this.#piece(start, end);
  }

  data(lengthBytes: number): Buffer {
    const start = this.#at;
    this.#at = start + lengthBytes;
    if (this.#at > this.#end) this.#short('data');
    return this.#piece(start, this.#at);
  }

  #piece(start: number, end: number): Buffer {
    if (this.#owned) return this.#buffer.subarray(start, end);
    const copy = Buffer.allocUnsafe(end - start);
    this.#buffer.copy(copy, 0, start, end);
    return copy;
  }
}

function assemble(message: RequestMessage, lengthBytes: number): Buffer {
  const whole = Buffer.allocUnsafe(lengthBytes);
  message.head.copy(whole, 0, 0, HEAD_BYTES);
  message.payload.copy(whole, HEAD_BYTES, 0, lengthBytes - HEAD_BYTES);
  return whole;
}

/** A WRITE's arguments fill the head exactly; its data are looked at in place. */
function decodeWrite(header: RequestHeader, message: RequestMessage, end: number): Request {
  if (end < HEAD_BYTES) {
    throw new MalformedRequestError('Request ends before its fuse_write_in does', header);
  }
  const input = readStruct(FUSE_WRITE_IN, message.head, HEADER_BYTES);
  if (input.size > end - HEAD_BYTES) {
    throw new MalformedRequestError('Request ends before its data does', header);
  }
  return {
    op: 'WRITE',
    header,
    input,
    names: NO_NAMES,
    data: message.payload.subarray(0, input.size),
  };
}

function decodeNames(body: Body, count: 0 | 1 | 2): readonly Buffer[] {
  switch (count) {
    case 0:
      return NO_NAMES;
    case 1:
      return [body.name()];
    case 2:
      return [body.name(), body.name()];
  }
}

function decodeOther(operation: Operation, body: Body, negotiated: Negotiated): Request {
  const input =
    operation.input === undefined ? undefined : body.struct(operation, operation.input, negotiated);
  const names = decodeNames(body, operation.names);
  let data = EMPTY;
  if (operation.data !== undefined) {
    const { count, itemBytes } = operation.data;
    data = body.data(((input as Record<string, number>)[count] ?? 0) * itemBytes);
  }
  // The table says which input and how many names belong to the name, which the compiler cannot see here.
  return { op: operation.name, header: body.header, input, names, data } as unknown as Request;
}

/** Checks what all requests have in common. Returns where the message ends, extensions left out. */
function checkFrame(header: RequestHeader, message: RequestMessage): number {
  const { head, payload, lengthBytes } = message;
  const declared = head.readUInt32LE(AT.len);
  if (declared !== lengthBytes || lengthBytes > HEAD_BYTES + payload.length) {
    throw new MalformedRequestError(`Request says ${declared} bytes, has ${lengthBytes}`, header);
  }
  if (!Number.isSafeInteger(header.nodeid)) {
    throw new MalformedRequestError('Node id at or above 2^53', header);
  }
  const end = lengthBytes - header.totalExtlen * FUSE_EXTENSION_UNIT_BYTES;
  if (end < HEADER_BYTES) {
    throw new MalformedRequestError('Extensions are longer than the request', header);
  }
  return end;
}

/**
 * Decodes one request. All of it is copied, but a WRITE's data (see {@link RequestOf.data}).
 * Bytes after what the tables know are ignored: a later minor version may lengthen a message.
 * Throws {@link MalformedRequestError}.
 */
export function decodeRequest(message: RequestMessage, negotiated: Negotiated): Request {
  invariant(message.head.length === HEAD_BYTES, 'head of a request has the wrong length');
  if (message.lengthBytes < HEADER_BYTES) {
    throw new MalformedRequestError(`Request of ${message.lengthBytes} bytes has no header`);
  }
  const header = readHeader(message.head);
  const end = checkFrame(header, message);
  const operation = operationOf(header.opcode);
  if (operation === undefined) {
    return { op: 'UNKNOWN', header, input: undefined, names: NO_NAMES, data: EMPTY };
  }
  try {
    if (operation.name === 'WRITE') return decodeWrite(header, message, end);
    return decodeOther(operation, new Body(header, message, end), negotiated);
  } catch (error) {
    if (!(error instanceof FieldRangeError)) throw error;
    throw new MalformedRequestError(`${operation.name}: ${error.message}`, header, {
      cause: error,
    });
  }
}

/** The nodes of a BATCH_FORGET and how many lookups of each are taken back. Throws {@link MalformedRequestError}. */
export function forgetsOf(request: RequestOf<'BATCH_FORGET'>): Decoded<typeof FUSE_FORGET_ONE>[] {
  const items: Decoded<typeof FUSE_FORGET_ONE>[] = [];
  try {
    for (let at = 0; at < request.data.length; at += FUSE_FORGET_ONE.sizeBytes) {
      items.push(readStruct(FUSE_FORGET_ONE, request.data, at));
    }
  } catch (error) {
    if (!(error instanceof FieldRangeError)) throw error;
    throw new MalformedRequestError(error.message, request.header, { cause: error });
  }
  return items;
}
