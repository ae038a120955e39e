/**
 * Which of the file system's servers keeps a block: what placement says, and for blocks of LOCAL datasets what the metadata
 * store says, remembered.
 */
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { Dataset } from '../layout.ts';
import { type MaybePromise, type Task, wait } from '../task.ts';
import { BlockLocations } from './block-locations.ts';
import { placeOf, placeOfStranger } from './placement.ts';
import type { BlockExtent } from './store.ts';

/** EIO for a place that only a damaged record or answer can name. */
export function noMember({ inode }: Dataset, server: number | undefined): FsError {
  const told = `a block of inode ${inode} is said to be on server ${server ?? 'none'}`;
  return new FsError('EIO', told);
}

/** Who knows the servers of LOCAL datasets' blocks: the metadata store, wired by `cli`. */
export interface BlockLocator {
  /** The server of each block: `server` for those that had none until now. */
  claim(inode: InodeId, blocks: readonly BlockIndex[], server: number): MaybePromise<number[]>;
  /** The server of each block; undefined for one that was never written. */
  locate(inode: InodeId, blocks: readonly BlockIndex[]): MaybePromise<(number | undefined)[]>;
}

export interface BlockServersOptions {
  /** How many there are. */
  readonly servers: number;
  readonly locator: BlockLocator;
  /** Number of the block server on this node, to which LOCAL data goes. */
  readonly ownServer?: number | undefined;
}

export class BlockServers {
  readonly #servers: number;
  readonly #locator: BlockLocator;
  readonly #ownServer: number | undefined;
  readonly #locations = new BlockLocations();

  constructor({ servers, locator, ownServer }: BlockServersOptions) {
    invariant(servers > 0, 'there is a block server');
    invariant(ownServer === undefined || ownServer < servers, 'the own server is a member');
    this.#servers = servers;
    this.#locator = locator;
    this.#ownServer = ownServer;
  }

  /** The block's server, if no one has to be asked for it. */
  known(dataset: Dataset, block: BlockIndex): number | undefined {
    return placeOf(dataset, block, this.#servers) ?? this.#locations.find(dataset.inode, block);
  }

  /** As {@link known}, or as the metadata store says; undefined for a block that was never written. */
  *located(dataset: Dataset, block: BlockIndex): Task<number | undefined> {
    const known = this.known(dataset, block);
    if (known !== undefined) return known;
    const [server] = yield* wait(this.#locator.locate(dataset.inode, [block]));
    if (server !== undefined) this.#learn(dataset, block, server);
    return server;
  }

  /** As {@link located} for many, without remembering. */
  *locatedAll(dataset: Dataset, blocks: readonly BlockIndex[]): Task<(number | undefined)[]> {
    const places = blocks.map((block) => placeOf(dataset, block, this.#servers));
    const claimed = blocks.filter((_, at) => places[at] === undefined);
    if (claimed.length === 0) return places;
    const found = yield* wait(this.#locator.locate(dataset.inode, claimed));
    return places.map((place, at) => place ?? found[claimed.indexOf(blocks[at] as BlockIndex)]);
  }

  /**
   * The server of a block that is to be written. The claim comes first: data is never on a server that others do not know
   * of.
   */
  *claimed(dataset: Dataset, block: BlockIndex): Task<number> {
    const server = (yield* this.claimedAll(dataset, [block])).get(block);
    invariant(server !== undefined, 'a claimed block has a server');
    return server;
  }

  /** As {@link claimed} for many. */
  *claimedAll(dataset: Dataset, blocks: Iterable<BlockIndex>): Task<Map<BlockIndex, number>> {
    const found = new Map<BlockIndex, number>();
    const wanted = new Map<number, BlockIndex[]>();
    for (const block of blocks) {
      const known = this.known(dataset, block);
      if (known !== undefined) {
        found.set(block, known);
        continue;
      }
      const server = this.#ownServer ?? placeOfStranger(dataset, block, this.#servers);
      const group = wanted.get(server);
      if (group === undefined) wanted.set(server, [block]);
      else group.push(block);
    }
    for (const [server, group] of wanted) {
      const servers = yield* wait(this.#locator.claim(dataset.inode, group, server));
      for (const [at, block] of group.entries()) {
        found.set(block, this.#learn(dataset, block, servers[at]));
      }
    }
    return found;
  }

  /** Parts of blocks that are to be written, by server. */
  *claimedExtents(
    dataset: Dataset,
    extents: readonly BlockExtent[],
  ): Task<(readonly [number, BlockExtent[]])[]> {
    const blocks = new Set(extents.map(({ block }) => block));
    const servers = yield* this.claimedAll(dataset, blocks);
    const groups = new Map<number, BlockExtent[]>();
    for (const extent of extents) {
      const server = servers.get(extent.block) ?? 0;
      const group = groups.get(server);
      if (group === undefined) groups.set(server, [extent]);
      else group.push(extent);
    }
    return [...groups];
  }

  /** The dataset is freed. */
  forget(inode: InodeId): void {
    this.#locations.forget(inode);
  }

  #learn(dataset: Dataset, block: BlockIndex, server: number | undefined): number {
    if (server === undefined || server >= this.#servers) throw noMember(dataset, server);
    this.#locations.learn(dataset.inode, block, server);
    return server;
  }
}
