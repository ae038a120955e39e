/** A TCP proxy in front of a server of imssfs that changes replies as it is told, and passes on all else as it is. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Address } from '../../src/net/call.ts';
import {
  FrameKind,
  type FrameHeader,
  HEADER_BYTES,
  MAX_ARGS_BYTES,
  MAX_PAYLOAD_BYTES,
  type ReceivedHeader,
  readHeader,
} from '../../src/net/frame.ts';
import { decodeArgs, encodeFrame } from '../../src/net/message.ts';

/** A reply as the server sent it. */
export interface PassingReply {
  readonly header: FrameHeader;
  readonly args: unknown;
  readonly payload: Buffer;
}

/** What clients receive in its place, byte by byte; undefined for what was sent. */
export type Falsifier = (reply: PassingReply) => readonly Buffer[] | undefined;

export interface LyingProxy {
  readonly address: Address;
  /** Where new connections go. */
  target: Address | undefined;
  falsify: Falsifier;
}

const LIMITS = { args: MAX_ARGS_BYTES, payload: MAX_PAYLOAD_BYTES };

/** On a free port; closed after the test. It tells the truth at first. */
export async function startLyingProxy(t: ExecutionContext): Promise<LyingProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const { target } = proxy;
    if (target === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(target.port, target.host);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream);
    const forward = frameSplitter((header, frame) => {
      for (const part of falsified(proxy.falsify, header, frame)) client.write(part);
    });
    upstream.on('data', forward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const proxy: LyingProxy = {
    address: { host: '127.0.0.1', port },
    target: undefined,
    falsify: () => undefined,
  };
  return proxy;
}

/** Takes a connection's bytes in any pieces, and hands on whole frames. */
function frameSplitter(
  onFrame: (header: ReceivedHeader, frame: Buffer) => void,
): (chunk: Buffer) => void {
  let waiting = Buffer.alloc(0);
  return (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= HEADER_BYTES) {
      const header = readHeader(waiting, LIMITS);
      const lengthBytes = HEADER_BYTES + header.argsLength + header.payloadLength;
      if (waiting.length < lengthBytes) return;
      onFrame(header, waiting.subarray(0, lengthBytes));
      waiting = waiting.subarray(lengthBytes);
    }
  };
}

function falsified(falsify: Falsifier, header: ReceivedHeader, frame: Buffer): readonly Buffer[] {
  if (header.kind !== FrameKind.REPLY) return [frame];
  const payloadAt = HEADER_BYTES + header.argsLength;
  const args = decodeArgs(frame.subarray(HEADER_BYTES, payloadAt));
  return falsify({ header, args, payload: frame.subarray(payloadAt) }) ?? [frame];
}

/** The frame of a reply with other arguments. */
export function replyWith({ header, payload }: PassingReply, args: unknown): Buffer[] {
  return [encodeFrame(header, args, payload.length), payload];
}

/** The frame of a reply of another status, without a payload. */
export function failureWith({ header }: PassingReply, status: number, args: unknown): Buffer[] {
  return [encodeFrame({ ...header, status }, args)];
}
