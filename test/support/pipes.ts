/** Pipes for tests, which Linux gives to all who have not hundreds of them. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
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

/** Two ends of a connection; the receiver reads when it is told to. */
export async function connection(
  t: ExecutionContext,
): Promise<{ sender: Socket; receiver: Socket }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const sender = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [receiver] = await accepted;
  t.teardown(() => {
    for (const each of [sender, receiver]) each.destroy();
    server.close();
  });
  return { sender, receiver };
}

export function descriptorOf(socket: Socket): number {
  return (socket as Socket & { readonly _handle: { readonly fd: number } })._handle.fd;
}

export async function readFrom(receiver: Socket, lengthBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  receiver.resume();
  for await (const chunk of receiver as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if (chunks.reduce((sum, { length }) => sum + length, 0) >= lengthBytes) break;
  }
  return Buffer.concat(chunks);
}
