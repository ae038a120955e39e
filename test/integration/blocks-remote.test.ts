/** The suite of all block stores, on servers behind loopback sockets. */
import { StripedBlockStore } from '../../src/blocks/striped-store.ts';
import { makeLocator } from '../support/block-datasets.ts';
import { declareBlockSuite, type OpenStore } from '../support/block-suite.ts';
import { connectTo, startBlockServer, type TestServerOptions } from '../support/block-servers.ts';

async function openRemote(options: TestServerOptions): Promise<OpenStore> {
  const server = await startBlockServer(options);
  const store = connectTo(server.address);
  return {
    store,
    close: async () => {
      await store.close();
      await server.close();
    },
  };
}

async function openStriped(count: number, options: TestServerOptions): Promise<OpenStore> {
  const servers = await Promise.all(Array.from({ length: count }, () => startBlockServer(options)));
  const members = servers.map(({ address }) => connectTo(address));
  return {
    store: new StripedBlockStore({ members, locator: makeLocator() }),
    close: async () => {
      await Promise.all(members.map((member) => member.close()));
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

declareBlockSuite('a server', (options) => openRemote(options));
declareBlockSuite('a server of three threads', (options) =>
  openRemote({ ...options, threads: 3, capacityBytes: 3 * options.capacityBytes }),
);
declareBlockSuite('three servers', (options) => openStriped(3, options));
