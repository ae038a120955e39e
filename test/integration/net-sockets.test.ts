import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import test from 'ava';
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
