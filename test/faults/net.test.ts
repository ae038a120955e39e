import test, { type ExecutionContext } from 'ava';
import type { CallOptions, PeerOptions } from '../../src/net/call.ts';
import { nothing, u53 } from '../../src/net/codec.ts';
import { ConnectionClosedError, DeadlineError } from '../../src/net/errors.ts';
import { row, type HandlerTable } from '../../src/net/handler.ts';
import type { Operation } from '../../src/net/operation.ts';
import { LendablePages } from '../../src/pipes/lendable-pages.ts';
import { PipedBytes } from '../../src/pipes/piped-bytes.ts';
import { startProxy } from '../support/fault-proxy.ts';
import { pattern } from '../support/pattern.ts';
import { makePiped, startPipes } from '../support/pipes.ts';
import { random } from '../support/random.ts';
import {
  BASIC,
  ECHO,
  GET,
  LATER,
  makeHello,
  NEVER,
  PUT,
  startPeer,
  startServer,
  until,
} from '../support/rpc.ts';

/** Adds 1 to the counter, returns what it was; the payload has to be as long as the request says. */
const COUNT: Operation<number, number> = {
  code: 22,
  name: 'count',
  mutates: true,
  request: u53(),
  reply: u53(),
};
const NOTE: Operation<number, undefined> = {
  code: 23,
  name: 'note',
  mutates: true,
  request: u53(),
  reply: nothing,
};

const NOTHING = Buffer.alloc(0);

/** A counter that remembers its replies as a service does. */
function counter() {
  const state = { count: 0, damaged: 0 };
  const replies = new Map<number, number>();
  const operations: HandlerTable = [
    ...BASIC,
    row(COUNT, (seed, { tag, payload }) => {
      const { sequence, acknowledgedBelow } = tag ?? { sequence: 0, acknowledgedBelow: 0 };
      const known = replies.get(sequence);
      if (known !== undefined) return { value: known };
      if (payload?.equals(pattern(seed, seed)) !== true) state.damaged++;
      replies.set(sequence, state.count);
      for (const old of replies.keys()) if (old < acknowledgedBelow) replies.delete(old);
      return { value: state.count++ };
    }),
  ];
  return { state, replies, operations };
}

const QUICK: Partial<PeerOptions> = { times: { firstBackoffMs: 1, lastBackoffMs: 20 } };

const SEEDS =
  process.env['IMSSFS_TEST_SEED'] === undefined
    ? [1, 2, 3, 4]
    : [Number(process.env['IMSSFS_TEST_SEED'])];

for (const seed of SEEDS) {
  for (const reading of ['exact', 'small'] as const) {
    test(`calls over a connection that delays, splits and cuts run exactly once (${reading}, seed ${seed})`, async (t) => {
      t.log(`repeat with IMSSFS_TEST_SEED=${seed} npx ava dist/test/faults/net.test.js`);
      const { state, replies, operations } = counter();
      const { address } = await startServer(t, { reading, operations });
      const proxy = await startProxy(t, address, { random: random(seed), cutEvery: 150_000 });
      const peer = startPeer(t, proxy.address, { reading, ...QUICK, patienceMs: 60_000 });
      const next = random(seed + 1000);
      const values: number[] = [];
      const pool = startPipes(t, 16);
      const worker = async (calls: number, isSpliced: boolean): Promise<void> => {
        const pages = isSpliced ? LendablePages.allocate(pool, 40_960) : undefined;
        t.is(pages !== undefined, isSpliced);
        for (let call = 0; call < calls; call++) {
          const length =
            next() < 0.3 ? Math.floor(next() * 40_000) + 1 : Math.floor(next() * 9) + 1;
          pages?.reclaim();
          const payload = [(pages?.bytes ?? Buffer.alloc(length)).subarray(0, length)];
          pattern(length, length).copy(payload[0] ?? NOTHING);
          values.push((await peer.call(COUNT, length, { payload, pages })).value);
          let room: Buffer | PipedBytes = Buffer.alloc(length);
          await peer.call(GET, length, {
            receive: () => {
              if (room instanceof PipedBytes) room.release();
              if (isSpliced) room = makePiped(pool, length);
              return room;
            },
          });
          const received = room instanceof PipedBytes ? room.bytes : room;
          if (received.some((byte) => byte !== 0x5a)) state.damaged++;
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, index) => worker(25, index % 2 === 1)));
      t.true(proxy.cuts > 3, `${proxy.cuts} cuts`);
      t.is(state.damaged, 0);
      t.is(state.count, 200);
      t.deepEqual(
        values.sort((a, b) => a - b),
        Array.from({ length: 200 }, (_, index) => index),
      );
      t.true(replies.size <= 16, 'acknowledged replies are forgotten');
    });
  }

  test(`damaged bytes end connections, never the server or the peer (seed ${seed})`, async (t) => {
    const { state, operations } = counter();
    const { address } = await startServer(t, { operations });
    const proxy = await startProxy(t, address, { random: random(seed), corruptEvery: 3000 });
    const peer = startPeer(t, proxy.address, { ...QUICK, patienceMs: 60_000 });
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, async (_, index) => {
        const sent = Buffer.alloc(100, index);
        const { value } = await peer.call(ECHO, sent);
        t.deepEqual(value, sent);
        await peer.call(COUNT, 0);
      }),
    );
    t.deepEqual(
      results.filter(({ status }) => status === 'rejected'),
      [],
    );
    t.is(state.count, 100);
    const direct = startPeer(t, address);
    t.is((await direct.call(ECHO, Buffer.from('up'))).value.toString(), 'up');
  });
}

async function restartable(t: ExecutionContext, operations: HandlerTable) {
  const first = await startServer(t, { operations });
  return {
    ...first,
    restart: () => startServer(t, { operations, at: first.address }),
  };
}

test('calls that a lost connection left unanswered are repeated in their order', async (t) => {
  const seen: number[] = [];
  let answering = false;
  const note = row(NOTE, (number) => {
    seen.push(number);
    return answering ? { value: undefined } : new Promise<never>(() => undefined);
  });
  const { server, address, restart } = await restartable(t, [note]);
  const peer = startPeer(t, address, QUICK);
  const calls = Array.from({ length: 50 }, (_, index) => peer.call(NOTE, index));
  await until(() => seen.length === 50);
  seen.length = 0;
  await server.close(false);
  calls.push(peer.call(NOTE, 50));
  answering = true;
  await restart();
  await Promise.all(calls);
  t.deepEqual(
    seen,
    Array.from({ length: 51 }, (_, index) => index),
  );
});

test('onConnect runs after each connection, before the calls that wait', async (t) => {
  const seen: string[] = [];
  const echo = row(ECHO, (request) => {
    seen.push(request.toString());
    return { value: request };
  });
  const { server, address, restart } = await restartable(t, [echo]);
  const peer = startPeer(t, address, {
    ...QUICK,
    onConnect: async (call) => {
      await call(ECHO, Buffer.from('open'));
    },
  });
  await peer.call(ECHO, Buffer.from('a'));
  await server.close();
  await restart();
  await peer.call(ECHO, Buffer.from('b'));
  t.deepEqual(seen, ['open', 'a', 'open', 'b']);
});

test('a call to a server that stays away fails after the patience, later ones at once', async (t) => {
  const { server, address } = await startServer(t);
  await server.close();
  const peer = startPeer(t, address, { ...QUICK, patienceMs: 1500 });
  const error = await t.throwsAsync(peer.call(ECHO, Buffer.of(1)), {
    instanceOf: ConnectionClosedError,
  });
  t.regex(error.message, /away for more than 1500 ms: cannot connect to .*ECONNREFUSED/);
  t.is(peer.state, 'away');
  let settled = false;
  const second = peer.call(ECHO, Buffer.of(1)).catch(() => (settled = true));
  await Promise.resolve();
  await Promise.resolve();
  t.true(settled);
  await second;
});

test('a call without an answer ends by its deadline, and its late reply is dropped', async (t) => {
  const { address } = await startServer(t);
  const peer = startPeer(t, address);
  await t.throwsAsync(peer.call(NEVER, undefined, { deadlineMs: 20 }), {
    instanceOf: DeadlineError,
    message: 'never: no answer in time',
  });
  await t.throwsAsync(peer.call(LATER, 60, { deadlineMs: 20 }), { instanceOf: DeadlineError });
  t.is((await peer.call(LATER, 80)).value, 80);
  t.is(peer.state, 'ready');
});

test('an aborted call rejects with the reason, at once where no memory is in use', async (t) => {
  const { address } = await startServer(t);
  const peer = startPeer(t, address);
  const reason = new Error('interrupted');
  const abort = new AbortController();
  const call = peer.call(NEVER, undefined, { signal: abort.signal });
  await peer.ready();
  abort.abort(reason);
  t.is(await t.throwsAsync(call), reason);
  t.is(await t.throwsAsync(peer.call(NEVER, undefined, { signal: abort.signal })), reason);
  t.is((await peer.call(ECHO, Buffer.from('x'))).value.toString(), 'x');
});

test("a call that is aborted while its payload waits keeps the caller's memory until it has gone", async (t) => {
  const { address } = await startServer(t);
  const proxy = await startProxy(t, address, { random: random(1) });
  const peer = startPeer(t, proxy.address);
  await peer.ready();
  proxy.hold();
  const abort = new AbortController();
  let settled = false;
  const payload = [Buffer.alloc(32 * 1024 * 1024)];
  const options: CallOptions = { payload, signal: abort.signal };
  const call = peer.call(PUT, undefined, options).finally(() => (settled = true));
  const failed = t.throwsAsync(call, { message: 'enough' });
  abort.abort(new Error('enough'));
  await new Promise((resolve) => setTimeout(resolve, 30));
  t.false(settled);
  proxy.release();
  await failed;
  t.is(peer.state, 'ready');
});

test('a deadline while a payload does not get through ends the connection, not the peer', async (t) => {
  const { address } = await startServer(t);
  const proxy = await startProxy(t, address, { random: random(1) });
  const peer = startPeer(t, proxy.address, QUICK);
  await peer.ready();
  proxy.hold();
  const payload = [Buffer.alloc(32 * 1024 * 1024)];
  await t.throwsAsync(peer.call(PUT, undefined, { payload, deadlineMs: 30 }), {
    instanceOf: DeadlineError,
  });
  proxy.release();
  t.is((await peer.call(PUT, undefined, { payload })).value, 32 * 1024 * 1024);
});

test('a server of which nothing is heard counts as lost; one that only answers pings does not', async (t) => {
  const { address } = await startServer(t);
  const proxy = await startProxy(t, address, { random: random(1) });
  const times = { pingMs: 40, silenceMs: 400, firstBackoffMs: 1 };
  const peer = startPeer(t, proxy.address, { times });
  t.is((await peer.call(LATER, 1000)).value, 1000);
  t.is(peer.lastError, undefined);
  proxy.hold();
  await until(() => peer.lastError !== undefined);
  t.regex(peer.lastError?.message ?? '', /nothing heard for/);
  proxy.release();
  await peer.ready();
});

test('a client that dies within a payload gives the memory back', async (t) => {
  let released = 0;
  let handled = 0;
  const room = Buffer.alloc(32 * 1024 * 1024);
  const put = row(
    PUT,
    () => {
      handled++;
      return { value: 0 };
    },
    () => ({ bytes: room, release: () => released++ }),
  );
  const { address } = await startServer(t, { operations: [put] });
  const proxy = await startProxy(t, address, { random: random(1), cutEvery: 100_000 });
  const peer = startPeer(t, proxy.address, { ...QUICK, patienceMs: 60_000 });
  const call = peer.call(PUT, undefined, { payload: [Buffer.alloc(room.length)] });
  await until(() => released > 0);
  await peer.close();
  await t.throwsAsync(call, { instanceOf: ConnectionClosedError });
  t.is(handled, 0);
});

test('a graceful close answers what runs', async (t) => {
  const { server, address } = await startServer(t);
  const peer = startPeer(t, address, { hello: makeHello() });
  const running = peer.call(LATER, 60);
  await until(() => server.statistics.requests === 1);
  await server.close(true);
  t.is((await running).value, 60);
});

test('a reply that the kernel does not take at once is pinned until it has', async (t) => {
  const events: string[] = [];
  const block = Buffer.alloc(32 * 1024 * 1024, 1);
  const get = row(GET, () => ({
    value: undefined,
    payload: [block],
    pin: () => {
      events.push('pin');
      return () => events.push('unpin');
    },
  }));
  const { address } = await startServer(t, { operations: [get] });
  const proxy = await startProxy(t, address, { random: random(1) });
  const peer = startPeer(t, proxy.address);
  await peer.ready();
  proxy.hold();
  const call = peer.call(GET, 1);
  proxy.releaseUpstream();
  await until(() => events.length > 0);
  t.deepEqual(events, ['pin']);
  proxy.release();
  t.is((await call).payload?.length, block.length);
  await until(() => events.length === 2);
  t.deepEqual(events, ['pin', 'unpin']);
});
