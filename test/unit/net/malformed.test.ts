/** What every operation's codecs make of messages that are not what they should be. */
import test from 'ava';
import { BLOCK_FAILURES } from '../../../src/blocks/protocol.ts';
import { clusterFailure } from '../../../src/meta/cluster-protocol.ts';
import { META_FAILURES } from '../../../src/meta/protocol.ts';
import type { Codec } from '../../../src/net/codec.ts';
import { ProtocolError } from '../../../src/net/errors.ts';
import { decodeFailure } from '../../../src/net/failure.ts';
import { OPERATION_CODES } from '../../../src/net/operation.ts';
import { liesAbout, sampleOf } from '../../support/malformed.ts';
import { ALL_OPERATIONS } from '../../support/operations.ts';

/** Lies that are refused; throws what is thrown instead of ProtocolError. */
function refusedOf(codec: Codec<unknown>): number {
  let refused = 0;
  for (const { what, raw } of liesAbout(sampleOf(codec))) {
    try {
      codec.decode(raw);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw new Error(what, { cause: error });
      refused++;
    }
  }
  return refused;
}

test('the operations of all services are there, each with a code of its own', (t) => {
  const codes = ALL_OPERATIONS.map(({ code }) => code);
  t.is(new Set(codes).size, codes.length);
  for (const [first, last] of Object.values(OPERATION_CODES)) {
    t.true(codes.some((code) => code >= first && code <= last));
  }
});

test('a reply of any operation that is not what it should be is refused as that', (t) => {
  for (const { name, reply } of ALL_OPERATIONS) t.true(refusedOf(reply) > 0, name);
});

test('a request of any operation that is not what it should be is refused as that', (t) => {
  for (const { name, request } of ALL_OPERATIONS) t.true(refusedOf(request) > 0, name);
});

test('a failure that is not what its status says arrives as a failure all the same', (t) => {
  const failures = [...BLOCK_FAILURES, ...META_FAILURES, clusterFailure];
  const statuses = [1, 5, 38, 512, 4095, 4096, 4111, 2 ** 32 - 1];
  for (const status of [...statuses, ...failures.map((codec) => codec.status)]) {
    for (const { raw } of liesAbout([[0, 'text'], Buffer.from('bytes')])) {
      t.true(decodeFailure(status, raw, failures) instanceof Error);
    }
  }
});
