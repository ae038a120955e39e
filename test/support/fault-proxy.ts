/** A TCP proxy that delays, splits, cuts and damages what passes, as a seed says. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Address } from '../../src/net/call.ts';

export interface ProxyFaults {
  readonly random: () => number;
  /** Ends connections after about so many bytes. */
  readonly cutEvery?: number;
  /** Flips a bit after about so many bytes. */
  readonly corruptEvery?: number;
}

export interface FaultProxy {
  readonly address: Address;
  readonly cuts: number;
  /** Nothing passes, in connections present and to come. */
  hold(): void;
  release(): void;
  /** What clients send passes again. */
  releaseUpstream(): void;
}

/** Closed after the test. */
export async function startProxy(
  t: ExecutionContext,
  target: Address,
  faults: ProxyFaults,
): Promise<FaultProxy> {
  const { random } = faults;
  const sockets = new Set<Socket>();
  const upstream = new Set<Socket>();
  let held = false;
  let cuts = 0;
  const within = (every: number | undefined): number =>
    every === undefined ? Infinity : Math.ceil(random() * 2 * every);

  function track(socket: Socket, other: () => Socket): void {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      upstream.delete(socket);
      other().destroy();
    });
  }

  function pipe(from: Socket, to: Socket): void {
    let untilCut = within(faults.cutEvery);
    let untilFlip = within(faults.corruptEvery);
    from.on('data', (chunk: Buffer) => {
      from.pause();
      const pieces: Buffer[] = [];
      for (let rest = chunk; rest.length > 0;) {
        const length = random() < 0.2 ? Math.ceil(random() * 50) : rest.length;
        pieces.push(rest.subarray(0, length));
        rest = rest.subarray(length);
        if (pieces.length > 20) {
          pieces.push(rest);
          break;
        }
      }
      const forward = (): void => {
        const piece = pieces.shift();
        if (piece === undefined) {
          if (!held) from.resume();
          return;
        }
        if (untilFlip <= piece.length) {
          const at = Math.min(piece.length - 1, untilFlip - 1);
          piece.writeUInt8(piece.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
          untilFlip = within(faults.corruptEvery);
        } else {
          untilFlip -= piece.length;
        }
        if (untilCut <= piece.length) {
          cuts++;
          to.write(piece.subarray(0, untilCut), () => {
            from.destroy();
            to.destroy();
          });
          return;
        }
        untilCut -= piece.length;
        to.write(piece, () => {
          if (random() < 0.05) setTimeout(forward, Math.ceil(random() * 3));
          else forward();
        });
      };
      forward();
    });
    if (held) from.pause();
  }

  const server = createServer((client) => {
    const remote = connect(target);
    upstream.add(client);
    track(client, () => remote);
    track(remote, () => client);
    pipe(client, remote);
    pipe(remote, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    get cuts() {
      return cuts;
    },
    hold: () => {
      held = true;
      for (const socket of sockets) socket.pause();
    },
    release: () => {
      held = false;
      for (const socket of sockets) socket.resume();
    },
    releaseUpstream: () => {
      for (const socket of upstream) socket.resume();
    },
  };
}
