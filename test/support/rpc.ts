/** A small service, and servers and peers around it, for tests of the transport. */
import type { ExecutionContext } from 'ava';
import { FsError } from '../../src/errno.ts';
import { silentLogger, type Logger } from '../../src/log.ts';
import type { Address, PeerOptions } from '../../src/net/call.ts';
import { bytes, nothing, text, u53 } from '../../src/net/codec.ts';
import { row, type HandlerTable } from '../../src/net/handler.ts';
import { randomId, type Hello, type Welcome } from '../../src/net/handshake.ts';
import type { Operation } from '../../src/net/operation.ts';
import { Peer } from '../../src/net/peer.ts';
import { RpcServer, type RpcServerOptions } from '../../src/net/server.ts';

export const SECRET = Buffer.alloc(32, 7);

export const ECHO: Operation<Buffer, Buffer> = {
  code: 16,
  name: 'echo',
  mutates: false,
  request: bytes,
  reply: bytes,
};
/** The answer comes after so many milliseconds. */
export const LATER: Operation<number, number> = {
  code: 17,
  name: 'later',
  mutates: false,
  request: u53(),
  reply: u53(),
};
export const FAIL: Operation<string, undefined> = {
  code: 18,
  name: 'fail',
  mutates: false,
  request: text,
  reply: nothing,
};
/** Takes a payload, tells its length. */
export const PUT: Operation<undefined, number> = {
  code: 19,
  name: 'put',
  mutates: true,
  request: nothing,
  reply: u53(),
};
/** Answers with a payload of so many bytes. */
export const GET: Operation<number, undefined> = {
  code: 20,
  name: 'get',
  mutates: false,
  request: u53(),
  reply: nothing,
};
/** Never answered. */
export const NEVER: Operation<undefined, undefined> = {
  code: 21,
  name: 'never',
  mutates: false,
  request: nothing,
  reply: nothing,
};

export const BASIC: HandlerTable = [
  row(ECHO, (request) => ({ value: request })),
  row(LATER, async (ms) => {
    await delay(ms);
    return { value: ms };
  }),
  row(FAIL, (detail) => {
    if (detail === 'bug') throw new TypeError('a bug');
    throw new FsError('ENOTEMPTY', detail === '' ? undefined : detail);
  }),
  row(PUT, (_request, { payload }) => ({ value: payload?.length ?? 0 })),
  row(GET, (length) => ({ value: undefined, payload: [Buffer.alloc(length, 0x5a)] })),
  row(NEVER, () => new Promise(() => undefined)),
];

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once `holds` does; the test's own timeout bounds it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2);
}

export function makeWelcome(change: Partial<Welcome> = {}): Welcome {
  return {
    role: 'blocks',
    clusterId: 'test',
    serverNumber: 0,
    incarnation: randomId(),
    shards: [],
    ...change,
  };
}

export function makeHello(change: Partial<Hello> = {}): Hello {
  return { role: 'blocks', clientId: randomId(), clusterId: 'test', ...change };
}

/** A logger that keeps the lines of level warn and above. */
export function recordingLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const record = (...args: unknown[]): void => {
    lines.push(args.filter((arg) => typeof arg === 'string').join(' '));
  };
  return { logger: { ...silentLogger, warn: record, error: record, fatal: record }, lines };
}

/** A server that is closed after the test. */
export async function startServer(
  t: ExecutionContext,
  options: Partial<RpcServerOptions> & { at?: Address } = {},
): Promise<{ server: RpcServer; address: Address }> {
  const welcome = makeWelcome();
  const server = new RpcServer({
    operations: BASIC,
    welcome: () => welcome,
    secret: SECRET,
    reading: 'exact',
    logger: silentLogger,
    ...options,
  });
  const address = await server.listen(options.at ?? { host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close(false));
  return { server, address };
}

/** A peer that is closed after the test. */
export function startPeer(
  t: ExecutionContext,
  address: Address,
  options: Partial<PeerOptions> = {},
): Peer {
  const peer = new Peer({
    address,
    hello: makeHello(),
    secret: SECRET,
    reading: 'exact',
    logger: silentLogger,
    ...options,
  });
  t.teardown(() => peer.close());
  return peer;
}
