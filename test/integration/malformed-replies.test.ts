/** Servers that answer nonsense: what it does to the one who asked, for every operation of the protocol. */
import test, { type ExecutionContext } from 'ava';
import { RemoteBlockStore } from '../../src/blocks/client.ts';
import { BLOCK_FAILURES, BlockOperation } from '../../src/blocks/protocol.ts';
import { TransferBuffers } from '../../src/blocks/transfer-buffers.ts';
import { FsError } from '../../src/errno.ts';
import type { BlockIndex } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { clusterFailure } from '../../src/meta/cluster-protocol.ts';
import { META_FAILURES } from '../../src/meta/protocol.ts';
import type { Codec } from '../../src/net/codec.ts';
import { ProtocolError } from '../../src/net/errors.ts';
import { type ClientConnection, type Outcome, row } from '../../src/net/handler.ts';
import { decodeArgs, encodeFrame } from '../../src/net/message.ts';
import { HEADER_BYTES } from '../../src/net/frame.ts';
import type { AnyOperation, FailureCodec } from '../../src/net/operation.ts';
import type { Peer } from '../../src/net/peer.ts';
import { datasetOf, MIB } from '../support/block-datasets.ts';
import { liesAbout, sampleOf } from '../support/malformed.ts';
import { ALL_OPERATIONS } from '../support/operations.ts';
import { makeHello, SECRET, startPeer, startServer } from '../support/rpc.ts';

/** Carries whatever it is given. */
const anything: Codec<unknown> = { encode: (value) => value, decode: (raw) => raw };

const FAILURES = [...BLOCK_FAILURES, ...META_FAILURES, clusterFailure];
/** No error numbers, and statuses of nobody. */
const UNKNOWN_STATUSES = [512, 4095, 4111, 4999, 2 ** 32 - 1];
/** How many calls are under way at once. */
const BATCH = 500;

const SERVED = ALL_OPERATIONS.filter(({ name }) => name !== 'ping');

/** Thrown by a handler: the reply has this status, and what arguments come to mind. */
class Said extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

const SAYABLE: readonly FailureCodec[] = [
  ...UNKNOWN_STATUSES,
  4096,
  ...FAILURES.map(({ status }) => status),
].map((status) => ({
  status,
  matches: (error) => error instanceof Said && error.status === status,
  encode: () => [['nothing', 'that'], 'belongs', 'here'],
  decode: () => new Error('never decoded here'),
}));

interface Nonsense {
  readonly peer: Peer;
  /** All connections that were ever made. */
  readonly clients: ReadonlySet<ClientConnection>;
  /** What the server answers next, to whatever it is asked. */
  say: () => Outcome<unknown>;
}

/** A server of all operations that says what it is told to, and a client of it. */
async function startNonsense(t: ExecutionContext): Promise<Nonsense> {
  const clients = new Set<ClientConnection>();
  const { address } = await startServer(t, {
    operations: SERVED.map((operation) =>
      row({ ...operation, request: anything, reply: anything }, (_request, { client }) => {
        clients.add(client);
        return nonsense.say();
      }),
    ),
    failures: SAYABLE,
  });
  const peer = startPeer(t, address, { failures: FAILURES });
  const nonsense: Nonsense = { peer, clients, say: () => ({ value: null }) };
  return nonsense;
}

/** Asks an operation, whatever there is to be asked. */
function ask({ peer }: Nonsense, operation: AnyOperation): Promise<unknown> {
  return peer.call({ ...operation, request: anything }, null);
}

function afterTheWire(raw: unknown): unknown {
  const header = { kind: 2, operation: 1, requestId: 1, status: 0 };
  return decodeArgs(encodeFrame(header, raw).subarray(HEADER_BYTES));
}

function isAccepted({ reply }: AnyOperation, raw: unknown): boolean {
  try {
    reply.decode(afterTheWire(raw));
    return true;
  } catch {
    return false;
  }
}

test('a malformed reply fails its own request, and the connection goes on', async (t) => {
  const nonsense = await startNonsense(t);
  for (const operation of SERVED) {
    const lies = [...liesAbout(sampleOf(operation.reply))];
    for (let from = 0; from < lies.length; from += BATCH) {
      const batch = lies.slice(from, from + BATCH);
      const answers = batch.map(({ raw }) => raw);
      nonsense.say = () => ({ value: answers.shift() });
      const outcomes = await Promise.allSettled(batch.map(() => ask(nonsense, operation)));
      for (const [index, outcome] of outcomes.entries()) {
        const { what, raw } = batch[index] ?? { what: '', raw: undefined };
        const expected = isAccepted(operation, raw);
        if (outcome.status === 'fulfilled' ? expected : outcome.reason instanceof ProtocolError) {
          continue;
        }
        t.fail(`${operation.name}: a reply that ${what} is ${outcome.status}`);
      }
    }
  }
  t.is(nonsense.clients.size, 1, 'there was one connection, and it lasted');
});

test('a reply with a payload that nobody asked for is answered by its arguments', async (t) => {
  const nonsense = await startNonsense(t);
  for (const operation of SERVED) {
    const value = sampleOf(operation.reply);
    nonsense.say = () => ({ value, payload: [Buffer.alloc(100_000, 'payload')] });
    await t.notThrowsAsync(ask(nonsense, operation), operation.name);
  }
  t.is(nonsense.clients.size, 1);
});

test('a reply of unknown status is EIO or malformed, and the connection goes on', async (t) => {
  const nonsense = await startNonsense(t);
  for (const operation of SERVED) {
    for (const { status } of SAYABLE) {
      nonsense.say = () => {
        throw new Said(status);
      };
      const error = await t.throwsAsync(ask(nonsense, operation));
      const isKnown = error instanceof FsError && error.code === 'EIO';
      t.true(error instanceof ProtocolError || isKnown, `${operation.name}, status ${status}`);
    }
  }
  t.is(nonsense.clients.size, 1);
});

test('a server that claims not to have an operation makes it fail, not be forgotten', async (t) => {
  // The kernel asks no more for what a file system has answered ENOSYS to: opens, for one, would all succeed from then on.
  const nonsense = await startNonsense(t);
  nonsense.say = () => {
    throw new FsError('ENOSYS');
  };
  for (const operation of SERVED) {
    await t.throwsAsync(ask(nonsense, operation), { instanceOf: FsError, code: 'EIO' });
  }
});

test('a block server that answers fewer questions than it was asked fails them all', async (t) => {
  const [file, other] = [datasetOf(1), datasetOf(2)];
  for (const { name, value } of [
    { name: 'none', value: [] },
    { name: 'too many', value: [[null, null], [null, null], [null, null]] }, // prettier-ignore
  ]) {
    const { address } = await startServer(t, {
      operations: [BlockOperation.readInners, BlockOperation.locate].map((operation) =>
        row({ ...operation, request: anything, reply: anything }, () => ({ value })),
      ),
    });
    const store = new RemoteBlockStore({
      ...{ address, hello: makeHello(), secret: SECRET, logger: silentLogger },
      buffers: new TransferBuffers(MIB),
    });
    t.teardown(() => store.close());
    const failed = { instanceOf: FsError, code: 'EIO' };
    await t.throwsAsync(store.readInner(file), failed, name);
    await t.throwsAsync(store.readInners([file, other]), failed, name);
    await t.throwsAsync(store.locate(file, [1, 2] as BlockIndex[]), failed, name);
  }
});
