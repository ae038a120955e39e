/**
 * All block servers of the file system as one block store: each request goes to the server that placement names.
 * What concerns a whole dataset goes to all servers at once, and has happened only when all have confirmed.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import { invariant } from '../invariant.ts';
import type { Dataset } from '../layout.ts';
import type { Stat } from '../stat.ts';
import { type MaybePromise, type Task, isPromiseLike, runTask, wait } from '../task.ts';
import { mergeMaps } from './block-map.ts';
import { type BlockLocator, BlockServers, noMember } from './block-servers.ts';
import { homeOf } from './placement.ts';
import { reserveAll } from './reservations.ts';
import type {
  BlockData,
  BlockExtent,
  BlockLocation,
  BlockMap,
  BlockPosition,
  BlockStore,
  BlockUsage,
  DataAttributes,
  DatasetView,
  InnerSeed,
  Payload,
  ReadRange,
  Reserved,
  RoomUse,
  Truncation,
  XattrMode,
} from './store.ts';
import { StoredDeltas } from './stored-deltas.ts';
import { pushZeros } from './zeros.ts';

export interface StripedBlockStoreOptions {
  /** One store per block server; the index is the server's number. */
  members: readonly BlockStore[];
  locator: BlockLocator;
  /** Number of the block server on this node, to which LOCAL data goes. */
  ownServer?: number | undefined;
}

type InnerAnswer = DataAttributes | FsError | undefined;

/** What `ask` returned or threw. */
function attempt<T>(ask: () => MaybePromise<T>): MaybePromise<T> {
  try {
    return ask();
  } catch (error) {
    const failure = error as Error;
    return Promise.reject(failure);
  }
}

/** See {@link BlockStore} for what each method does. */
export class StripedBlockStore implements BlockStore {
  readonly #members: readonly BlockStore[];
  readonly #servers: BlockServers;
  readonly #deltas = new StoredDeltas();

  constructor(options: StripedBlockStoreOptions) {
    const { members, ownServer } = options;
    this.#members = members;
    this.#servers = new BlockServers({
      servers: members.length,
      locator: options.locator,
      ownServer,
    });
  }

  createInner(dataset: Dataset, seed: InnerSeed): MaybePromise<DataAttributes> {
    return this.#home(dataset).createInner(dataset, seed);
  }

  readInner(dataset: Dataset): MaybePromise<DataAttributes | undefined> {
    return this.#home(dataset).readInner(dataset);
  }

  readInners(datasets: readonly Dataset[]): MaybePromise<InnerAnswer[]> {
    return runTask(this.#readInners(datasets));
  }

  *#readInners(datasets: readonly Dataset[]): Task<InnerAnswer[]> {
    const result: InnerAnswer[] = Array.from({ length: datasets.length });
    const positions = new Map<number, number[]>();
    for (const [position, dataset] of datasets.entries()) {
      const server = homeOf(dataset, this.#members.length);
      const known = positions.get(server);
      if (server >= this.#members.length) result[position] = noMember(dataset, server);
      else if (known === undefined) positions.set(server, [position]);
      else known.push(position);
    }
    const groups = [...positions];
    const answers = yield* this.#all(groups, ([server, group]) => {
      const wanted = group.map((position) => datasets[position] as Dataset);
      return this.#innersOf(this.#member(server), wanted);
    });
    for (const [index, [, group]] of groups.entries()) {
      for (const [at, position] of group.entries()) result[position] = answers[index]?.[at];
    }
    return result;
  }

  /** A server that cannot answer at all fails each of its datasets, not those of others. */
  #innersOf(member: BlockStore, datasets: readonly Dataset[]): MaybePromise<InnerAnswer[]> {
    const failed = (error: unknown): InnerAnswer[] => {
      if (!(error instanceof FsError)) throw error;
      return datasets.map(() => error);
    };
    try {
      const answer = member.readInners(datasets);
      return isPromiseLike(answer) ? answer.then((inners) => inners, failed) : answer;
    } catch (error) {
      return failed(error);
    }
  }

  noteWrite(
    dataset: Dataset,
    change: { endBytes: number; storedDelta: number },
    seed?: InnerSeed,
  ): MaybePromise<DataAttributes> {
    return this.#home(dataset).noteWrite(dataset, change, seed);
  }

  reserveAppend(
    dataset: Dataset,
    lengthBytes: number,
    seed?: InnerSeed,
  ): MaybePromise<{ offset: number }> {
    return this.#home(dataset).reserveAppend(dataset, lengthBytes, seed);
  }

  truncate(
    dataset: Dataset,
    truncation: Truncation,
    seed?: InnerSeed,
  ): MaybePromise<DataAttributes> {
    return this.#home(dataset).truncate(dataset, truncation, seed);
  }

  confirmTruncation(dataset: Dataset, generation: number): MaybePromise<void> {
    return this.#home(dataset).confirmTruncation(dataset, generation);
  }

  setTimes(
    dataset: Dataset,
    times: { atime?: Timespec; mtime?: Timespec },
  ): MaybePromise<DataAttributes> {
    return this.#home(dataset).setTimes(dataset, times);
  }

  touchAtime(dataset: Dataset, atime: Timespec): MaybePromise<void> {
    return this.#home(dataset).touchAtime(dataset, atime);
  }

  copyStat(dataset: Dataset, stat: Stat): MaybePromise<void> {
    return this.#home(dataset).copyStat(dataset, stat);
  }

  getXattr(dataset: Dataset, name: Buffer): MaybePromise<Buffer> {
    return this.#home(dataset).getXattr(dataset, name);
  }

  setXattr(dataset: Dataset, name: Buffer, value: Buffer, mode: XattrMode): MaybePromise<void> {
    return this.#home(dataset).setXattr(dataset, name, value, mode);
  }

  listXattr(dataset: Dataset): MaybePromise<Buffer[]> {
    return this.#home(dataset).listXattr(dataset);
  }

  removeXattr(dataset: Dataset, name: Buffer): MaybePromise<void> {
    return this.#home(dataset).removeXattr(dataset, name);
  }

  readTarget(dataset: Dataset): MaybePromise<Buffer> {
    return this.#home(dataset).readTarget(dataset);
  }

  readBlock(view: DatasetView, block: BlockIndex, range: ReadRange): MaybePromise<BlockData> {
    const server = this.#servers.known(view, block);
    if (server !== undefined) return this.#member(server).readBlock(view, block, range);
    return runTask(this.#readLocated(view, block, range));
  }

  *#readLocated(view: DatasetView, block: BlockIndex, range: ReadRange): Task<BlockData> {
    const server = yield* this.#servers.located(view, block);
    if (server === undefined) {
      const slices: Buffer[] = [];
      pushZeros(slices, range.length);
      return { slices };
    }
    const data = yield* wait(this.#member(server).readBlock(view, block, range));
    if (data.release !== undefined) return data;
    // The answer comes in a later turn than this, and in that a view of local memory may show something else.
    return { slices: data.slices.map((slice) => Buffer.from(slice)) };
  }

  writeBlock(
    view: DatasetView,
    block: BlockIndex,
    offset: number,
    payload: Payload,
  ): MaybePromise<{ storedDelta: number }> {
    const server = this.#servers.known(view, block);
    if (server !== undefined) return this.#member(server).writeBlock(view, block, offset, payload);
    return runTask(this.#writeClaimed(view, block, { offset, payload }));
  }

  *#writeClaimed(
    view: DatasetView,
    block: BlockIndex,
    { offset, payload }: { offset: number; payload: Payload },
  ): Task<{ storedDelta: number }> {
    const server = yield* this.#servers.claimed(view, block);
    return yield* wait(this.#member(server).writeBlock(view, block, offset, payload));
  }

  punch(
    view: DatasetView,
    range: { offset: number; length: number },
    room: RoomUse,
  ): MaybePromise<{ storedDelta: number }> {
    return runTask(this.#everywhere(view, (member) => member.punch(view, range, room)));
  }

  reserve(view: DatasetView, extents: readonly BlockExtent[]): MaybePromise<Reserved> {
    return runTask(this.#reserve(view, extents));
  }

  *#reserve(view: DatasetView, extents: readonly BlockExtent[]): Task<Reserved> {
    const { inode } = view;
    const groups = yield* this.#servers.claimedExtents(view, extents);
    const { added } = yield* reserveAll(
      groups.map(([server, group]) => ({
        extents: group,
        reserve: (all) => this.#deltas.heard(inode, this.#member(server).reserve(view, all)),
        unreserve: (one) => this.#deltas.heard(inode, this.#member(server).unreserve(view, one)),
      })),
    );
    return { added, ...this.#deltas.take(inode) };
  }

  unreserve(
    view: DatasetView,
    extents: readonly BlockExtent[],
  ): MaybePromise<{ storedDelta: number }> {
    return runTask(this.#unreserve(view, extents));
  }

  *#unreserve(view: DatasetView, extents: readonly BlockExtent[]): Task<{ storedDelta: number }> {
    const groups = yield* this.#servers.claimedExtents(view, extents);
    yield* this.#all(groups, ([server, group]) =>
      this.#deltas.heard(view.inode, this.#member(server).unreserve(view, group)),
    );
    return this.#deltas.take(view.inode);
  }

  map(view: DatasetView, first: BlockIndex, count: number): MaybePromise<BlockMap> {
    return runTask(this.#map(view, first, count));
  }

  *#map(view: DatasetView, first: BlockIndex, count: number): Task<BlockMap> {
    return mergeMaps(yield* this.#all(this.#members, (member) => member.map(view, first, count)));
  }

  copyBlock(
    from: BlockPosition,
    to: BlockPosition,
    lengthBytes: number,
  ): MaybePromise<{ storedDelta: number } | undefined> {
    return runTask(this.#copyBlock(from, to, lengthBytes));
  }

  *#copyBlock(
    from: BlockPosition,
    to: BlockPosition,
    lengthBytes: number,
  ): Task<{ storedDelta: number } | undefined> {
    const source = yield* this.#servers.located(from.view, from.block);
    if (source === undefined) return undefined;
    const target = yield* this.#servers.claimed(to.view, to.block);
    if (source !== target) return undefined;
    return yield* wait(this.#member(source).copyBlock(from, to, lengthBytes));
  }

  discard(view: DatasetView): MaybePromise<{ storedDelta: number }> {
    return runTask(this.#everywhere(view, (member) => member.discard(view)));
  }

  *#everywhere(
    { inode }: Dataset,
    ask: (member: BlockStore) => MaybePromise<{ storedDelta: number }>,
  ): Task<{ storedDelta: number }> {
    yield* this.#all(this.#members, (member) => this.#deltas.heard(inode, ask(member)));
    return this.#deltas.take(inode);
  }

  free(inode: InodeId): MaybePromise<void> {
    this.#servers.forget(inode);
    this.#deltas.forget(inode);
    return runTask(this.#free(inode));
  }

  *#free(inode: InodeId): Task<void> {
    yield* this.#all(this.#members, (member) => member.free(inode));
  }

  usage(): MaybePromise<BlockUsage> {
    return runTask(this.#usage());
  }

  *#usage(): Task<BlockUsage> {
    const sum: BlockUsage = { capacityBytes: 0, usedBytes: 0, datasets: 0 };
    for (const one of yield* this.#all(this.#members, (member) => member.usage())) {
      sum.capacityBytes += one.capacityBytes;
      sum.usedBytes += one.usedBytes;
      sum.datasets += one.datasets;
    }
    return sum;
  }

  locate(dataset: Dataset, blocks: readonly BlockIndex[]): MaybePromise<BlockLocation[]> {
    return runTask(this.#locate(dataset, blocks));
  }

  *#locate(dataset: Dataset, blocks: readonly BlockIndex[]): Task<BlockLocation[]> {
    const servers = yield* this.#servers.locatedAll(dataset, blocks);
    const result = servers.map((server): BlockLocation => {
      return { server, storedBytes: server === undefined ? 0 : undefined };
    });
    for (const [number, member] of this.#members.entries()) {
      const positions = [...servers.keys()].filter((at) => servers[at] === number);
      if (positions.length === 0) continue;
      const wanted = positions.map((at) => blocks[at] as BlockIndex);
      try {
        const found = yield* wait(member.locate(dataset, wanted));
        for (const [at, position] of positions.entries()) {
          result[position] = { server: number, storedBytes: found[at]?.storedBytes };
        }
      } catch (error) {
        // Where its blocks are is known without it.
        if (!(error instanceof FsError)) throw error;
      }
    }
    return result;
  }

  /**
   * Asks for all at once, and goes on when all have answered or failed, so that nothing is under way any more. Fails as
   * the first of them, if any failed.
   */
  *#all<S, T>(subjects: readonly S[], ask: (subject: S) => MaybePromise<T>): Task<T[]> {
    const answers = subjects.map((subject) => attempt(() => ask(subject)));
    const remote = answers.filter(isPromiseLike);
    if (remote.length > 0) yield* wait(Promise.allSettled(remote));
    const values: T[] = [];
    for (const answer of answers) values.push(yield* wait(answer));
    return values;
  }

  #home(dataset: Dataset): BlockStore {
    const home = homeOf(dataset, this.#members.length);
    if (home >= this.#members.length) throw noMember(dataset, home);
    return this.#member(home);
  }

  #member(server: number): BlockStore {
    const member = this.#members[server];
    invariant(member !== undefined, `block server ${server} is one of ${this.#members.length}`);
    return member;
  }
}
