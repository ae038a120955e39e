import test from 'ava';
import { FsError } from '../../src/errno.ts';
import type { Reading } from '../../src/net/call.ts';
import { row } from '../../src/net/handler.ts';
import { LendablePages } from '../../src/pipes/lendable-pages.ts';
import { pattern } from '../support/pattern.ts';
import { makePiped, startPipes } from '../support/pipes.ts';
import { BASIC, ECHO, FAIL, GET, LATER, PUT, startPeer, startServer } from '../support/rpc.ts';

const MIB = 1024 * 1024;

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

test('large payloads by reference and through pipes arrive as they were, many at once', async (t) => {
  const lengths = [MIB, 3 * MIB + 5, 70_000, MIB + 4097, 65_536, 2 * MIB];
  const patterns = new Map(lengths.map((length) => [length, pattern(length, length)]));
  const of = (length: number): Buffer => patterns.get(length) ?? Buffer.alloc(0);
  const arrived: boolean[] = [];
  const operations = [
    row(PUT, (_request, { payload }) => {
      arrived.push(payload?.equals(of(payload.length)) === true);
      return { value: payload?.length ?? 0 };
    }),
    row(GET, (length) => ({ value: undefined, payload: [of(length)] })),
  ];
  const { address } = await startServer(t, { operations });
  const peer = startPeer(t, address);
  const pool = startPipes(t, 16);
  const echo = async (length: number): Promise<void> => {
    const pages = LendablePages.allocate(pool, length);
    t.truthy(pages);
    for (let round = 0; round < 3; round++) {
      const payload = [(pages?.bytes ?? Buffer.alloc(0)).subarray(0, length)];
      of(length).copy(payload[0] ?? Buffer.alloc(0));
      t.is((await peer.call(PUT, undefined, { payload, pages })).value, length);
      pages?.bytes.fill(0);
      const { piped } = await peer.call(GET, length, { receive: () => makePiped(pool, length) });
      t.true(piped?.bytes.equals(of(length)), `${length} bytes`);
      piped?.release();
    }
  };
  await Promise.all(lengths.map(echo));
  t.deepEqual(
    arrived,
    Array.from({ length: 18 }, () => true),
  );
});

test('a payload by reference whose connection is cut is sent again, and its pages are not changed meanwhile', async (t) => {
  const payloads: Buffer[] = [];
  const put = row(PUT, (_request, { payload }) => {
    payloads.push(Buffer.from(payload ?? []));
    return { value: payload?.length ?? 0 };
  });
  const { server, address } = await startServer(t, { operations: [put] });
  const peer = startPeer(t, address, { times: { firstBackoffMs: 1, lastBackoffMs: 20 } });
  await peer.ready();
  const pages = LendablePages.allocate(startPipes(t), MIB);
  if (pages === undefined) throw new Error('the system gives no pipe');
  pages.bytes.fill(1);
  const call = peer.call(PUT, undefined, { payload: [pages.bytes], pages });
  await server.close(false);
  await startServer(t, { operations: [put], at: address });
  t.is((await call).value, MIB);
  t.true(payloads.at(-1)?.equals(Buffer.alloc(MIB, 1)));
  pages.reclaim();
  t.is(pages.bytes[0], 0, 'the first connection never said that it has read them');
});

test('an errno of the server arrives with its message, a bug as EIO', async (t) => {
  const { address } = await startServer(t);
  const peer = startPeer(t, address);
  const failed = await t.throwsAsync(peer.call(FAIL, 'three entries'), { instanceOf: FsError });
  t.is(failed.message, 'ENOTEMPTY: three entries');
  t.is((await t.throwsAsync(peer.call(FAIL, ''))).message, 'ENOTEMPTY');
  const bug = await t.throwsAsync(peer.call(FAIL, 'bug'), { instanceOf: FsError });
  t.is(bug.code, 'EIO');
});
