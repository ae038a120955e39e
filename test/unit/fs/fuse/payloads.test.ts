import test from 'ava';
import type { BlockLease } from '../../../../src/blocks/store.ts';
import { MAX_WRITE_BYTES } from '../../../../src/fs/fuse/negotiate.ts';
import { BlockPayloads, ScratchPayloads } from '../../../../src/fs/fuse/payloads.ts';
import { connection, descriptorOf, readFrom, startPipes } from '../../../support/pipes.ts';

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

test('scratch memory of which a socket has pages is not changed by its next user', async (t) => {
  const payloads = new ScratchPayloads(startPipes(t));
  const lease = payloads.lease();
  const { sender, receiver } = await connection(t);
  lease.bytes.fill(7);
  const to = { borrower: sender, socket: descriptorOf(sender) };
  const taken = lease.pages?.sendTo(to, Buffer.from('frame'), 8192) ?? 0;
  t.is(taken, 5 + 8192);
  lease.release();
  const next = payloads.lease();
  t.is(next.bytes, lease.bytes, 'memory is used again');
  next.bytes.fill(8);
  const received = await readFrom(receiver, taken);
  t.true(received.subarray(5).equals(Buffer.alloc(8192, 7)));
});

test('scratch memory whose pages have been returned is used again as it is', async (t) => {
  const payloads = new ScratchPayloads(startPipes(t));
  const lease = payloads.lease();
  const { sender } = await connection(t);
  lease.bytes.fill(7);
  lease.pages?.sendTo({ borrower: sender, socket: descriptorOf(sender) }, Buffer.from('f'), 8192);
  lease.pages?.returned(sender);
  lease.release();
  t.is(payloads.lease().bytes[0], 7);
});
