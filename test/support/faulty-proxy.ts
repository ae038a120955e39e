/** A TCP proxy that can be told to stop forwarding, or to cut its connections after some bytes. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Address } from '../../src/net/call.ts';

export interface FaultyProxyOptions {
  /** Bytes after which a new connection is cut, both directions counted; Infinity for never. */
  readonly lifetimeBytes?: () => number;
}

export class FaultyProxy {
  readonly #target: Address;
  readonly #lifetimeBytes: () => number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #server: Server;
  #isHeld = false;
  #cuts = 0;

  private constructor(target: Address, options: FaultyProxyOptions) {
    this.#target = target;
    this.#lifetimeBytes = options.lifetimeBytes ?? ((): number => Infinity);
    this.#server = createServer((client) => {
      this.#forward(client);
    });
  }

  static async start(target: Address, options: FaultyProxyOptions = {}): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target, options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): Address {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** Connections that were cut. */
  get cuts(): number {
    return this.#cuts;
  }

  /** Takes nothing more from the servers until {@link resume}. */
  hold(): void {
    this.#isHeld = true;
    for (const [, server] of this.#pairs) server.pause();
  }

  resume(): void {
    this.#isHeld = false;
    for (const [, server] of this.#pairs) server.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await closed;
  }

  #forward(client: Socket): void {
    const server = connect(this.#target);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    if (this.#isHeld) server.pause();
    let left = this.#lifetimeBytes();
    const pass = (from: Socket, to: Socket): void => {
      from.on('data', (bytes) => {
        const piece = bytes.length <= left ? bytes : bytes.subarray(0, left);
        left -= piece.length;
        if (left > 0) {
          if (!to.write(piece)) from.pause();
          return;
        }
        this.#cuts++;
        to.end(piece); // The half that has passed arrives, then nothing more.
        from.destroy();
      });
      to.on('drain', () => {
        if (!(this.#isHeld && from === server)) from.resume();
      });
      from.on('error', () => from.destroy());
      from.on('close', () => {
        to.end();
        this.#pairs.delete(pair);
      });
    };
    pass(client, server);
    pass(server, client);
  }
}
