/** A TCP proxy that tells which requests have passed it. It changes nothing. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { BlockOperation } from '../../src/blocks/protocol.ts';
import { MetaOperation } from '../../src/meta/protocol.ts';
import type { Address } from '../../src/net/call.ts';
import { FrameKind, HEADER_BYTES } from '../../src/net/frame.ts';
import { OPERATION_CODES } from '../../src/net/operation.ts';

const KIND_AT = 5;
const OPERATION_AT = 6;
const ARGS_LENGTH_AT = 16;
const PAYLOAD_LENGTH_AT = 20;

const NAMES = new Map(
  [...Object.values(BlockOperation), ...Object.values(MetaOperation)].map(({ code, name }) => [
    code,
    name,
  ]),
);

export interface CountingProxy {
  readonly address: Address;
  /** Where new connections go. */
  target: Address | undefined;
  /**
   * Operations of the requests that clients have sent so far, in their order. Those that keep a connection and a file
   * system alive whatever is asked of it (pings, heartbeats) are left out.
   */
  readonly requests: string[];
}

/** On a free port; closed after the test. */
export async function startCountingProxy(t: ExecutionContext): Promise<CountingProxy> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let target: Address | undefined;
  const server = createServer((client) => {
    if (target === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect(target.port, target.host);
    const count = requestCounter(requests);
    client.on('data', count);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.pipe(other);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    get target() {
      return target;
    },
    set target(address) {
      target = address;
    },
    requests,
  };
}

/** Takes a connection's bytes in any pieces, and notes the operation of each request among its frames. */
function requestCounter(requests: string[]): (chunk: Buffer) => void {
  let header = Buffer.alloc(0);
  let bodyBytes = 0;
  return (chunk) => {
    for (let rest = chunk; rest.length > 0;) {
      const skipped = Math.min(bodyBytes, rest.length);
      bodyBytes -= skipped;
      rest = rest.subarray(skipped);
      const part = rest.subarray(0, HEADER_BYTES - header.length);
      header = Buffer.concat([header, part]);
      rest = rest.subarray(part.length);
      if (header.length < HEADER_BYTES) return;
      const code = header.readUInt16LE(OPERATION_AT);
      const isRequest = header[KIND_AT] === FrameKind.REQUEST;
      if (isRequest && isAboutFiles(code)) requests.push(NAMES.get(code) ?? String(code));
      bodyBytes = header.readUInt32LE(ARGS_LENGTH_AT) + header.readUInt32LE(PAYLOAD_LENGTH_AT);
      header = Buffer.alloc(0);
    }
  };
}

function isAboutFiles(code: number): boolean {
  const { blocks, meta, betweenMetaServers } = OPERATION_CODES;
  return [blocks, meta, betweenMetaServers].some(
    ([first = 0, last = 0]) => code >= first && code <= last,
  );
}
