import test, { type ExecutionContext } from 'ava';
import { readFileSync } from 'node:fs';
import { LendablePages } from '../../../src/pipes/lendable-pages.ts';
import { connection, descriptorOf, readFrom, startPipes, takePipe } from '../../support/pipes.ts';

const MIB = 1024 * 1024;
const FRAME = Buffer.from('frame ');

function allocate(t: ExecutionContext): LendablePages {
  const pages = LendablePages.allocate(startPipes(t), MIB);
  if (pages === undefined) throw new Error('the system gives no pipe');
  return pages;
}

test('a frame and pages arrive as they were, as far as the socket had room', async (t) => {
  const { sender, receiver } = await connection(t);
  const pages = allocate(t);
  for (let at = 0; at < MIB; at++) pages.bytes[at] = at % 251;
  const to = { borrower: sender, socket: descriptorOf(sender) };
  const taken = pages.sendTo(to, FRAME, MIB) ?? 0;
  t.true(taken > FRAME.length);
  const received = await readFrom(receiver, taken);
  t.true(received.equals(Buffer.concat([FRAME, pages.bytes]).subarray(0, taken)));
});

test('pages that are lent are sent by reference, and never change for their borrower once they are reclaimed', async (t) => {
  const { sender, receiver } = await connection(t);
  const pages = allocate(t);
  const lengthBytes = 32_768;
  const to = { borrower: sender, socket: descriptorOf(sender) };
  pages.bytes.fill(1);
  t.is(pages.sendTo(to, FRAME, lengthBytes), FRAME.length + lengthBytes);
  // Not yet reclaimed: whoever broke the contract would see it broken.
  pages.bytes.fill(2);
  pages.reclaim();
  pages.bytes.fill(3);
  const received = await readFrom(receiver, FRAME.length + lengthBytes);
  const bytes = received.subarray(FRAME.length);
  const copied = bytes.indexOf(2);
  t.true(copied < 4096, 'at most the first page was copied');
  t.true(bytes.equals(Buffer.alloc(lengthBytes, 2).fill(1, 0, copied)));
});

test('the pages of 1 MiB fit a pipe at once', async (t) => {
  if (!/^KernelPageSize: +4 kB$/m.test(readFileSync('/proc/self/smaps', 'utf8'))) {
    t.pass('of larger pages a pipe has fewer, and the rest goes in a second piece');
    return;
  }
  const { sender } = await connection(t);
  const pool = startPipes(t);
  const pages = LendablePages.allocate(pool, MIB);
  const pipe = takePipe(pool);
  const refer = pipe.refer.bind(pipe);
  let referred = 0;
  pipe.refer = (vector) => {
    referred = refer(vector);
    return referred;
  };
  pool.give(pipe);
  pages?.sendTo({ borrower: sender, socket: descriptorOf(sender) }, FRAME, MIB);
  t.true(referred > MIB - 4096, String(referred));
});

test('less than a page is not sent by reference', async (t) => {
  const { sender } = await connection(t);
  const to = { borrower: sender, socket: descriptorOf(sender) };
  t.is(allocate(t).sendTo(to, FRAME, 3000), undefined);
});

test('pages that nobody has, or that have been returned, stay what they are', async (t) => {
  const { sender } = await connection(t);
  const pages = allocate(t);
  pages.bytes.fill(4);
  t.true(pages.reclaim());
  t.is(pages.bytes[MIB - 1], 4);
  pages.sendTo({ borrower: sender, socket: descriptorOf(sender) }, FRAME, MIB);
  pages.returned(sender);
  t.true(pages.reclaim());
  t.is(pages.bytes[0], 4);
});

test('an answer over one connection does not return what another has', async (t) => {
  const [one, other] = [await connection(t), await connection(t)];
  const pages = allocate(t);
  pages.bytes.fill(5);
  for (const { sender } of [one, other]) {
    pages.sendTo({ borrower: sender, socket: descriptorOf(sender) }, FRAME, 4096);
  }
  pages.returned(other.sender);
  pages.reclaim();
  pages.bytes.fill(6);
  const received = await readFrom(one.receiver, FRAME.length + 4096);
  t.is(received.at(-1), 5);
  pages.sendTo({ borrower: one.sender, socket: descriptorOf(one.sender) }, FRAME, 4096);
  pages.returned(one.sender);
  pages.reclaim();
  t.is(pages.bytes[0], 6, 'all were returned: nothing was given up');
});

test('a socket without room takes nothing, and one with some room as much as it says', async (t) => {
  const { sender, receiver } = await connection(t);
  const pages = allocate(t);
  const to = { borrower: sender, socket: descriptorOf(sender) };
  for (let at = 0; at < MIB; at++) pages.bytes[at] = at % 251;
  const message = Buffer.concat([FRAME, pages.bytes]);
  const taken: number[] = [];
  while (taken.at(-1) !== 0) taken.push(pages.sendTo(to, FRAME, MIB) ?? 0);
  t.true(taken.length > 1, 'an empty socket has room');
  const expected = Buffer.concat(taken.map((count) => message.subarray(0, count)));
  t.true((await readFrom(receiver, expected.length)).equals(expected));
});
