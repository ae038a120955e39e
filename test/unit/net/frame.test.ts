import test from 'ava';
import type { Reading } from '../../../src/net/call.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import {
  FrameKind,
  HEADER_BYTES,
  MAX_ARGS_BYTES,
  MAX_PAYLOAD_BYTES,
  VersionError,
  writeHeader,
  type ReceivedHeader,
} from '../../../src/net/frame.ts';
import { FrameReader, type FrameSink } from '../../../src/net/frame-reader.ts';
import { decodeArgs, encodeFrame } from '../../../src/net/message.ts';
import type { PipedBytes } from '../../../src/pipes/piped-bytes.ts';
import { makePiped, startPipes } from '../../support/pipes.ts';

const LIMITS = { args: MAX_ARGS_BYTES, payload: MAX_PAYLOAD_BYTES };
const READINGS = ['exact', 'small'] as const;

/** Request 7 of operation 20, tag (3, 2), argument 4096, payload "ab". */
const GOLDEN = Buffer.from(
  '494d5353' + // magic "IMSS"
    '01' + // protocol version
    '01' + // kind: request
    '1400' + // operation code 20
    '07000000' + // request id
    '00000000' + // status
    '07000000' + // length of the arguments
    '02000000' + // length of the payload
    '307f185a' + // CRC-32 of the 24 bytes before and of the arguments
    '00000000' + // reserved
    '92' + // array of 2
    '920302' + // tag: sequence 3, acknowledged below 2
    'cd1000' + // 4096
    '6162', // payload
  'hex',
);

const REQUEST = { kind: FrameKind.REQUEST, operation: 20, requestId: 7, status: 0 };

/** Collects what a reader finds; `drop` drops payloads. */
function collector(reading: Reading, options: { drop?: boolean; limits?: typeof LIMITS } = {}) {
  const frames: { header: ReceivedHeader; args: unknown; payload: Buffer | undefined }[] = [];
  let landing: Buffer | undefined;
  let payloads = 0;
  const reader = new FrameReader(
    {
      onFrame: (header, args) => {
        landing =
          options.drop === true || header.payloadLength === 0
            ? undefined
            : Buffer.alloc(header.payloadLength);
        frames.push({ header, args: decodeArgs(args), payload: landing });
        return landing;
      },
      onPayload: () => {
        payloads++;
      },
    },
    { reading, limits: options.limits ?? LIMITS },
  );
  /** Gives `bytes` in pieces of at most `pieceLength`, and as many as there is room for. */
  const feed = (bytes: Buffer, pieceLength = Infinity): void => {
    for (let rest = bytes; rest.length > 0;) {
      const room = reader.buffer();
      const length = Math.min(room.length, rest.length, pieceLength);
      rest.copy(room, 0, 0, length);
      reader.advance(length);
      rest = rest.subarray(length);
    }
  };
  return { reader, frames, feed, payloads: () => payloads };
}

test('a frame is written as docs/protocol.md says', (t) => {
  const frame = encodeFrame(REQUEST, [[3, 2], 4096], 2);
  t.is(Buffer.concat([frame, Buffer.from('ab')]).toString('hex'), GOLDEN.toString('hex'));
});

for (const reading of READINGS) {
  test(`a frame is read, whole or in pieces of any length (${reading})`, (t) => {
    for (let pieceLength = 1; pieceLength <= GOLDEN.length * 2; pieceLength++) {
      const { frames, feed, payloads, reader } = collector(reading);
      feed(Buffer.concat([GOLDEN, GOLDEN]), pieceLength);
      t.is(frames.length, 2);
      for (const { header, args, payload } of frames) {
        t.like(header, { ...REQUEST, argsLength: 7, payloadLength: 2 });
        t.deepEqual(args, [[3, 2], 4096]);
        t.is(payload?.toString(), 'ab');
      }
      t.is(payloads(), 2);
      t.false(reader.isWithinFrame);
    }
  });

  test(`a frame cut off at any length waits for the rest (${reading})`, (t) => {
    for (let length = 0; length < GOLDEN.length; length++) {
      const { frames, feed, payloads, reader } = collector(reading);
      feed(GOLDEN.subarray(0, length));
      t.is(frames.length, length < HEADER_BYTES + 7 ? 0 : 1);
      t.is(payloads(), 0);
      t.is(reader.isWithinFrame, length > 0);
    }
  });

  test(`any flipped bit before the payload is noticed (${reading})`, (t) => {
    for (let bit = 0; bit < (HEADER_BYTES + 7) * 8; bit++) {
      const bytes = Buffer.concat([GOLDEN, Buffer.alloc(200_000)]);
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const { frames, feed } = collector(reading);
      // Longer arguments than there are: the reader waits for them.
      if (bit >> 3 >= 16 && bit >> 3 < 20 && bytes.readUInt32LE(16) > 200_000) {
        if (bytes.readUInt32LE(16) <= MAX_ARGS_BYTES) {
          feed(bytes);
          t.is(frames.length, 0, `bit ${bit}`);
          continue;
        }
      }
      t.throws(
        () => {
          feed(bytes);
        },
        { instanceOf: ProtocolError },
        `bit ${bit}`,
      );
      t.is(frames.length, 0, `bit ${bit}`);
    }
  });

  test(`a dropped payload is skipped, and the next frame is found (${reading})`, (t) => {
    const large = Buffer.alloc(300_000, 1);
    const frame = encodeFrame(REQUEST, [null, 1], large.length);
    const next = encodeFrame({ ...REQUEST, requestId: 8 }, [null, 2]);
    const { frames, feed, payloads } = collector(reading, { drop: true });
    feed(Buffer.concat([frame, large, next]));
    t.deepEqual(
      frames.map(({ header, args }) => [header.requestId, args]),
      [
        [7, [null, 1]],
        [8, [null, 2]],
      ],
    );
    t.is(payloads(), 0);
  });

  test(`long arguments and payloads come through between short ones (${reading})`, (t) => {
    const long = Buffer.alloc(200_000, 'xyz');
    const stream = Buffer.concat([
      encodeFrame(REQUEST, [null, 1]),
      encodeFrame(REQUEST, [null, long], 150_001),
      Buffer.alloc(150_001, 9),
      encodeFrame(REQUEST, [null, 2]),
    ]);
    for (const pieceLength of [7, 1000, 65_536, Infinity]) {
      const { frames, feed } = collector(reading);
      feed(stream, pieceLength);
      t.deepEqual(
        frames.map(({ args }) => args),
        [
          [null, 1],
          [null, long],
          [null, 2],
        ],
      );
      t.true(frames[1]?.payload?.equals(Buffer.alloc(150_001, 9)));
    }
  });
}

test('in exact reading, payloads go straight into the memory given for them, once one has shown where they begin', (t) => {
  const room = Buffer.alloc(2);
  const reader = new FrameReader(
    { onFrame: () => room, onPayload: () => undefined },
    { reading: 'exact', limits: LIMITS },
  );
  const put = (bytes: Buffer): void => {
    const place = reader.buffer();
    t.true(place.length >= bytes.length);
    bytes.copy(place);
    reader.advance(bytes.length);
  };
  put(GOLDEN);
  t.false(reader.isWithinFrame);
  const payloadAt = HEADER_BYTES + 7;
  const head = reader.buffer();
  t.is(head.length, payloadAt, 'nothing of the payload is read with header and arguments');
  put(GOLDEN.subarray(0, 30));
  t.is(reader.buffer().length, payloadAt - 30);
  put(GOLDEN.subarray(30, payloadAt));
  const first = reader.buffer();
  t.deepEqual([first.buffer, first.byteOffset, first.length], [room.buffer, room.byteOffset, 2]);
  reader.advance(1);
  const second = reader.buffer();
  t.deepEqual([second.byteOffset, second.length], [room.byteOffset + 1, 1]);
});

test('in exact reading, long arguments are read to their end and no further', (t) => {
  const args = [null, Buffer.alloc(5000)];
  const frame = encodeFrame(REQUEST, args, 2);
  const lengths: number[] = [];
  const reader = new FrameReader(
    { onFrame: () => Buffer.alloc(2), onPayload: () => undefined },
    { reading: 'exact', limits: LIMITS },
  );
  for (let at = 0; at < frame.length;) {
    const place = reader.buffer();
    lengths.push(place.length);
    at += frame.copy(place, 0, at);
    reader.advance(place.length);
  }
  t.is(
    lengths.reduce((sum, length) => sum + length),
    frame.length,
  );
  t.is(lengths.length, 2);
});

/** A socket to which `bytes` come bit by bit. Returns how many of them were moved into pipes. */
function splice(bytes: Buffer, sink: FrameSink): number {
  let at = 0;
  let pulled = 0;
  let pulls = 0;
  const reader = new FrameReader(sink, { reading: 'exact', limits: LIMITS }, (pipe, most) => {
    pulls++;
    if (pulls % 3 === 0) return 0;
    const count = pipe.write(bytes.subarray(at, at + Math.min(most, 100_000)));
    at += count;
    pulled += count;
    return count;
  });
  while (at < bytes.length) {
    const room = reader.buffer();
    const count = bytes.copy(room, 0, at, at + room.length);
    at += count;
    reader.advance(count);
  }
  return pulled;
}

test('a payload that lands in a pipe is pulled into it, and what is left out of the socket goes in as well', (t) => {
  const pool = startPipes(t);
  const payload = Buffer.from(Array.from({ length: 250_000 }, (_, index) => index % 251));
  const frame = encodeFrame(REQUEST, [null, 1], payload.length);
  const landed: PipedBytes[] = [];
  let payloads = 0;
  const sink: FrameSink = {
    onFrame: () => {
      const piped = makePiped(pool, payload.length);
      landed.push(piped);
      return piped;
    },
    onPayload: () => {
      payloads++;
    },
  };
  const pulled = splice(Buffer.concat([frame, payload, frame, payload]), sink);
  t.is(payloads, 2);
  const copied = 2 * payload.length - pulled;
  const readAhead = HEADER_BYTES + 96 - frame.length;
  t.is(copied, readAhead + 2 * 4096, 'pieces at which the socket was empty were copied');
  for (const piped of landed) {
    t.is(piped.pipe?.lengthBytes, payload.length);
    t.true(piped.bytes.equals(payload));
    piped.release();
  }
});

test('a payload whose packets fill the pipe goes on in memory, and those that follow begin there', (t) => {
  const pool = startPipes(t);
  const payload = Buffer.alloc(2 ** 20 + 50_000, 3);
  const frame = encodeFrame(REQUEST, [null, 1], payload.length);
  const landed: PipedBytes[] = [];
  const sink: FrameSink = {
    onFrame: () => {
      const piped = makePiped(pool, payload.length);
      landed.push(piped);
      return piped;
    },
    onPayload: () => {
      t.is(landed.at(-1)?.pipe, undefined);
    },
  };
  const pulled = splice(Buffer.concat([frame, payload, frame, payload]), sink);
  t.is(landed.length, 2);
  t.true(pulled > 2 ** 19 && pulled <= 2 ** 20, 'only the first was tried');
  for (const piped of landed) {
    t.true(piped.bytes.equals(payload));
    piped.release();
  }
});

test('another protocol version is told apart from garbage', (t) => {
  const bytes = Buffer.from(GOLDEN);
  bytes.writeUInt8(2, 4);
  const error = t.throws(
    () => {
      collector('exact').feed(bytes);
    },
    { instanceOf: VersionError },
  );
  t.is(error.version, 2);
});

test('lengths above the limits are refused before anything is allocated for them', (t) => {
  const limits = { args: 100, payload: 10 };
  const long = encodeFrame(REQUEST, Buffer.alloc(100));
  t.throws(
    () => {
      collector('exact', { limits }).feed(long);
    },
    { message: /arguments of 102/ },
  );
  const heavy = encodeFrame(REQUEST, null, 11);
  t.throws(
    () => {
      collector('exact', { limits }).feed(heavy);
    },
    { message: /payload of 11/ },
  );
  t.throws(() => encodeFrame(REQUEST, null, MAX_PAYLOAD_BYTES + 1), { instanceOf: ProtocolError });
  t.throws(
    () => {
      writeHeader(Buffer.alloc(HEADER_BYTES + MAX_ARGS_BYTES + 1), REQUEST, 0);
    },
    {
      instanceOf: ProtocolError,
    },
  );
});

test('arguments that are no msgpack are refused; Buffers in them are copies', (t) => {
  for (const hex of ['', '92', '9201', '0101', 'c40561', 'dd7fffffff']) {
    t.throws(() => decodeArgs(Buffer.from(hex, 'hex')), { instanceOf: ProtocolError }, hex);
  }
  const raw = Buffer.from('c4026162', 'hex');
  const decoded = decodeArgs(raw) as Buffer;
  raw.fill(0);
  t.is(decoded.toString(), 'ab');
});

test('numbers up to 2^53 come back as numbers', (t) => {
  for (const value of [
    0,
    255,
    65_536,
    2 ** 32,
    2 ** 40 + 1,
    Number.MAX_SAFE_INTEGER,
    -1,
    -(2 ** 52),
  ]) {
    t.is(decodeArgs(encodeFrame(REQUEST, value).subarray(HEADER_BYTES)), value);
  }
  t.is(decodeArgs(Buffer.from('cf001fffffffffffff', 'hex')), Number.MAX_SAFE_INTEGER);
});
