/** Runs a script on a block store and on its model, and compares all that can be seen after each step. */
import fc from 'fast-check';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import {
  type BlockLease,
  type DatasetView,
  StaleGenerationError,
  UnconfirmedTruncationError,
} from '../../../src/blocks/store.ts';
import { ManualClock, type Timespec } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { datasetOf, viewOf } from '../../support/datasets.ts';
import { BlockModel, type ModelDataset, NoSpace } from './block-model.ts';
import { same } from './same.ts';

export interface BlockShape {
  readonly capacityBytes: number;
  /** Of the datasets, in turn; the first is the store's own, in which leases come. */
  readonly blockSizes: readonly number[];
}

const KINDS = [
  ...['write', 'write', 'write', 'write', 'whole', 'whole', 'far', 'read', 'discard', 'stale'],
  ...['create', 'truncate', 'truncate', 'append', 'note', 'times', 'atime', 'confirm'],
  ...['setXattr', 'setXattr', 'removeXattr', 'free', 'hold', 'release', 'turn'],
] as const;

export interface BlockStep {
  readonly kind: (typeof KINDS)[number];
  readonly dataset: number;
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

const DATASETS = 6;
const HELD_LEASES = 3;
/** Lengths at which size classes and runs of pages change. */
const edge = fc
  .tuple(
    fc.integer({ min: 6, max: 21 }),
    fc.constantFrom(4, 5, 6, 7),
    fc.integer({ min: -1, max: 1 }),
  )
  .map(([log2, step, off]) => 2 ** (log2 - 2) * step + off);

export const blockScripts: fc.Arbitrary<BlockStep[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    dataset: fc.integer({ min: 1, max: DATASETS }),
    block: fc.oneof(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 1, max: 2 ** 31 }),
    ),
    offset: fc.oneof(fc.constant(0), fc.nat({ max: 300 }), edge),
    length: fc.oneof(fc.integer({ min: 1, max: 200 }), edge),
  }),
  { maxLength: 120, size: 'max' },
);

function time(ms: number): Timespec {
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1e6 };
}

export class BlockRun {
  readonly #shape: BlockShape;
  readonly #store: MemoryBlockStore;
  readonly #model: BlockModel;
  readonly #clock = new ManualClock(0);
  readonly #leases: BlockLease[] = [];
  #fill = 0;

  /** `wrap` puts something between the run and the store. */
  constructor(
    shape: BlockShape,
    wrap: (store: MemoryBlockStore) => MemoryBlockStore = (store) => store,
  ) {
    const { capacityBytes, blockSizes } = shape;
    this.#shape = shape;
    this.#store = wrap(
      new MemoryBlockStore({
        capacityBytes,
        blockSizeBytes: blockSizes[0] ?? 4096,
        clock: this.#clock,
      }),
    );
    this.#model = new BlockModel(capacityBytes);
  }

  async step(step: BlockStep): Promise<void> {
    this.#clock.advance(1);
    if (step.kind === 'turn') await new Promise((resolve) => setImmediate(resolve));
    else if (step.kind === 'hold') this.#hold();
    else if (step.kind === 'release') this.#leases.shift()?.release();
    else if (step.kind === 'free') {
      this.#store.free(step.dataset as InodeId);
      this.#model.free(step.dataset);
    } else this.#onDataset(step);
    this.#compare(step.dataset);
  }

  /** Compares all blocks, frees everything, and fails unless all memory is free then. */
  async finish(): Promise<void> {
    for (const [inode, dataset] of this.#model.datasets) {
      for (const block of [...dataset.blocks.keys()]) this.#compareBlock(inode, dataset, block);
    }
    for (const lease of this.#leases) lease.release();
    for (const inode of [...this.#model.datasets.keys()]) this.#store.free(inode as InodeId);
    while (this.#store.memory().freesPending) await new Promise((resolve) => setImmediate(resolve));
    const { usedBytes, datasets } = this.#store.usage();
    const { spans, spanBytes } = this.#store.memory();
    same('what is left when all is freed', [usedBytes, datasets, spans, spanBytes], [0, 0, 0, 0]);
  }

  #hold(): void {
    const lease = this.#leases.length < HELD_LEASES ? this.#store.lease() : undefined;
    if (lease !== undefined) this.#leases.push(lease);
    lease?.bytes.fill(0xee);
  }

  /** Runs an operation on both; the model tells whether it must fail with ENOSPC. */
  #both<T>(operation: () => T, onModel: () => T): void {
    const expected = attempt(onModel, (error) => error instanceof NoSpace);
    const found = attempt(
      operation,
      (error) => error instanceof FsError && error.code === 'ENOSPC',
    );
    same('the outcome', found, expected);
  }

  #onDataset(step: BlockStep): void {
    const inode = step.dataset as InodeId;
    const blockSizeBytes =
      this.#shape.blockSizes[step.dataset % this.#shape.blockSizes.length] ?? 4096;
    const dataset = this.#model.datasets.get(inode);
    if (dataset === undefined || step.kind === 'create') {
      const nowMs = this.#clock.monotonicMs();
      const target =
        step.length % 5 === 0 ? Buffer.alloc(1 + (step.length % 4095), 't') : undefined;
      const stat = {
        ...STAT,
        inode,
        blockSizeBytes,
        atime: time(nowMs),
        mtime: time(nowMs),
        ctime: time(nowMs),
      };
      this.#both(
        () =>
          void this.#store.createInner(datasetOf(inode), {
            stat,
            ...(target !== undefined && { target }),
          }),
        () => void this.#model.create(inode, { blockSizeBytes, target, nowMs }),
      );
    } else if (['setXattr', 'removeXattr'].includes(step.kind)) this.#onXattr(inode, dataset, step);
    else if (['write', 'whole', 'far', 'read', 'discard', 'stale'].includes(step.kind))
      this.#onData(inode, dataset, step);
    else this.#onInner(inode, dataset, step);
  }

  #onInner(inode: InodeId, dataset: ModelDataset, step: BlockStep): void {
    const { inner, blockSizeBytes } = dataset;
    const now = this.#clock.monotonicMs();
    if (step.kind === 'times') {
      inner.mtimeMs = step.length;
      inner.ctimeMs = now;
      this.#store.setTimes(datasetOf(inode), { mtime: time(step.length) });
      return;
    }
    if (step.kind === 'atime') {
      inner.atimeMs = Math.max(inner.atimeMs, step.length);
      this.#store.touchAtime(datasetOf(inode), time(step.length));
      return;
    }
    if (step.kind === 'append') {
      same(
        'where an append goes',
        this.#store.reserveAppend(datasetOf(inode), step.length).offset,
        inner.sizeBytes,
      );
      inner.sizeBytes += step.length;
      return;
    }
    if (step.kind === 'confirm') {
      this.#discard(inode, dataset);
      this.#store.confirmTruncation(datasetOf(inode), inner.generation);
      inner.unconfirmed = false;
      return;
    }
    const sizeBytes = (step.block - 1) * blockSizeBytes + (step.offset % blockSizeBytes);
    if (step.kind === 'truncate') {
      this.#truncate(inode, dataset, sizeBytes);
    } else {
      inner.mtimeMs = inner.ctimeMs = now;
      inner.dataVersion++;
      inner.sizeBytes = Math.max(inner.sizeBytes, sizeBytes);
      this.#store.noteWrite(datasetOf(inode), { endBytes: sizeBytes, storedDelta: 0 });
    }
  }

  /** An earlier truncation that may not have reached all data servers has to do so first. */
  #truncate(inode: InodeId, dataset: ModelDataset, sizeBytes: number): void {
    const { inner } = dataset;
    const cut = (confirmedGeneration: number): string =>
      attempt(
        () => {
          this.#store.truncate(datasetOf(inode), { sizeBytes, confirmedGeneration });
          return 'cut';
        },
        (error) => error instanceof UnconfirmedTruncationError,
      );
    if (inner.unconfirmed) {
      same('a truncation after an unconfirmed one', cut(inner.generation - 1), 'refused');
      this.#discard(inode, dataset);
    }
    same('a truncation', cut(inner.unconfirmed ? inner.generation : 0), 'cut');
    inner.truncatedBytes = Math.min(inner.sizeBytes, sizeBytes);
    inner.sizeBytes = sizeBytes;
    inner.unconfirmed = true;
    inner.generation++;
    inner.mtimeMs = inner.ctimeMs = this.#clock.monotonicMs();
    inner.dataVersion++;
  }

  #discard(inode: InodeId, dataset: ModelDataset): void {
    this.#model.cut(dataset);
    const delta = this.#store.discard(this.#view(inode, dataset)).storedDelta;
    same('the change of what is stored', delta, this.#model.settle(dataset));
    this.#note(inode, dataset, { delta, endBytes: 0 });
  }

  #onXattr(inode: InodeId, { inner }: ModelDataset, step: BlockStep): void {
    const name = `user.${step.block % 5}`;
    const value = Buffer.alloc(step.length % 65_537, step.offset);
    if (step.kind === 'setXattr') {
      this.#both(
        () => {
          this.#store.setXattr(datasetOf(inode), Buffer.from(name), value, 'either');
        },
        () => {
          this.#model.setXattr(inner, name, value);
          inner.ctimeMs = this.#clock.monotonicMs();
        },
      );
    } else if (inner.xattrs.has(name)) {
      this.#store.removeXattr(datasetOf(inode), Buffer.from(name));
      this.#model.removeXattr(inner, name);
      inner.ctimeMs = this.#clock.monotonicMs();
    }
  }

  #view(inode: InodeId, { blockSizeBytes, inner }: ModelDataset): DatasetView {
    const { generation, truncatedBytes } = inner;
    return viewOf(inode, { blockSizeBytes, generation, truncatedBytes });
  }

  #onData(inode: InodeId, dataset: ModelDataset, step: BlockStep): void {
    const view = this.#view(inode, dataset);
    if (step.kind === 'stale') {
      if (view.generation === 0) return;
      const stale = { ...view, generation: view.generation - 1 };
      const refused = attempt(
        () => this.#store.discard(stale),
        (error) => error instanceof StaleGenerationError,
      );
      same('a stale request', refused, 'refused');
    } else if (step.kind === 'discard') {
      this.#discard(inode, dataset);
    } else if (step.kind === 'read') this.#compareBlock(inode, dataset, step.block);
    else this.#write(inode, dataset, step);
  }

  #note(
    inode: InodeId,
    { inner }: ModelDataset,
    { delta, endBytes }: { delta: number; endBytes: number },
  ): void {
    const now = this.#clock.monotonicMs();
    inner.sizeBytes = Math.max(inner.sizeBytes, endBytes);
    inner.storedBytes = Math.max(0, inner.storedBytes + delta);
    inner.mtimeMs = inner.ctimeMs = now;
    inner.dataVersion++;
    this.#store.noteWrite(datasetOf(inode), { endBytes, storedDelta: delta });
  }

  #write(inode: InodeId, dataset: ModelDataset, step: BlockStep): void {
    const { blockSizeBytes } = dataset;
    const block = step.kind === 'far' ? step.block : 1 + ((step.block - 1) % 90);
    const isWhole = step.kind === 'whole';
    const offset = isWhole ? 0 : step.offset % blockSizeBytes;
    const length = isWhole ? blockSizeBytes : 1 + ((step.length - 1) % (blockSizeBytes - offset));
    const lease =
      isWhole && blockSizeBytes === this.#shape.blockSizes[0] ? this.#store.lease() : undefined;
    const bytes = lease?.bytes ?? Buffer.allocUnsafe(length);
    this.#fill = (this.#fill % 255) + 1;
    bytes.fill(this.#fill);
    const view = this.#view(inode, dataset);
    const at = block as BlockIndex;
    let delta = 0;
    // Adopted or copied, a whole block takes the same slot.
    const adopts = lease !== undefined && blockSizeBytes % 4096 === 0;
    this.#both(
      () => (delta = this.#store.writeBlock(view, at, offset, { bytes, lease }).storedDelta),
      () => this.#model.write(dataset, block, { offset, bytes: Buffer.from(bytes), adopts }),
    );
    lease?.release();
    if (delta !== 0) {
      const endBytes = (block - 1) * blockSizeBytes + offset + length;
      this.#note(inode, dataset, { delta, endBytes });
    }
  }

  #compare(inode: number): void {
    const { usedBytes, datasets } = this.#store.usage();
    same(
      'bytes in use and datasets',
      [usedBytes, datasets],
      [this.#model.usedBytes, this.#model.datasets.size],
    );
    const inner = this.#model.datasets.get(inode)?.inner;
    const found = this.#store.readInner(datasetOf(inode as InodeId));
    if (inner === undefined) {
      same('a dataset without a block 0', found, undefined);
      return;
    }
    const { sizeBytes, storedBytes, dataVersion, generation, truncatedBytes } = inner;
    const [atime, mtime, ctime] = [inner.atimeMs, inner.mtimeMs, inner.ctimeMs].map(time);
    same('block 0', found, {
      sizeBytes,
      storedBytes,
      atime,
      mtime,
      ctime,
      dataVersion,
      generation,
      truncatedBytes,
    });
    const names = this.#store.listXattr(datasetOf(inode as InodeId));
    const values = names.map((name) =>
      this.#store.getXattr(datasetOf(inode as InodeId), name).toString('latin1'),
    );
    same(
      'attributes',
      [names.map(String), values],
      [
        [...inner.xattrs.keys()],
        [...inner.xattrs.values()].map((value) => value.toString('latin1')),
      ],
    );
    if (inner.target !== undefined)
      same(
        'the target',
        String(this.#store.readTarget(datasetOf(inode as InodeId))),
        String(inner.target),
      );
  }

  #compareBlock(inode: number, dataset: ModelDataset, block: number): void {
    this.#model.cut(dataset);
    const expected = Buffer.alloc(dataset.blockSizeBytes);
    dataset.blocks.get(block)?.bytes.copy(expected);
    const range = { offset: 0, length: expected.length };
    const view = this.#view(inode as InodeId, dataset);
    const found = Buffer.concat(this.#store.readBlock(view, block as BlockIndex, range).slices);
    if (!found.equals(expected))
      throw new Error(`block ${block} of dataset ${inode} holds other bytes`);
  }
}

const ZERO = { seconds: 0, nanoseconds: 0 };
const STAT = {
  mode: 0o100644,
  nlink: 1,
  uid: 0,
  gid: 0,
  rdev: 0,
  sizeBytes: 0,
  storedBytes: 0,
  atime: ZERO,
  mtime: ZERO,
  ctime: ZERO,
};

function attempt<T>(operation: () => T, isRefusal: (error: unknown) => boolean): T | 'refused' {
  try {
    return operation();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return 'refused';
  }
}
