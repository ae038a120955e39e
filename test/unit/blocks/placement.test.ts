import test from 'ava';
import fc from 'fast-check';
import {
  bucketOf,
  crc16,
  crc64,
  homeOf,
  multiplicativeHash,
  placeOf,
  placeOfStranger,
} from '../../../src/blocks/placement.ts';
import type { InodeId } from '../../../src/ids.ts';
import type { Dataset } from '../../../src/layout.ts';
import { POLICIES, type PolicyName } from '../../../src/policy.ts';

function dataset(policy: PolicyName, uri = 'imss://a', home = 0): Dataset {
  const layout = { policy, blockSizeBytes: 4096, replication: 1 };
  return { inode: 7 as InodeId, uri, layout, mapEpoch: 1, home };
}

function places(policy: PolicyName, servers: number, blocks: readonly number[]): unknown[] {
  return blocks.map((block) => placeOf(dataset(policy), block, servers));
}

test('the checksums give the check values of their published definitions', (t) => {
  // The catalogue of parametrised CRC algorithms gives these for the text 123456789 under CRC-16/XMODEM and
  // CRC-64/REDIS; Redis Cluster's specification gives the first, too.
  t.is(crc16('123456789'), 0x31c3);
  t.deepEqual(crc64('123456789'), { high: 0xe9c6d914, low: 0xc4b8d9ca });
  t.is(crc16(''), 0);
  t.deepEqual(crc64(''), { high: 0, low: 0 });
});

test('CRC-16 of one letter is what division by hand leaves', (t) => {
  // 'a' is 0x61 = 0110 0001; as the register's high byte 0x6100. Eight shifts, xor 0x1021 after each that loses a 1:
  // c200, 8400 ^ 1021 = 9421, 2842 ^ 1021 = 3863, 70c6, e18c, c318 ^ 1021 = d339, a672 ^ 1021 = b653,
  // 6ca6 ^ 1021 = 7c87.
  t.is(crc16('a'), 0x7c87);
});

test('HASH follows its recurrence in 32-bit arithmetic', (t) => {
  // 'a' = 97: 0 * 63689 + 97 = 97. The factor becomes 63689 * 378551 = 24109534639, less 5 * 2^32: 2634698159.
  // 'b' = 98: 97 * 2634698159 + 98 = 255565721521, less 59 * 2^32: 2162651057.
  t.is(multiplicativeHash('a'), 97);
  t.is(multiplicativeHash('ab'), 2_162_651_057);
});

test('RR begins where the name says and goes on by one', (t) => {
  // crc16("imss://a") = 0x7163 = 29027. 29027 = 9675 * 3 + 2 and = 5805 * 5 + 2.
  t.deepEqual(places('RR', 3, [0, 1, 2, 3, 17]), [2, 0, 1, 2, 1]);
  t.deepEqual(places('RR', 5, [0, 1, 2, 3, 17]), [2, 3, 4, 0, 4]);
});

test('BUCKETS cuts a number of blocks that is known into one run per server', (t) => {
  // 10 blocks on 4 servers: 10 mod 4 = 2 longer runs of floor(10 / 4) + 1 = 3 blocks, then two of 2. First server 1.
  const shape = { first: 1, bucketBlocks: 10, servers: 4 };
  const runs = Array.from({ length: 10 }, (_, block) => bucketOf(block, shape));
  t.deepEqual(runs, [1, 1, 1, 2, 2, 2, 3, 3, 0, 0]);
  // 8 blocks on 4 servers: no longer run, 4 of 2.
  const even = Array.from({ length: 8 }, (_, b) => bucketOf(b, { ...shape, bucketBlocks: 8 }));
  t.deepEqual(even, [1, 1, 2, 2, 3, 3, 0, 0]);
  t.is(bucketOf(10, shape), 1, 'behind the last run, the first begins again');
  t.is(bucketOf(19, shape), 0);
});

test('BUCKETS of a file that grows has runs of one block', (t) => {
  // 29027 mod 5 = 2, B = n = 5: 5 mod 5 = 0 longer runs, floor(b / 1) + 0 + 2.
  t.deepEqual(places('BUCKETS', 5, [0, 1, 2, 3, 4, 5, 17]), [2, 3, 4, 0, 1, 2, 4]);
});

test('HASH, CRC16 and CRC64 hash the name and the block number', (t) => {
  // HASH: imss://a$0 2628868835, $1 2628868836, $2 2628868837, $17 2922757499; digit sums 56, 57, 58, 56.
  t.deepEqual(places('HASH', 3, [0, 1, 2, 17]), [2, 0, 1, 2]);
  t.deepEqual(places('HASH', 5, [0, 1, 2, 17]), [0, 1, 2, 4]);
  // CRC16: 0x9bdc = 39900, 0x8bfd = 35837, 0xbb9e = 48030, 0x9b57 = 39767; digit sums 21, 26, 15, 32.
  t.deepEqual(places('CRC16', 3, [0, 1, 2, 17]), [0, 2, 0, 2]);
  t.deepEqual(places('CRC16', 5, [0, 1, 2, 17]), [0, 2, 0, 2]);
  // CRC64: 14155751998831592523, 13739116566783954226, 3585908607491315385, 13429239987477342331 in decimal; the
  // last digit gives the remainder by 5, the digit sums 90, 97, 93, 100 that by 3.
  t.deepEqual(places('CRC64', 5, [0, 1, 2, 17]), [3, 1, 0, 1]);
  t.deepEqual(places('CRC64', 3, [0, 1, 2, 17]), [0, 1, 0, 1]);
});

test("LOCAL keeps block 0 on its home and leaves the rest to the dataset's metadata", (t) => {
  t.is(placeOf(dataset('LOCAL', 'imss://a', 2), 0, 4), 2);
  t.is(homeOf(dataset('LOCAL', 'imss://a', 2), 4), 2);
  t.is(placeOf(dataset('LOCAL', 'imss://a', 2), 1, 4), undefined);
  t.is(placeOfStranger(dataset('LOCAL', 'imss://a', 2), 1, 3), 0);
});

test('every policy names a server that exists, and spreads blocks over all', (t) => {
  const policies = fc.constantFrom(...POLICIES.filter((policy) => policy !== 'LOCAL'));
  fc.assert(
    fc.property(policies, fc.webPath(), fc.integer({ min: 1, max: 9 }), (policy, path, servers) => {
      const one = dataset(policy, `imss:/${path}`);
      const seen = new Set<number>();
      for (let block = 0; block < 60 * servers; block++)
        seen.add(placeOf(one, block, servers) ?? -1);
      const all = Array.from({ length: servers }, (_, server) => server);
      t.deepEqual(
        [...seen].sort((a, b) => a - b),
        all,
      );
      t.is(placeOf(one, 0, servers), homeOf(one, servers));
    }),
  );
});
