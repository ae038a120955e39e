/**
 * One block server of the net as a block store: each request goes to the shard that keeps its block. Nothing is kept here
 * but connections; what fails for want of an answer is EIO with the server's name.
 */
import type { Timespec } from '../clock.ts';
import { FsError } from '../errno.ts';
import type { BlockIndex, InodeId } from '../ids.ts';
import type { Dataset } from '../layout.ts';
import type { Logger } from '../log.ts';
import {
  type Address,
  type Answer,
  type CallOptions,
  formatAddress,
  type Landing,
} from '../net/call.ts';
import type { Hello } from '../net/handshake.ts';
import type { Operation } from '../net/operation.ts';
import type { LendablePages } from '../pipes/lendable-pages.ts';
import type { PipedBytes } from '../pipes/piped-bytes.ts';
import type { Stat } from '../stat.ts';
import { runTask } from '../task.ts';
import { requireEach, requireMap, requireReserved } from './answers.ts';
import { mergeMaps } from './block-map.ts';
import { chunksOf, extentsByShard, settleAll } from './message-parts.ts';
import { BlockOperation, shardOf } from './protocol.ts';
import { reserveAll } from './reservations.ts';
import { failureOf, named } from './server-failure.ts';
import { ServerShards } from './server-shards.ts';
import type {
  BlockData,
  BlockExtent,
  BlockLease,
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
import { LEAST_SPLICED_BYTES, type LentBuffer, type TransferBuffers } from './transfer-buffers.ts';
import { pushZeros } from './zeros.ts';

export interface RemoteBlockStoreOptions {
  /** Of the server's first shard; it tells of the others. */
  readonly address: Address;
  /** What errors call the server; its address unless given. */
  readonly name?: string | undefined;
  /** Each connection takes a client id of its own in place of the one in here. */
  readonly hello: Hello;
  /** Undefined: insecure. */
  readonly secret: Buffer | undefined;
  /** Shared by all servers that this process talks to. */
  readonly buffers: TransferBuffers;
  /** How long a request waits for a server that is away. Default 10 s. */
  readonly patienceMs?: number | undefined;
  readonly logger: Logger;
}

type InnerAnswer = DataAttributes | FsError | undefined;

/** Datasets that are to be freed in one message. */
interface FreeBatch {
  readonly inodes: InodeId[];
  readonly done: Promise<void>;
}

/** An answer that goes on through a pipe, unless somebody looks at it. */
class PipedData implements BlockData {
  readonly piped: PipedBytes;
  readonly release: () => void;

  constructor(piped: PipedBytes, release: () => void) {
    this.piped = piped;
    this.release = release;
  }

  get slices(): Buffer[] {
    return [this.piped.bytes];
  }
}

/** The pages that `bytes` are the beginning of. */
function pagesOf(bytes: Buffer, lease: BlockLease | undefined): LendablePages | undefined {
  const pages = lease?.pages;
  const begins =
    pages?.bytes.buffer === bytes.buffer && pages.bytes.byteOffset === bytes.byteOffset;
  return begins ? pages : undefined;
}

/** See {@link BlockStore} for what each method does. */
export class RemoteBlockStore implements BlockStore {
  readonly name: string;
  readonly #shards: ServerShards;
  readonly #buffers: TransferBuffers;
  readonly #deltas = new StoredDeltas();
  #freeing: FreeBatch | undefined;

  constructor(options: RemoteBlockStoreOptions) {
    this.name = options.name ?? formatAddress(options.address);
    this.#shards = new ServerShards(options);
    this.#buffers = options.buffers;
  }

  /** The connections, for status and logs. */
  get shards(): ServerShards {
    return this.#shards;
  }

  /** Ends all connections; what is under way fails. */
  close(): Promise<void> {
    return this.#shards.close();
  }

  createInner(dataset: Dataset, seed: InnerSeed): Promise<DataAttributes> {
    return this.#inner(dataset, BlockOperation.createInner, [dataset, seed]);
  }

  async readInner(dataset: Dataset): Promise<DataAttributes | undefined> {
    const answers = await this.#inner(dataset, BlockOperation.readInners, [[dataset]]);
    requireEach(this.name, [dataset], answers);
    const [answer] = answers;
    if (answer instanceof FsError) throw named(answer, this.name);
    return answer;
  }

  async readInners(datasets: readonly Dataset[]): Promise<InnerAnswer[]> {
    const shards = await this.#count();
    const groups = Array.from({ length: shards }, (): number[] => []);
    for (const [position, { inode }] of datasets.entries()) {
      groups[shardOf(inode, 0, shards)]?.push(position);
    }
    const result: InnerAnswer[] = Array.from({ length: datasets.length });
    const parts = groups.flatMap((group, shard) =>
      chunksOf(group).map(async (positions) => {
        const wanted = positions.map((position) => datasets[position] as Dataset);
        const { value } = await this.#callShard(shard, BlockOperation.readInners, [wanted]);
        requireEach(this.name, wanted, value);
        for (const [at, position] of positions.entries()) {
          const answer = value[at];
          result[position] = answer instanceof FsError ? named(answer, this.name) : answer;
        }
      }),
    );
    await settleAll(parts);
    return result;
  }

  noteWrite(
    dataset: Dataset,
    change: { endBytes: number; storedDelta: number },
    seed?: InnerSeed,
  ): Promise<DataAttributes> {
    return this.#inner(dataset, BlockOperation.noteWrite, [dataset, change, seed]);
  }

  async reserveAppend(
    dataset: Dataset,
    lengthBytes: number,
    seed?: InnerSeed,
  ): Promise<{ offset: number }> {
    const request = [dataset, lengthBytes, seed] as const;
    return { offset: await this.#inner(dataset, BlockOperation.reserveAppend, request) };
  }

  truncate(dataset: Dataset, truncation: Truncation, seed?: InnerSeed): Promise<DataAttributes> {
    return this.#inner(dataset, BlockOperation.truncate, [dataset, truncation, seed]);
  }

  confirmTruncation(dataset: Dataset, generation: number): Promise<void> {
    return this.#inner(dataset, BlockOperation.confirmTruncation, [dataset, generation]);
  }

  setTimes(
    dataset: Dataset,
    times: { atime?: Timespec; mtime?: Timespec },
  ): Promise<DataAttributes> {
    return this.#inner(dataset, BlockOperation.setTimes, [dataset, times]);
  }

  touchAtime(dataset: Dataset, atime: Timespec): Promise<void> {
    return this.#inner(dataset, BlockOperation.touchAtime, [dataset, atime]);
  }

  copyStat(dataset: Dataset, stat: Stat): Promise<void> {
    return this.#inner(dataset, BlockOperation.copyStat, [dataset, stat]);
  }

  getXattr(dataset: Dataset, name: Buffer): Promise<Buffer> {
    return this.#inner(dataset, BlockOperation.getXattr, [dataset, name]);
  }

  setXattr(dataset: Dataset, name: Buffer, value: Buffer, mode: XattrMode): Promise<void> {
    return this.#inner(dataset, BlockOperation.setXattr, [dataset, name, value, mode]);
  }

  listXattr(dataset: Dataset): Promise<Buffer[]> {
    return this.#inner(dataset, BlockOperation.listXattr, [dataset]);
  }

  removeXattr(dataset: Dataset, name: Buffer): Promise<void> {
    return this.#inner(dataset, BlockOperation.removeXattr, [dataset, name]);
  }

  readTarget(dataset: Dataset): Promise<Buffer> {
    return this.#inner(dataset, BlockOperation.readTarget, [dataset]);
  }

  async readBlock(
    view: DatasetView,
    block: BlockIndex,
    { offset, length, passesOn }: ReadRange,
  ): Promise<BlockData> {
    let lent: LentBuffer | PipedBytes | undefined;
    const receive = (lengthBytes: number): Landing => {
      lent?.release(); // A connection that was lost half-way had asked for it.
      if (lengthBytes > length)
        throw new FsError('EIO', `${this.name} sent more than was asked for`);
      const piped = passesOn === true ? this.#buffers.lendPipe(lengthBytes) : undefined;
      if (piped !== undefined) return (lent = piped);
      const buffer = this.#buffers.lend(length);
      lent = buffer;
      return buffer.bytes;
    };
    const waiting = this.#buffers.begin(length);
    if (waiting !== undefined) await waiting;
    try {
      const request = [view, block, offset, length] as const;
      const place = { inode: view.inode, block };
      const answer = await this.#call(place, BlockOperation.readBlock, request, { receive });
      const release = (): void => lent?.release();
      const { piped } = answer;
      if (piped?.lengthBytes === length) return new PipedData(piped, release);
      const received = piped?.bytes ?? answer.payload;
      const slices = received === undefined ? [] : [received];
      pushZeros(slices, length - (received?.length ?? 0));
      return { slices, release };
    } catch (error) {
      lent?.release();
      throw error;
    } finally {
      this.#buffers.end(length);
    }
  }

  async writeBlock(
    view: DatasetView,
    block: BlockIndex,
    offset: number,
    { bytes, lease }: Payload,
  ): Promise<{ storedDelta: number }> {
    const waiting = this.#buffers.begin(bytes.length);
    if (waiting !== undefined) await waiting;
    try {
      const request = [view, block, offset] as const;
      const place = { inode: view.inode, block };
      const pages = bytes.length < LEAST_SPLICED_BYTES ? undefined : pagesOf(bytes, lease);
      const options = { payload: [bytes], pages };
      return (await this.#call(place, BlockOperation.writeBlock, request, options)).value;
    } finally {
      this.#buffers.end(bytes.length);
    }
  }

  discard(view: DatasetView): Promise<{ storedDelta: number }> {
    return this.#changeEverywhere(view, BlockOperation.discard, [view]);
  }

  punch(
    view: DatasetView,
    { offset, length }: { offset: number; length: number },
    room: RoomUse,
  ): Promise<{ storedDelta: number }> {
    return this.#changeEverywhere(view, BlockOperation.punch, [view, offset, length, room]);
  }

  async reserve(view: DatasetView, extents: readonly BlockExtent[]): Promise<Reserved> {
    const parts = extentsByShard(view.inode, extents, await this.#count());
    const all = reserveAll(
      parts.map(({ shard, chunk }) => ({
        extents: chunk,
        reserve: (wanted) => this.#deltas.heard(view.inode, this.#reserveAt(shard, view, wanted)),
        unreserve: (added) => this.#unreserve(view, added),
      })),
    );
    const { added } = await runTask(all);
    return { added, ...this.#deltas.take(view.inode) };
  }

  async #reserveAt(
    shard: number,
    view: DatasetView,
    extents: readonly BlockExtent[],
  ): Promise<Reserved> {
    const { value } = await this.#callShard(shard, BlockOperation.reserve, [view, extents]);
    const { blockSizeBytes } = view.layout;
    return requireReserved(this.name, { extents, blockSizeBytes }, value);
  }

  async unreserve(
    view: DatasetView,
    extents: readonly BlockExtent[],
  ): Promise<{ storedDelta: number }> {
    await this.#unreserve(view, extents);
    return this.#deltas.take(view.inode);
  }

  async #unreserve(view: DatasetView, extents: readonly BlockExtent[]): Promise<void> {
    const parts = extentsByShard(view.inode, extents, await this.#count());
    const calls = parts.map(async ({ shard, chunk }) => {
      const { value } = await this.#callShard(shard, BlockOperation.unreserve, [view, chunk]);
      this.#deltas.heard(view.inode, value);
    });
    await settleAll(calls);
  }

  async map(view: DatasetView, first: BlockIndex, count: number): Promise<BlockMap> {
    const question = { first, count, blockSizeBytes: view.layout.blockSizeBytes };
    const maps = await this.#everyShard(BlockOperation.map, [view, first, count]);
    return mergeMaps(maps.map((map) => requireMap(this.name, question, map)));
  }

  async copyBlock(
    from: BlockPosition,
    to: BlockPosition,
    lengthBytes: number,
  ): Promise<{ storedDelta: number } | undefined> {
    const shards = await this.#count();
    const shard = shardOf(to.view.inode, to.block, shards);
    if (shardOf(from.view.inode, from.block, shards) !== shard) return undefined;
    const [source, target] = [from, to].map(
      ({ view, block, offset }) => [view, block, offset] as const,
    ) as [readonly [DatasetView, BlockIndex, number], readonly [DatasetView, BlockIndex, number]];
    const request = [source, target, lengthBytes] as const;
    return (await this.#callShard(shard, BlockOperation.copyBlock, request)).value;
  }

  /** Those that are asked for in one turn travel together. */
  free(inode: InodeId): Promise<void> {
    this.#deltas.forget(inode);
    this.#freeing ??= this.#openBatch();
    this.#freeing.inodes.push(inode);
    return this.#freeing.done;
  }

  #openBatch(): FreeBatch {
    const inodes: InodeId[] = [];
    const turn = new Promise((resolve) => setImmediate(resolve));
    const done = turn.then(async () => {
      this.#freeing = undefined;
      const chunks = chunksOf(inodes);
      await settleAll(chunks.map((chunk) => this.#everyShard(BlockOperation.free, [chunk])));
    });
    return { inodes, done };
  }

  async usage(): Promise<BlockUsage> {
    const sum = { capacityBytes: 0, usedBytes: 0, datasets: 0 };
    for (const one of await this.#everyShard(BlockOperation.usage, [])) {
      sum.capacityBytes += one.capacityBytes;
      sum.usedBytes += one.usedBytes;
      sum.datasets += one.datasets;
    }
    return sum;
  }

  async locate(dataset: Dataset, blocks: readonly BlockIndex[]): Promise<BlockLocation[]> {
    const shards = await this.#count();
    const result = blocks.map((): BlockLocation => ({ server: 0, storedBytes: undefined }));
    const parts = Array.from({ length: shards }, async (_, shard) => {
      const positions = [...blocks.keys()].filter(
        (at) => shardOf(dataset.inode, blocks[at] as BlockIndex, shards) === shard,
      );
      for (const chunk of chunksOf(positions)) {
        const wanted = chunk.map((at) => blocks[at] as BlockIndex);
        const { value } = await this.#callShard(shard, BlockOperation.locate, [dataset, wanted]);
        requireEach(this.name, wanted, value);
        for (const [at, position] of chunk.entries()) {
          result[position] = { server: 0, storedBytes: value[at] };
        }
      }
    });
    await settleAll(parts);
    return result;
  }

  /** Asks the shard that keeps the dataset's block 0. */
  async #inner<Q, A>({ inode }: Dataset, operation: Operation<Q, A>, request: Q): Promise<A> {
    return (await this.#call({ inode, block: 0 }, operation, request)).value;
  }

  async #call<Q, A>(
    { inode, block }: { inode: InodeId; block: number },
    operation: Operation<Q, A>,
    request: Q,
    options?: CallOptions,
  ): Promise<Answer<A>> {
    const shards = this.#shards.knownCount ?? (await this.#count());
    return await this.#callShard(shardOf(inode, block, shards), operation, request, options);
  }

  async #everyShard<Q, A>(
    operation: Operation<Q, A>,
    request: Q,
    hear?: (answer: A) => unknown,
  ): Promise<A[]> {
    const shards = await this.#count();
    const calls = Array.from({ length: shards }, async (_, shard) => {
      const { value } = await this.#callShard(shard, operation, request);
      hear?.(value);
      return value;
    });
    return settleAll(calls);
  }

  async #changeEverywhere<Q>(
    { inode }: Dataset,
    operation: Operation<Q, { storedDelta: number }>,
    request: Q,
  ): Promise<{ storedDelta: number }> {
    await this.#everyShard(operation, request, (change) => this.#deltas.heard(inode, change));
    return this.#deltas.take(inode);
  }

  async #callShard<Q, A>(
    shard: number,
    operation: Operation<Q, A>,
    request: Q,
    options?: CallOptions,
  ): Promise<Answer<A>> {
    try {
      return await this.#shards.peer(shard).call(operation, request, options);
    } catch (error) {
      throw failureOf(error, this.name);
    }
  }

  async #count(): Promise<number> {
    try {
      return await this.#shards.count();
    } catch (error) {
      throw failureOf(error, this.name);
    }
  }
}
