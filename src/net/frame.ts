/**
 * The layout of a frame: a header of 32 bytes, arguments in msgpack, raw payload. Pure: bytes in, fields out.
 * docs/protocol.md describes it for other languages; test/unit/net/frame.test.ts has golden bytes.
 */
import { crc32 } from 'node:zlib';
import { ProtocolError } from './errors.ts';

export const PROTOCOL_VERSION = 1;
export const HEADER_BYTES = 32;
export const MAX_ARGS_BYTES = 16 * 1024 * 1024;
export const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** `IMSS` as it stands in the bytes. */
const MAGIC = 0x53534d49;
/** Magic and version keep their place in all versions; the rest need not. */
const VERSION_AT = 4;
const KIND_AT = 5;
const OPERATION_AT = 6;
const REQUEST_AT = 8;
const STATUS_AT = 12;
const ARGS_LENGTH_AT = 16;
const PAYLOAD_LENGTH_AT = 20;
const CRC_AT = 24;
const RESERVED_AT = 28;

export const FrameKind = { REQUEST: 1, REPLY: 2, HANDSHAKE: 3 } as const;

/** The fields that vary from frame to frame. */
export interface FrameHeader {
  readonly kind: number;
  /** Operation code, or the step of the handshake. */
  readonly operation: number;
  /** Chosen by the client, repeated in the reply. */
  readonly requestId: number;
  /** 0, an errno, or from 4096 a failure of the transport or of a service; 0 in requests. */
  readonly status: number;
}

/** A header that was received. */
export interface ReceivedHeader extends FrameHeader {
  readonly argsLength: number;
  readonly payloadLength: number;
  readonly checksum: number;
}

/** The frame is of another protocol version; nothing behind its fifth byte is understood. */
export class VersionError extends ProtocolError {
  override name = 'VersionError';
  readonly version: number;

  constructor(version: number) {
    super(`protocol version ${version} received, this is version ${PROTOCOL_VERSION}`);
    this.version = version;
  }
}

/**
 * Fills in the header of a frame whose arguments stand in `frame` from byte 32 to its end.
 * Throws ProtocolError if they or the payload are too long.
 */
export function writeHeader(frame: Buffer, header: FrameHeader, payloadLength: number): void {
  const argsLength = frame.length - HEADER_BYTES;
  requireLengths(argsLength, payloadLength, { args: MAX_ARGS_BYTES, payload: MAX_PAYLOAD_BYTES });
  frame.writeUInt32LE(MAGIC, 0);
  frame[VERSION_AT] = PROTOCOL_VERSION;
  frame[KIND_AT] = header.kind;
  frame.writeUInt16LE(header.operation, OPERATION_AT);
  frame.writeUInt32LE(header.requestId, REQUEST_AT);
  frame.writeUInt32LE(header.status, STATUS_AT);
  frame.writeUInt32LE(argsLength, ARGS_LENGTH_AT);
  frame.writeUInt32LE(payloadLength, PAYLOAD_LENGTH_AT);
  frame.writeUInt32LE(checksum(frame, frame.subarray(HEADER_BYTES)), CRC_AT);
  frame.writeUInt32LE(0, RESERVED_AT);
}

/** CRC-32 (as in zlib) of the header's first 24 bytes and the arguments. The payload is left to TCP. */
export function checksum(header: Buffer, args: Buffer): number {
  return crc32(args, crc32(header.subarray(0, CRC_AT)));
}

/** What a frame may have at most. */
export interface FrameLimits {
  readonly args: number;
  readonly payload: number;
}

function requireLengths(args: number, payload: number, limits: FrameLimits): void {
  if (args > limits.args) {
    throw new ProtocolError(`arguments of ${args} bytes, above the ${limits.args} allowed`);
  }
  if (payload > limits.payload) {
    throw new ProtocolError(`a payload of ${payload} bytes, above the ${limits.payload} allowed`);
  }
}

/** Decodes a header; its checksum can only be compared when the arguments are there. Throws ProtocolError. */
export function readHeader(bytes: Buffer, limits: FrameLimits): ReceivedHeader {
  if (bytes.readUInt32LE(0) !== MAGIC) throw new ProtocolError('not a message of imssfs');
  const version = bytes.readUInt8(VERSION_AT);
  if (version !== PROTOCOL_VERSION) throw new VersionError(version);
  const header = {
    kind: bytes.readUInt8(KIND_AT),
    operation: bytes.readUInt16LE(OPERATION_AT),
    requestId: bytes.readUInt32LE(REQUEST_AT),
    status: bytes.readUInt32LE(STATUS_AT),
    argsLength: bytes.readUInt32LE(ARGS_LENGTH_AT),
    payloadLength: bytes.readUInt32LE(PAYLOAD_LENGTH_AT),
    checksum: bytes.readUInt32LE(CRC_AT),
  };
  if (header.kind < FrameKind.REQUEST || header.kind > FrameKind.HANDSHAKE) {
    throw new ProtocolError(`a frame of unknown kind ${header.kind}`);
  }
  if (bytes.readUInt32LE(RESERVED_AT) !== 0) throw new ProtocolError('reserved bytes are in use');
  requireLengths(header.argsLength, header.payloadLength, limits);
  return header;
}
