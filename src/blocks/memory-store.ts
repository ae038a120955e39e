/**
 * The block store in this process's memory. Every method answers in the same turn; what is read is a view of the
 * store's own memory.
 */
import type { Clock, Timespec } from '../clock.ts';
import type { BlockIndex as BlockNumber, InodeId } from '../ids.ts';
import type { Stat } from '../stat.ts';
import { BlockIndex } from './block-index.ts';
import { DataStore } from './data-store.ts';
import { DatasetTable } from './dataset-table.ts';
import { DeferredFrees } from './deferred-frees.ts';
import { InnerStore } from './inner-store.ts';
import { LeaseDesk } from './lease.ts';
import { SlotAllocator, type MemoryReport } from './slab.ts';
import type { MemorySource } from './page-runs.ts';
import type {
  BlockLease,
  BlockStore,
  BlockUsage,
  DataAttributes,
  DatasetView,
  InnerSeed,
  Payload,
  XattrMode,
} from './store.ts';

export interface MemoryBlockStoreOptions {
  /** Most bytes of slots in use; memory beyond that goes to what remains between slots (a quarter at most). */
  capacityBytes: number;
  /** Size of leased blocks; datasets may have any other. */
  blockSizeBytes: number;
  clock: Clock;
  /** Where slabs come from; `Buffer.allocUnsafeSlow` unless a test says otherwise. */
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
    this.#data = new DataStore({ table, index, slots, leases, deferred });
  }

  createInner(inode: InodeId, seed: InnerSeed): DataAttributes {
    return this.#inner.create(inode, seed);
  }

  readInner(inode: InodeId): DataAttributes | undefined {
    return this.#inner.read(inode);
  }

  noteWrite(inode: InodeId, change: { endBytes: number; storedDelta: number }): DataAttributes {
    return this.#inner.noteWrite(inode, change);
  }

  reserveAppend(inode: InodeId, lengthBytes: number): { offset: number } {
    return this.#inner.reserveAppend(inode, lengthBytes);
  }

  truncate(inode: InodeId, sizeBytes: number): DataAttributes {
    return this.#inner.truncate(inode, sizeBytes);
  }

  setTimes(inode: InodeId, times: { atime?: Timespec; mtime?: Timespec }): DataAttributes {
    return this.#inner.setTimes(inode, times);
  }

  touchAtime(inode: InodeId, atime: Timespec): void {
    this.#inner.touchAtime(inode, atime);
  }

  copyStat(inode: InodeId, stat: Stat): void {
    this.#inner.copyStat(inode, stat);
  }

  getXattr(inode: InodeId, name: Buffer): Buffer {
    return this.#inner.getXattr(inode, name);
  }

  setXattr(inode: InodeId, name: Buffer, value: Buffer, mode: XattrMode): void {
    this.#inner.setXattr(inode, { name, value, mode });
  }

  listXattr(inode: InodeId): Buffer[] {
    return this.#inner.listXattr(inode);
  }

  removeXattr(inode: InodeId, name: Buffer): void {
    this.#inner.removeXattr(inode, name);
  }

  readTarget(inode: InodeId): Buffer {
    return this.#inner.readTarget(inode);
  }

  readBlock(
    view: DatasetView,
    block: BlockNumber,
    range: { offset: number; length: number },
  ): Buffer[] {
    return this.#data.read(view, block, range);
  }

  writeBlock(
    view: DatasetView,
    block: BlockNumber,
    offset: number,
    payload: Payload,
  ): { storedDelta: number } {
    return this.#data.write(view, { block, offset, payload });
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

  /** A whole block of the default size to receive data in; undefined only when no memory is left at all. */
  lease(): BlockLease | undefined {
    return this.#leases.lease();
  }

  /** What memory the store holds, and whether slots of freed datasets are still to be returned. */
  memory(): MemoryReport & { freesPending: boolean } {
    return { ...this.#slots.report(), freesPending: this.#deferred.pending };
  }
}
