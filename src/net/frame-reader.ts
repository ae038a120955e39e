/**
 * Cuts a stream of bytes into frames and says where the next bytes are to go, so that a payload lands in its final
 * place without a copy. No I/O: whoever reads puts bytes into {@link FrameReader.buffer} and tells how many.
 */
import type { Landing, Reading } from './call.ts';
import type { Pipe } from '../pipes/pipe.ts';
import { PipedBytes } from '../pipes/piped-bytes.ts';
import { ProtocolError } from './errors.ts';
import {
  checksum,
  HEADER_BYTES,
  readHeader,
  type FrameLimits,
  type ReceivedHeader,
} from './frame.ts';

/** Who is told of frames. */
export interface FrameSink {
  /**
   * Header and arguments are there; `args` is valid during the call only. Returns where the payload, if there is one,
   * is to land (exactly as long as it), or undefined to drop it.
   */
  onFrame(header: ReceivedHeader, args: Buffer): Landing | undefined;
  /** The payload that was not dropped is there. */
  onPayload(): void;
}

/** What comes first of bytes for a pipe is read as any other; the rest is moved. */
const PIECE_BYTES = 4096;
const SCRATCH_BYTES = 64 * 1024;
/** Arguments of which nothing is known are read together with their header as far as this. */
const USUAL_ARGS_BYTES = 96;
const MAX_KEPT_ARGS_BYTES = 64 * 1024;

/** What lies in it is used or copied before anything else is read, so all connections share it. */
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

type Part = 'header' | 'args' | 'payload';

export class FrameReader {
  readonly #reading: Reading;
  readonly #sink: FrameSink;
  readonly #pull: (pipe: Pipe, most: number) => number;
  #limits: FrameLimits;
  readonly #headerBytes = Buffer.alloc(HEADER_BYTES);
  #argsBytes = Buffer.alloc(512);
  #part: Part = 'header';
  /** Bytes that the present part has. */
  #filled = 0;
  #header: ReceivedHeader | undefined;
  /** Undefined while a payload is dropped. */
  #target: Landing | undefined;
  #lastWasScratch = false;
  /** Of the last frame with a payload: exact reading takes so many with a header, and with them nothing of a payload. */
  #expectedArgsBytes = USUAL_ARGS_BYTES;
  /** Payloads of this connection do not fit a pipe. */
  #isFragmented = false;

  /** `pull` moves up to so many bytes that have come into a pipe, and returns how many. */
  constructor(
    sink: FrameSink,
    options: { reading: Reading; limits: FrameLimits },
    pull: (pipe: Pipe, most: number) => number = () => 0,
  ) {
    this.#sink = sink;
    this.#pull = pull;
    this.#reading = options.reading;
    this.#limits = options.limits;
  }

  setLimits(limits: FrameLimits): void {
    this.#limits = limits;
  }

  /** A frame has begun and is not there yet. */
  get isWithinFrame(): boolean {
    return this.#part !== 'header' || this.#filled > 0;
  }

  /** Where the next bytes are to be put; never empty. */
  buffer(): Buffer {
    const place = this.#place();
    this.#lastWasScratch = place === undefined;
    return place ?? scratch.subarray(0, this.#mostAtOnce());
  }

  /** Undefined if the next bytes go through the scratch buffer. */
  #place(): Buffer | undefined {
    if (this.#part === 'payload') return this.#placeOfPayload();
    if (this.#reading === 'small' || this.#part === 'header') return undefined;
    return this.#argsBytes.subarray(this.#filled, this.#header?.argsLength);
  }

  /** A read that is not filled tells Node that nothing is left: it saves another. */
  #mostAtOnce(): number {
    if (this.#reading === 'small') return SCRATCH_BYTES;
    return HEADER_BYTES - this.#filled + this.#expectedArgsBytes;
  }

  #placeOfPayload(): Buffer | undefined {
    const target = this.#target;
    if (target === undefined) return this.#dropping();
    if (target instanceof Uint8Array) return target.subarray(this.#filled);
    return scratch.subarray(0, Math.min(PIECE_BYTES, target.lengthBytes - this.#filled));
  }

  #dropping(): Buffer | undefined {
    if (this.#reading === 'small') return undefined;
    return scratch.subarray(0, (this.#header?.payloadLength ?? 0) - this.#filled);
  }

  /** `length` bytes have been put into what {@link buffer} last returned. Throws ProtocolError; then it is over. */
  advance(length: number): void {
    if (this.#lastWasScratch) this.#consume(scratch.subarray(0, length));
    else this.#fill(length);
    if (this.#target instanceof PipedBytes) this.#pullInto(this.#target);
  }

  #fill(length: number): void {
    this.#filled += length;
    if (this.#part === 'args') {
      const argsLength = this.#header?.argsLength ?? 0;
      if (this.#filled === argsLength) this.#endArgs(this.#argsBytes.subarray(0, argsLength));
    } else {
      if (this.#target instanceof PipedBytes) this.#pipe(this.#target, scratch.subarray(0, length));
      this.#endPayloadIfWhole();
    }
  }

  /** Puts `piece`, which counts as filled, behind what is in the pipe. */
  #pipe(piped: PipedBytes, piece: Buffer): void {
    const written = piped.pipe?.write(piece) ?? 0;
    if (written < piece.length) this.#spill(piped, piece.subarray(written));
  }

  /** All that has been read is used: moves what else has come of the payload. */
  #pullInto({ pipe, lengthBytes }: PipedBytes): void {
    while (pipe !== undefined && this.#filled < lengthBytes) {
      const moved = this.#pull(pipe, lengthBytes - this.#filled);
      if (moved === 0) return;
      this.#filled += moved;
    }
    this.#endPayloadIfWhole();
  }

  /** The pipe is full of small packets before the payload is there: what is in it, and `rest`, go on in memory. */
  #spill(piped: PipedBytes, rest: Buffer): void {
    const { bytes } = piped;
    rest.copy(bytes, this.#filled - rest.length);
    this.#target = bytes;
    this.#isFragmented = true;
  }

  #consume(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#part === 'header') rest = this.#consumeHeader(rest);
      else if (this.#part === 'args') rest = this.#consumeArgs(rest);
      else rest = this.#consumePayload(rest);
    }
  }

  #consumeHeader(chunk: Buffer): Buffer {
    if (this.#filled === 0 && chunk.length >= HEADER_BYTES) {
      // The checksum needs these bytes until the arguments have come.
      chunk.copy(this.#headerBytes, 0, 0, HEADER_BYTES);
      this.#endHeader(this.#headerBytes);
      return chunk.subarray(HEADER_BYTES);
    }
    const taken = chunk.copy(this.#headerBytes, this.#filled);
    this.#filled += taken;
    if (this.#filled === HEADER_BYTES) this.#endHeader(this.#headerBytes);
    return chunk.subarray(taken);
  }

  #consumeArgs(chunk: Buffer): Buffer {
    const argsLength = this.#header?.argsLength ?? 0;
    if (this.#filled === 0 && chunk.length >= argsLength) {
      this.#endArgs(chunk.subarray(0, argsLength));
      return chunk.subarray(argsLength);
    }
    const taken = chunk.copy(this.#argsBytes, this.#filled, 0, argsLength - this.#filled);
    this.#filled += taken;
    if (this.#filled === argsLength) this.#endArgs(this.#argsBytes.subarray(0, argsLength));
    return chunk.subarray(taken);
  }

  #consumePayload(chunk: Buffer): Buffer {
    const missing = (this.#header?.payloadLength ?? 0) - this.#filled;
    const taken = Math.min(missing, chunk.length);
    const target = this.#target;
    if (target instanceof Uint8Array) chunk.copy(target, this.#filled, 0, taken);
    this.#filled += taken;
    if (target instanceof PipedBytes) this.#pipe(target, chunk.subarray(0, taken));
    this.#endPayloadIfWhole();
    return chunk.subarray(taken);
  }

  #endHeader(bytes: Buffer): void {
    const header = readHeader(bytes, this.#limits);
    this.#header = header;
    this.#part = 'args';
    this.#filled = 0;
    if (header.argsLength > this.#argsBytes.length) {
      this.#argsBytes = Buffer.allocUnsafeSlow(
        header.argsLength > MAX_KEPT_ARGS_BYTES ? header.argsLength : MAX_KEPT_ARGS_BYTES,
      );
    }
    if (header.argsLength === 0) this.#endArgs(this.#argsBytes.subarray(0, 0));
  }

  #endArgs(args: Buffer): void {
    const header = this.#header;
    if (header === undefined) throw new ProtocolError('arguments without a header');
    if (checksum(this.#headerBytes, args) !== header.checksum) {
      throw new ProtocolError('the checksum of a frame does not match');
    }
    this.#part = header.payloadLength > 0 ? 'payload' : 'header';
    this.#filled = 0;
    this.#target = undefined;
    const target = this.#sink.onFrame(header, args);
    if (header.payloadLength > 0) {
      this.#target = target instanceof PipedBytes && this.#isFragmented ? target.bytes : target;
      this.#expectedArgsBytes = Math.min(args.length, USUAL_ARGS_BYTES);
    }
    if (this.#argsBytes.length > MAX_KEPT_ARGS_BYTES) this.#argsBytes = Buffer.alloc(512);
  }

  #endPayloadIfWhole(): void {
    if (this.#filled < (this.#header?.payloadLength ?? 0)) return;
    const landed = this.#target !== undefined;
    this.#part = 'header';
    this.#filled = 0;
    this.#target = undefined;
    if (landed) this.#sink.onPayload();
  }
}
