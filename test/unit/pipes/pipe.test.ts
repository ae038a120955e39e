import test from 'ava';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PipeError } from '../../../src/pipes/pipe.ts';
import { makePiped, startPipes, takePipe } from '../../support/pipes.ts';

test('bytes come out of a pipe in the order in which they went in, from memory, a file and another pipe', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(folder, 'from'), 'bc');
  const from = openSync(join(folder, 'from'), 'r');
  const to = openSync(join(folder, 'to'), 'w');
  const pool = startPipes(t);
  const [first, second] = [takePipe(pool), takePipe(pool)];
  t.is(first.write(Buffer.from('a')), 1);
  t.is(first.fillFrom(from, 10), 2);
  t.is(first.fillFrom(from, 10), 0, 'the end of the file');
  second.write(Buffer.from('['));
  first.moveTo(second);
  t.is(first.lengthBytes, 0);
  t.is(second.drainTo(to, 3), 3);
  const rest = Buffer.alloc(1);
  second.read(rest);
  t.is(readFileSync(join(folder, 'to'), 'utf8') + rest.toString(), '[abc');
  for (const pipe of [first, second]) pool.give(pipe);
  for (const fd of [from, to]) closeSync(fd);
});

test('a full pipe takes no more, and an empty one gives nothing, without waiting', (t) => {
  const pool = startPipes(t);
  const [full, empty] = [takePipe(pool), takePipe(pool)];
  t.is(full.write(Buffer.alloc(2 ** 21, 1)), 2 ** 20);
  t.is(full.write(Buffer.from('x')), 0);
  empty.moveTo(full);
  full.moveTo(empty);
  t.is(full.lengthBytes, 0);
  t.is(empty.lengthBytes, 2 ** 20);
  t.throws(() => {
    full.read(Buffer.alloc(1));
  });
  for (const pipe of [full, empty]) pool.give(pipe);
});

test('what was left in a pipe does not come out for its next user', (t) => {
  const pool = startPipes(t);
  const pipe = takePipe(pool);
  pipe.write(Buffer.alloc(100_000, 7));
  pool.give(pipe);
  t.is(takePipe(pool), pipe);
  t.is(pipe.lengthBytes, 0);
  t.is(pipe.write(Buffer.from('new')), 3);
  const out = Buffer.alloc(3);
  pipe.read(out);
  t.is(out.toString(), 'new');
  pool.give(pipe);
});

test('a pipe whose call has failed is not used again', (t) => {
  const pool = startPipes(t);
  const pipe = takePipe(pool);
  pipe.write(Buffer.from('x'));
  const error = t.throws(() => pipe.drainTo(-1), { instanceOf: PipeError });
  t.is(error.message, 'splice: EBADF');
  pool.give(pipe);
  const other = takePipe(pool);
  t.not(other, pipe);
  pool.give(other);
});

test('a pool has so many pipes and no more, and keeps them until it is closed', (t) => {
  const count = () => readdirSync('/proc/self/fd').length;
  const before = count();
  const pool = startPipes(t, 2);
  const [first, second] = [takePipe(pool), takePipe(pool)];
  t.is(count(), before + 4);
  t.is(pool.take(), undefined);
  pool.give(first);
  t.is(count(), before + 4);
  pool.close();
  t.is(count(), before + 2);
  t.is(pool.take(), undefined);
  pool.give(second);
  t.is(count(), before);
});

test('a pool that is told that pipes do not work here gives none any more', (t) => {
  const pool = startPipes(t);
  const pipe = takePipe(pool);
  pool.refuse();
  t.is(pool.take(), undefined);
  pool.give(pipe);
  t.is(pool.take(), undefined);
});

test('a piped payload is copied into memory once, when somebody asks, and gives pipe and memory back', (t) => {
  const pool = startPipes(t);
  const piped = makePiped(pool, 5);
  const { pipe } = piped;
  pipe?.write(Buffer.from('hello'));
  t.is(piped.bytes.toString(), 'hello');
  t.is(piped.pipe, undefined);
  t.is(piped.bytes.buffer, piped.bytes.buffer);
  t.true(takePipe(pool) === pipe, 'the pipe is free');
  if (pipe !== undefined) pool.give(pipe);
  piped.release();
});
