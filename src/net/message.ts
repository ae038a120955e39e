/** Whole frames from values, and values from arguments: the one place that knows how msgpack is set up. */
import { Packr, RESERVE_START_SPACE, Unpackr } from 'msgpackr';
import { ProtocolError } from './errors.ts';
import { HEADER_BYTES, writeHeader, type FrameHeader } from './frame.ts';

const SETTINGS = {
  useRecords: false,
  // Decoded Buffers would otherwise be views of the receive buffer.
  copyBuffers: true,
  int64AsType: 'number',
} as const;

const packer = new Packr(SETTINGS);
const unpacker = new Unpackr(SETTINGS);

/** Header and arguments in one piece; a payload of `payloadLength` bytes is to follow. Throws ProtocolError. */
export function encodeFrame(header: FrameHeader, args: unknown, payloadLength = 0): Buffer {
  // The low bits tell the packer how many bytes to leave free at the start.
  const frame = packer.pack(args, RESERVE_START_SPACE + HEADER_BYTES);
  writeHeader(frame, header, payloadLength);
  return frame;
}

/** Arguments as msgpack values; nothing in them shares memory with `args`. Throws ProtocolError. */
export function decodeArgs(args: Buffer): unknown {
  try {
    return unpacker.unpack(args);
  } catch (error) {
    throw new ProtocolError('arguments are no msgpack', { cause: error });
  }
}
