import test from 'ava';
import { BLOCK_FAILURES, BlockOperation, shardOf } from '../../../src/blocks/protocol.ts';
import {
  StaleGenerationError,
  UnconfirmedTruncationError,
  type DataAttributes,
} from '../../../src/blocks/store.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import type { Codec } from '../../../src/net/codec.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import { type AnyOperation, OPERATION_CODES } from '../../../src/net/operation.ts';
import { datasetOf, statFor, viewOf } from '../../support/block-datasets.ts';

const TIME = { seconds: -5, nanoseconds: 999_999_999 };
const ATTRIBUTES: DataAttributes = {
  sizeBytes: Number.MAX_SAFE_INTEGER,
  storedBytes: 3,
  atime: TIME,
  mtime: TIME,
  ctime: TIME,
  dataVersion: 4,
  generation: 5,
  truncatedBytes: 6,
};
const FILE = datasetOf(2 ** 52, { policy: 'LOCAL', mapEpoch: 3, home: 7 });
const SEED = { stat: statFor(FILE), target: Buffer.from([0xff, 0]) };

test('the codes of block operations are unique and in their range', (t) => {
  const codes = Object.values(BlockOperation).map(({ code }) => code);
  t.is(new Set(codes).size, codes.length);
  const [first, last] = OPERATION_CODES.blocks;
  t.true(codes.every((code) => code >= first && code <= last));
  for (const [name, operation] of Object.entries(BlockOperation)) t.is(operation.name, name);
});

test('a request to write travels as the arrays that docs/protocol.md shows', (t) => {
  const request = BlockOperation.writeBlock.request.encode([
    viewOf(FILE, ATTRIBUTES),
    9 as BlockIndex,
    4,
  ]);
  t.deepEqual(request, [
    [2 ** 52, `imss://file${2 ** 52}`, ['LOCAL', 2 ** 20, 1], 3, 7, 5, 6],
    9,
    4,
  ]);
  t.deepEqual(BlockOperation.createInner.reply.encode(ATTRIBUTES), [
    Number.MAX_SAFE_INTEGER,
    3,
    [-5, 999_999_999],
    [-5, 999_999_999],
    [-5, 999_999_999],
    4,
    5,
    6,
  ]);
});

/** Every operation with a request and a reply of it. */
const EXAMPLES: [AnyOperation, unknown, unknown][] = [
  [BlockOperation.createInner, [FILE, SEED], ATTRIBUTES],
  [BlockOperation.readInners, [[FILE, FILE]], [ATTRIBUTES, undefined, new FsError('EIO', 'lost')]],
  [BlockOperation.noteWrite, [FILE, { endBytes: 5, storedDelta: -5 }, undefined], ATTRIBUTES],
  [BlockOperation.noteWrite, [FILE, { endBytes: 5, storedDelta: -5 }, SEED], ATTRIBUTES],
  [BlockOperation.reserveAppend, [FILE, 7, { stat: SEED.stat }], 9],
  [
    BlockOperation.truncate,
    [FILE, { sizeBytes: 1, confirmedGeneration: 2, onlyIfSizeBytes: undefined }, undefined],
    ATTRIBUTES,
  ],
  [BlockOperation.confirmTruncation, [FILE, 3], undefined],
  [BlockOperation.setTimes, [FILE, { atime: TIME }], ATTRIBUTES],
  [BlockOperation.setTimes, [FILE, { mtime: TIME }], ATTRIBUTES],
  [BlockOperation.touchAtime, [FILE, TIME], undefined],
  [BlockOperation.copyStat, [FILE, SEED.stat], undefined],
  [BlockOperation.getXattr, [FILE, Buffer.from('user.a')], Buffer.from([1, 2])],
  [BlockOperation.setXattr, [FILE, Buffer.from('a'), Buffer.alloc(0), 'create'], undefined],
  [BlockOperation.listXattr, [FILE], [Buffer.from('a'), Buffer.from([0xfe])]],
  [BlockOperation.removeXattr, [FILE, Buffer.from('a')], undefined],
  [BlockOperation.readTarget, [FILE], Buffer.from('../x')],
  [BlockOperation.readBlock, [viewOf(FILE), 2 ** 41, 1, 2], undefined],
  [BlockOperation.writeBlock, [viewOf(FILE), 1, 0], { storedDelta: -1 }],
  [BlockOperation.discard, [viewOf(FILE)], { storedDelta: -(2 ** 50) }],
  [BlockOperation.free, [[1, 2 ** 52]], undefined],
  [BlockOperation.locate, [FILE, [1, 2]], [4096, undefined]],
  [BlockOperation.punch, [viewOf(FILE), 5, 2 ** 52, 'freed'], { storedDelta: -7 }],
  [
    BlockOperation.reserve,
    [viewOf(FILE), [{ block: 1, offset: 2, length: 3 }]],
    { storedDelta: 4096, added: [{ block: 1, offset: 0, length: 4096 }] },
  ],
  [
    BlockOperation.unreserve,
    [viewOf(FILE), [{ block: 2 ** 41, offset: 0, length: 4096 }]],
    { storedDelta: -4096 },
  ],
  [
    BlockOperation.map,
    [viewOf(FILE), 3, 64],
    {
      next: 4,
      end: 67,
      whole: Buffer.from([2, 1]),
      parts: [{ block: 5, runs: [0, 5, 4096, 5000] }],
      mayBeLost: false,
    },
  ],
  [
    BlockOperation.map,
    [viewOf(FILE), 3, 64],
    { next: undefined, end: 67, whole: Buffer.alloc(0), parts: [], mayBeLost: true },
  ],
  [
    BlockOperation.copyBlock,
    [[viewOf(FILE), 1, 2], [viewOf(datasetOf(8)), 3, 4], 5],
    { storedDelta: 5 },
  ],
  [BlockOperation.usage, [], { capacityBytes: 2 ** 45, usedBytes: 1, datasets: 2 }],
];

test('requests and replies come back as they were', (t) => {
  const seen = new Set<number>();
  for (const [operation, request, reply] of EXAMPLES) {
    seen.add(operation.code);
    const asked: Codec<unknown> = operation.request;
    const answered: Codec<unknown> = operation.reply;
    t.deepEqual(asked.decode(asked.encode(request)), request, operation.name);
    t.deepEqual(answered.decode(answered.encode(reply)), reply, operation.name);
  }
  t.is(seen.size, Object.keys(BlockOperation).length);
});

test('what no encoder writes is refused', (t) => {
  for (const [operation, request] of EXAMPLES) {
    const codec: Codec<unknown> = operation.request;
    const raw = codec.encode(request) as unknown[];
    for (const wrong of [null, 'x', [...raw, 1], raw.map(() => -0.5), { length: raw.length }]) {
      if (Array.isArray(wrong) && wrong.length === 0) continue;
      t.throws(() => codec.decode(wrong), { instanceOf: ProtocolError });
    }
  }
});

test("block servers' own failures come back as they were", (t) => {
  const examples = [
    new StaleGenerationError('2 is known'),
    new UnconfirmedTruncationError(ATTRIBUTES),
  ];
  for (const error of examples) {
    const [codec, ...others] = BLOCK_FAILURES.filter((one) => one.matches(error));
    t.is(others.length, 0);
    const decoded = codec?.decode(codec.encode(error));
    t.is(decoded?.constructor, error.constructor);
    t.is(decoded?.message, error.message);
  }
  t.false(BLOCK_FAILURES.some((one) => one.matches(new FsError('EIO'))));
});

test('the shard of a block is what docs/protocol.md computes', (t) => {
  const shards = (count: number): number[] =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((block) => shardOf(1 as InodeId, block, count));
  t.deepEqual(shards(1), [0, 0, 0, 0, 0, 0, 0, 0]);
  t.deepEqual(shards(2), [1, 0, 1, 1, 1, 1, 0, 1]);
  t.deepEqual(shards(3), [2, 0, 2, 0, 1, 2, 0, 0]);
  t.is(shardOf((2 ** 40 + 5) as InodeId, 2 ** 41, 1000), 278);
});

test('blocks spread evenly over shards, whatever the policy left on this server', (t) => {
  for (const count of [2, 3, 4, 7, 8]) {
    for (const stride of [1, 2, 3, 4]) {
      const counts = new Array<number>(count).fill(0);
      for (let inode = 1; inode <= 8; inode++) {
        for (let n = 0; n < 1000; n++) {
          const shard = shardOf(inode as InodeId, n * stride, count);
          counts[shard] = (counts[shard] ?? 0) + 1;
        }
      }
      for (const one of counts) t.true(Math.abs(one - 8000 / count) < 0.1 * (8000 / count));
    }
  }
});
