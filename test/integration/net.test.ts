import test from 'ava';
import { FsError } from '../../src/errno.ts';
import type { Reading } from '../../src/net/call.ts';
import { row } from '../../src/net/handler.ts';
import { BASIC, ECHO, FAIL, GET, LATER, PUT, startPeer, startServer } from '../support/rpc.ts';

const eachReading = (title: string, run: (reading: Reading) => ReturnType<typeof test.macro>) => {
  for (const reading of ['exact', 'small'] as const) test(`${title} (${reading})`, run(reading));
};

eachReading('a call is answered', (reading) =>
  test.macro(async (t) => {
    const { address } = await startServer(t, { reading });
    const peer = startPeer(t, address, { reading });
    const { value, payload } = await peer.call(ECHO, Buffer.from('hello'));
    t.is(value.toString(), 'hello');
    t.is(payload, undefined);
    t.is(peer.state, 'ready');
  }),
);

eachReading('1,000 calls at once are all answered, replies overtaking each other', (reading) =>
  test.macro(async (t) => {
    const { address, server } = await startServer(t, { reading });
    const peer = startPeer(t, address, { reading });
    const order: number[] = [];
    const slow = peer.call(LATER, 30).then(() => order.push(-1));
    const answers = await Promise.all(
      Array.from({ length: 1000 }, async (_, index) => {
        const { value } = await peer.call(ECHO, Buffer.from(`call ${index}`));
        order.push(index);
        return value.toString();
      }),
    );
    await slow;
    t.deepEqual(
      answers,
      Array.from({ length: 1000 }, (_, index) => `call ${index}`),
    );
    t.true(order.indexOf(-1) > 0);
    t.is(server.statistics.requests, 1001);
    t.is(server.statistics.connections, 1);
  }),
);

eachReading('payloads land in the memory that was given for them', (reading) =>
  test.macro(async (t) => {
    const room = Buffer.alloc(300_000);
    const operations = BASIC.map((entry) =>
      entry.operation === PUT
        ? row(
            PUT,
            (_request, { payload, lease }) => {
              t.is(lease?.bytes, room);
              t.is(payload?.buffer, room.buffer);
              return { value: payload?.length ?? 0 };
            },
            () => ({ bytes: room, release: () => undefined }),
          )
        : entry,
    );
    const { address } = await startServer(t, { reading, operations });
    const peer = startPeer(t, address, { reading });
    const parts = [Buffer.alloc(100_000, 1), Buffer.alloc(99_999, 2)];
    t.is((await peer.call(PUT, undefined, { payload: parts })).value, 199_999);
    t.true(room.equals(Buffer.concat([...parts, Buffer.alloc(100_001)])));
    const mine = Buffer.alloc(200_001);
    const { payload } = await peer.call(GET, 200_000, { receive: () => mine });
    t.is(payload?.buffer, mine.buffer);
    t.true(mine.equals(Buffer.concat([Buffer.alloc(200_000, 0x5a), Buffer.alloc(1)])));
  }),
);

test('an errno of the server arrives with its message, a bug as EIO', async (t) => {
  const { address } = await startServer(t);
  const peer = startPeer(t, address);
  const failed = await t.throwsAsync(peer.call(FAIL, 'three entries'), { instanceOf: FsError });
  t.is(failed.message, 'ENOTEMPTY: three entries');
  t.is((await t.throwsAsync(peer.call(FAIL, ''))).message, 'ENOTEMPTY');
  const bug = await t.throwsAsync(peer.call(FAIL, 'bug'), { instanceOf: FsError });
  t.is(bug.code, 'EIO');
});
