import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test from 'ava';
import { createRequire } from 'node:module';
import { networkInterfaces } from 'node:os';
import type koffiModule from 'koffi';
import { acceptUnpaced, isLoopback, socketTo } from '../../src/net/congestion.ts';
import { adopt } from '../../src/net/connection.ts';

test('an accepted socket reads into the memory it is given, piece by piece, and counts no more', async (t) => {
  const rooms = [Buffer.alloc(4), Buffer.alloc(3), Buffer.alloc(100)];
  const filled: [Uint8Array, number][] = [];
  let next = 0;
  let adopted: Socket | undefined;
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    adopted = adopt(socket)({
      buffer: () => rooms[next++] ?? Buffer.alloc(100),
      callback: (length, room) => {
        filled.push([room, length]);
        return true;
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.end('abcdefghij');
  while (adopted === undefined) await new Promise((resolve) => setImmediate(resolve));
  await once(adopted, 'end');
  t.deepEqual(
    filled.map(([, length]) => length),
    [4, 3, 3],
  );
  filled.forEach(([room], index) => {
    t.true(room === rooms[index]);
  });
  t.is(Buffer.concat(rooms).toString('latin1', 0, 10), 'abcdefghij');
  adopted.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;

/** Name of a socket's congestion control. */
function congestionControl(socket: Socket): string {
  const koffi = createRequire(import.meta.url)('koffi') as typeof koffiModule;
  const getSocketOption = koffi
    .load(null)
    .func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)') as (
    ...args: [number, number, number, Buffer, number[]]
  ) => number;
  const { fd } = (socket as Socket & { _handle: { fd: number } })._handle;
  const name = Buffer.alloc(16);
  const failed = getSocketOption(fd, IPPROTO_TCP, TCP_CONGESTION, name, [name.length]);
  return failed === 0 ? name.toString('latin1').replace(/\0.*$/s, '') : 'unknown';
}

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

for (const host of ['127.0.0.2', ...(hasIPv6 ? ['::1'] : [])]) {
  test(`both ends of a connection to ${host} send without pacing, and data goes both ways`, async (t) => {
    const server = createServer();
    server.listen(0, host);
    await once(server, 'listening');
    acceptUnpaced(server, host);
    const { port } = server.address() as AddressInfo;
    const arrived: string[] = [];
    const room = Buffer.alloc(16);
    const client = socketTo(
      { host, port },
      {
        buffer: room,
        callback: (length) => {
          arrived.push(room.toString('latin1', 0, length));
          return true;
        },
      },
    );
    client.connect({ host, port });
    const [accepted] = (await once(server, 'connection')) as [Socket];
    t.is(congestionControl(client), 'reno');
    t.is(congestionControl(accepted), 'reno');
    client.write('ping');
    t.is(String((await once(accepted, 'data'))[0]), 'ping');
    accepted.end('pong');
    await once(client, 'end');
    t.deepEqual(arrived, ['pong']);
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

test('a connection to loopback that nobody accepts fails as any other', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const client = socketTo(
    { host: '127.0.0.1', port },
    { buffer: Buffer.alloc(1), callback: () => true },
  );
  client.connect({ host: '127.0.0.1', port });
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  t.is(error.code, 'ECONNREFUSED');
});

test('only addresses of loopback keep their data here', (t) => {
  for (const host of ['127.0.0.1', '127.255.0.7', '::1']) t.true(isLoopback(host), host);
  for (const host of [
    '10.0.0.1',
    '127.example.org',
    '128.0.0.1',
    'localhost',
    '::2',
    '1127.0.0.1',
  ]) {
    t.false(isLoopback(host), host);
  }
});
