/**
 * The block store in this process's memory. Every method answers in the same turn; what is read is a view of the
 * store's own memory.
 */
import type { Clock, Timespec } from '../clock.ts';
import type { BlockIndex as BlockNumber, InodeId } from '../ids.ts';
import { FsError } from '../errno.ts';
import type { Dataset } from '../layout.ts';
import type { Stat } from '../stat.ts';
import { BlockIndex } from './block-index.ts';
import { DataStore, type StoredBytes } from './data-store.ts';
import { DatasetTable } from './dataset-table.ts';
import { DeferredFrees } from './deferred-frees.ts';
import { InnerStore } from './inner-store.ts';
import { LeaseDesk } from './lease.ts';
import { Life } from './life.ts';
import { RangeStore } from './range-store.ts';
import { SlotAllocator, type MemoryReport } from './slab.ts';
import type { MemorySource } from './page-runs.ts';
import { StoredBlocks } from './stored-blocks.ts';
import type {
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
  Reserved,
  RoomUse,
  Truncation,
  XattrMode,
} from './store.ts';

export interface MemoryBlockStoreOptions {
  /** Most bytes of slots in use; memory beyond that goes to what remains between slots (a quarter at most). */
  capacityBytes: number;
  /** Size of leased blocks; datasets may have any other. */
  blockSizeBytes: number;
  clock: Clock;
  /** Where slabs come from; the system's memory unless a test says otherwise. */
  source?: MemorySource;
}

/** See {@link BlockStore} for what each method does. */
export class MemoryBlockStore implements BlockStore {
  readonly #table = new DatasetTable();
  readonly #slots: SlotAllocator;
  readonly #deferred: DeferredFrees;
  readonly #leases: LeaseDesk;
  readonly #inner: InnerStore;
  readonly #data: DataStore;
  readonly #ranges: RangeStore;
  readonly #life = new Life();

  constructor(options: MemoryBlockStoreOptions) {
    const table = this.#table;
    const slots = new SlotAllocator({
      capacityBytes: options.capacityBytes,
      reclaim: () => this.#deferred.step(),
      ...(options.source === undefined ? {} : { source: options.source }),
    });
    const index = new BlockIndex(table);
    const deferred = new DeferredFrees(index, slots);
    const leases = new LeaseDesk(slots, options.blockSizeBytes);
    this.#slots = slots;
    this.#deferred = deferred;
    this.#leases = leases;
    this.#inner = new InnerStore({ table, slots, clock: options.clock });
    const blocks = new StoredBlocks({ table, index, slots, deferred, life: this.#life });
    this.#data = new DataStore({ blocks, leases });
    this.#ranges = new RangeStore(blocks, this.#data);
  }

  /** Epoch of the server map at which this memory came to life, empty; see {@link Life}. */
  set bornEpoch(epoch: number) {
    this.#life.bornEpoch = epoch;
  }

  createInner(dataset: Dataset, seed: InnerSeed): DataAttributes {
    return this.#inner.create(dataset.inode, seed);
  }

  readInner(dataset: Dataset): DataAttributes | undefined {
    const found = this.#inner.read(dataset.inode);
    if (found === undefined) this.#life.requireBlock(dataset, 0);
    return found;
  }

  readInners(datasets: readonly Dataset[]): (DataAttributes | FsError | undefined)[] {
    return datasets.map((dataset) => {
      try {
        return this.readInner(dataset);
      } catch (error) {
        if (error instanceof FsError) return error;
        throw error;
      }
    });
  }

  noteWrite(
    dataset: Dataset,
    change: { endBytes: number; storedDelta: number },
    seed?: InnerSeed,
  ): DataAttributes {
    this.#bear(dataset, seed);
    return this.#inner.noteWrite(dataset.inode, change);
  }

  reserveAppend(dataset: Dataset, lengthBytes: number, seed?: InnerSeed): { offset: number } {
    this.#bear(dataset, seed);
    return this.#inner.reserveAppend(dataset.inode, lengthBytes);
  }

  truncate(dataset: Dataset, truncation: Truncation, seed?: InnerSeed): DataAttributes {
    this.#bear(dataset, seed);
    return this.#inner.truncate(dataset.inode, truncation);
  }

  confirmTruncation(dataset: Dataset, generation: number): void {
    this.#bear(dataset, undefined);
    this.#inner.confirmTruncation(dataset.inode, generation);
  }

  /** Sees to it that there is a block 0: made of the seed if need be. EIO if it was lost. */
  #bear(dataset: Dataset, seed: InnerSeed | undefined): void {
    if (seed !== undefined) this.#inner.create(dataset.inode, seed);
    else if (!this.#inner.has(dataset.inode)) this.#life.requireBlock(dataset, 0);
  }

  setTimes(dataset: Dataset, times: { atime?: Timespec; mtime?: Timespec }): DataAttributes {
    this.#bear(dataset, undefined);
    return this.#inner.setTimes(dataset.inode, times);
  }

  touchAtime(dataset: Dataset, atime: Timespec): void {
    this.#bear(dataset, undefined);
    this.#inner.touchAtime(dataset.inode, atime);
  }

  copyStat(dataset: Dataset, stat: Stat): void {
    this.#inner.copyStat(dataset.inode, stat);
  }

  getXattr(dataset: Dataset, name: Buffer): Buffer {
    this.#bear(dataset, undefined);
    return this.#inner.getXattr(dataset.inode, name);
  }

  setXattr(dataset: Dataset, name: Buffer, value: Buffer, mode: XattrMode): void {
    this.#bear(dataset, undefined);
    this.#inner.setXattr(dataset.inode, { name, value, mode });
  }

  listXattr(dataset: Dataset): Buffer[] {
    this.#bear(dataset, undefined);
    return this.#inner.listXattr(dataset.inode);
  }

  removeXattr(dataset: Dataset, name: Buffer): void {
    this.#bear(dataset, undefined);
    this.#inner.removeXattr(dataset.inode, name);
  }

  readTarget(dataset: Dataset): Buffer {
    this.#bear(dataset, undefined);
    return this.#inner.readTarget(dataset.inode);
  }

  readBlock(
    view: DatasetView,
    block: BlockNumber,
    range: { offset: number; length: number },
  ): { slices: Buffer[] } {
    return { slices: this.#data.read(view, block, range) };
  }

  /** What is stored of the range, from its start: no zeros for what is not. Undefined if nothing is. */
  readStored(
    view: DatasetView,
    block: BlockNumber,
    range: { offset: number; length: number },
  ): StoredBytes | undefined {
    return this.#data.readStored(view, block, range);
  }

  writeBlock(
    view: DatasetView,
    block: BlockNumber,
    offset: number,
    payload: Payload,
  ): { storedDelta: number } {
    return this.#data.write(view, { block, offset, payload });
  }

  punch(
    view: DatasetView,
    range: { offset: number; length: number },
    room: RoomUse,
  ): { storedDelta: number } {
    return this.#ranges.punch(view, range, room);
  }

  reserve(view: DatasetView, extents: readonly BlockExtent[]): Reserved {
    return this.#ranges.reserve(view, extents);
  }

  unreserve(view: DatasetView, extents: readonly BlockExtent[]): { storedDelta: number } {
    return this.#ranges.unreserve(view, extents);
  }

  map(view: DatasetView, first: BlockNumber, count: number): BlockMap {
    return this.#ranges.map(view, first, count);
  }

  copyBlock(from: BlockPosition, to: BlockPosition, lengthBytes: number): { storedDelta: number } {
    return this.#ranges.copy(from, to, lengthBytes);
  }

  discard(view: DatasetView): { storedDelta: number } {
    return this.#data.discard(view);
  }

  /** The space counts as free at once; the slots of many blocks are returned in steps. */
  free(inode: InodeId): void {
    const row = this.#table.find(inode);
    if (row === 0) return;
    this.#inner.free(row);
    this.#data.free(row);
    this.#table.remove(inode);
  }

  usage(): BlockUsage {
    return {
      capacityBytes: this.#slots.capacityBytes,
      usedBytes: this.#slots.usedBytes,
      datasets: this.#table.count,
    };
  }

  locate(dataset: Dataset, blocks: readonly BlockNumber[]): BlockLocation[] {
    return blocks.map((block) => {
      const storedBytes =
        block === 0 ? this.#inner.length(dataset.inode) : this.#data.length(dataset.inode, block);
      const isLost = storedBytes === 0 && this.#life.mayHaveLost(dataset);
      return { server: 0, storedBytes: isLost ? undefined : storedBytes };
    });
  }

  /** A whole block of the default size to receive data in; undefined only when no memory is left at all. */
  lease(): BlockLease | undefined {
    return this.#leases.lease();
  }

  /** What memory the store holds, and whether slots of freed datasets are still to be returned. */
  memory(): MemoryReport & { freesPending: boolean } {
    return { ...this.#slots.report(), freesPending: this.#deferred.pending };
  }
}
