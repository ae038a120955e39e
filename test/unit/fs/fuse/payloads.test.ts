import test from 'ava';
import type { BlockLease } from '../../../../src/blocks/store.ts';
import { MAX_WRITE_BYTES } from '../../../../src/fs/fuse/negotiate.ts';
import { BlockPayloads } from '../../../../src/fs/fuse/payloads.ts';

test('requests are received in a spare while the store has no memory for a block', (t) => {
  const block: BlockLease = {
    bytes: Buffer.alloc(MAX_WRITE_BYTES),
    adopted: false,
    release: () => undefined,
  };
  let available: BlockLease | undefined = block;
  const payloads = new BlockPayloads(() => available);
  t.is(payloads.lease(), block);
  available = undefined;
  const spare = payloads.lease();
  t.is(spare.bytes.length, MAX_WRITE_BYTES);
  t.false(spare.adopted);
  spare.release();
  t.is(payloads.lease().bytes, spare.bytes);
  available = block;
  t.is(payloads.lease(), block);
});
