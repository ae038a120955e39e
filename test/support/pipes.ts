/** Pipes for tests, which Linux gives to all who have not hundreds of them. */
import type { ExecutionContext } from 'ava';
import { type Pipe, PipePool } from '../../src/pipes/pipe.ts';
import { PipedBytes } from '../../src/pipes/piped-bytes.ts';

/** A pool that is closed behind the test. */
export function startPipes(t: ExecutionContext, most = 4): PipePool {
  const pool = new PipePool(most);
  t.teardown(() => {
    pool.close();
  });
  return pool;
}

export function takePipe(pool: PipePool): Pipe {
  const pipe = pool.take();
  if (pipe === undefined) throw new Error('the system gives no pipe');
  return pipe;
}

/** A payload that is to be filled, and whose memory is made when it is needed. */
export function makePiped(pool: PipePool, lengthBytes: number): PipedBytes {
  const makeRoom = () => ({ bytes: Buffer.alloc(lengthBytes), release: () => undefined });
  return new PipedBytes({ pool, pipe: takePipe(pool), lengthBytes, makeRoom });
}
