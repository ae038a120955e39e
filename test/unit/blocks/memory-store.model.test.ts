/**
 * Random writes, truncations, holes, reservations, copies, reads and frees of several datasets, beside plain Buffers that
 * do the same.
 */
import test from 'ava';
import fc from 'fast-check';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { dataRuns } from '../../../src/blocks/block-map.ts';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { viewOf } from '../../support/datasets.ts';

const PAGE = 4096;

interface Step {
  readonly kind:
    | 'write'
    | 'whole'
    | 'truncate'
    | 'read'
    | 'free'
    | 'turn'
    | 'punch'
    | 'zero'
    | 'reserve'
    | 'takeBack'
    | 'copy';
  readonly dataset: number;
  readonly at: number;
  readonly length: number;
}

/** What a dataset should hold. */
interface Model {
  /** Bytes by block; what is missing is zeros. */
  readonly blocks: Map<number, Buffer>;
  /** Pages that may be data, and pages that may be reserved: `block/page`. */
  readonly data: Set<string>;
  readonly reserved: Set<string>;
  generation: number;
  truncatedBytes: number;
  /** Sum of the deltas that the store reported. */
  reportedBytes: number;
}

interface Shape {
  readonly blockSizes: readonly number[];
  readonly capacityBytes: number;
  /** Offsets lie below this many blocks. */
  readonly blockCount: number;
}

class Run {
  readonly #shape: Shape;
  readonly #store: MemoryBlockStore;
  readonly #models = new Map<number, Model>();
  #fill = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#store = new MemoryBlockStore({
      capacityBytes: shape.capacityBytes,
      blockSizeBytes: shape.blockSizes[0] ?? 4096,
      clock: new ManualClock(),
    });
  }

  async step({ kind, dataset, at, length }: Step): Promise<void> {
    const blockSize = this.#blockSize(dataset);
    const offset = at % (blockSize * this.#shape.blockCount);
    const block = Math.floor(offset / blockSize) + 1;
    const within = offset % blockSize;
    const part = Math.min(1 + (length % blockSize), blockSize - within);
    if (kind === 'write') this.#write(dataset, block, { offset: within, length: part });
    if (kind === 'whole') this.#write(dataset, block, { offset: 0, length: blockSize });
    if (kind === 'truncate') this.#truncate(dataset, offset);
    if (kind === 'read') this.#check(dataset, block, { offset: within, length: part });
    const range = { offset, length: 1 + (length % (3 * blockSize)) };
    if (kind === 'punch') this.#punch(dataset, range, 'freed');
    if (kind === 'zero') this.#punch(dataset, range, 'reserved');
    if (kind === 'reserve') this.#reserve(dataset, block, { offset: within, length: part });
    if (kind === 'takeBack') this.#takeBack(dataset, block, { offset: within, length: part });
    if (kind === 'copy') this.#copy(dataset, { offset, length: part });
    if (kind === 'free') {
      this.#store.free(dataset as InodeId);
      this.#models.delete(dataset);
    }
    if (kind === 'turn') await new Promise((resolve) => setImmediate(resolve));
  }

  /** Compares everything, frees everything, and returns what is then still in use. */
  async finish(): Promise<number[]> {
    for (const [dataset, model] of this.#models) {
      const range = { offset: 0, length: this.#blockSize(dataset) };
      for (let block = 1; block <= this.#shape.blockCount; block++)
        this.#check(dataset, block, range);
      this.#checkMap(dataset, model);
    }
    for (const dataset of this.#models.keys()) this.#store.free(dataset as InodeId);
    while (this.#store.memory().freesPending) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { usedBytes, datasets } = this.#store.usage();
    const { spans, spanBytes } = this.#store.memory();
    return [usedBytes, datasets, spans, spanBytes];
  }

  #blockSize(dataset: number): number {
    return this.#shape.blockSizes[dataset % this.#shape.blockSizes.length] ?? 4096;
  }

  #view(dataset: number): Parameters<MemoryBlockStore['discard']>[0] {
    const { generation, truncatedBytes } = this.#model(dataset);
    const blockSizeBytes = this.#blockSize(dataset);
    return viewOf(dataset as InodeId, { blockSizeBytes, generation, truncatedBytes });
  }

  #model(dataset: number): Model {
    let model = this.#models.get(dataset);
    if (model === undefined) {
      const pages = { data: new Set<string>(), reserved: new Set<string>() };
      model = { blocks: new Map(), ...pages, generation: 0, truncatedBytes: 0, reportedBytes: 0 };
      this.#models.set(dataset, model);
    }
    return model;
  }

  #write(dataset: number, block: number, range: { offset: number; length: number }): void {
    const { offset, length } = range;
    this.#fill = (this.#fill % 255) + 1;
    const model = this.#model(dataset);
    const isWhole = length === this.#shape.blockSizes[0] && this.#fill % 2 === 0;
    const lease = isWhole ? this.#store.lease() : undefined;
    const bytes = lease?.bytes ?? Buffer.allocUnsafe(length);
    bytes.fill(this.#fill);
    const before = this.#store.usage();
    try {
      const payload = { bytes, lease };
      const result = this.#store.writeBlock(
        this.#view(dataset),
        block as BlockIndex,
        offset,
        payload,
      );
      model.reportedBytes += result.storedDelta;
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== 'ENOSPC') throw error;
      const after = this.#store.usage();
      if (after.usedBytes !== before.usedBytes)
        throw new Error('ENOSPC changed what is used', { cause: error });
      const most = Math.max(64, Math.min(this.#blockSize(dataset), (offset + length) * 1.25));
      if (before.usedBytes + most <= before.capacityBytes) {
        throw new Error('ENOSPC without need', { cause: error });
      }
      return;
    } finally {
      lease?.release();
    }
    const old = model.blocks.get(block) ?? Buffer.alloc(0);
    const stored = Buffer.alloc(Math.max(old.length, offset + length));
    old.copy(stored);
    stored.fill(this.#fill, offset, offset + length);
    model.blocks.set(block, stored);
    this.#mark(model.data, dataset, block, { offset, length });
  }

  /** Pages that a range of a block touches. */
  #mark(
    pages: Set<string>,
    dataset: number,
    block: number,
    range: { offset: number; length: number },
  ): void {
    const end = Math.min(this.#blockSize(dataset), range.offset + range.length);
    for (let page = Math.floor(range.offset / PAGE); page * PAGE < end; page++) {
      pages.add(`${block}/${page}`);
    }
  }

  /** Forgets the pages that lie whole within bytes `start` to `end` of the dataset. */
  #unmark(
    pages: Set<string>,
    dataset: number,
    { start, end }: { start: number; end: number },
  ): void {
    const blockSize = this.#blockSize(dataset);
    for (const name of [...pages]) {
      const [block = 0, page = 0] = name.split('/').map(Number);
      const from = (block - 1) * blockSize + page * PAGE;
      const to = Math.min(block * blockSize, from + PAGE);
      if (from >= start && to <= end) pages.delete(name);
    }
  }

  #punch(
    dataset: number,
    { offset, length }: { offset: number; length: number },
    room: 'freed' | 'reserved',
  ): void {
    const model = this.#model(dataset);
    const blockSize = this.#blockSize(dataset);
    const end = offset + length;
    const view = this.#view(dataset);
    model.reportedBytes += this.#store.punch(view, { offset, length }, room).storedDelta;
    for (const [block, bytes] of model.blocks) {
      const start = (block - 1) * blockSize;
      const from = Math.max(0, offset - start);
      const to = Math.min(bytes.length, end - start);
      if (from < to) bytes.fill(0, from, to);
      // The memory that a block has is what stays reserved of it.
      if (room === 'reserved' && from < Math.min(blockSize, end - start)) {
        this.#mark(model.reserved, dataset, block, { offset: 0, length: blockSize });
      }
    }
    this.#unmark(model.data, dataset, { start: offset, end });
    if (room === 'freed') this.#unmark(model.reserved, dataset, { start: offset, end });
  }

  #reserve(dataset: number, block: number, range: { offset: number; length: number }): void {
    const model = this.#model(dataset);
    const extents = [{ block: block as BlockIndex, ...range }];
    const before = this.#store.usage().usedBytes;
    try {
      const { storedDelta, added } = this.#store.reserve(this.#view(dataset), extents);
      model.reportedBytes += storedDelta;
      for (const each of added) {
        if (this.#nonZero(dataset, block, each)) throw new Error('data was not stored before');
      }
      this.#mark(model.reserved, dataset, block, range);
      if (!model.blocks.has(block)) model.blocks.set(block, Buffer.alloc(0));
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== 'ENOSPC') throw error;
      if (this.#store.usage().usedBytes !== before)
        throw new Error('ENOSPC kept some', { cause: error });
    }
  }

  #nonZero(
    dataset: number,
    block: number,
    { offset, length }: { offset: number; length: number },
  ): boolean {
    const bytes = this.#model(dataset)
      .blocks.get(block)
      ?.subarray(offset, offset + length);
    return length === this.#blockSize(dataset) && bytes?.some((byte) => byte !== 0) === true;
  }

  #takeBack(dataset: number, block: number, range: { offset: number; length: number }): void {
    const model = this.#model(dataset);
    const extents = [{ block: block as BlockIndex, ...range }];
    model.reportedBytes += this.#store.unreserve(this.#view(dataset), extents).storedDelta;
    const start = (block - 1) * this.#blockSize(dataset) + range.offset;
    const wide = { start: start - PAGE + 1, end: start + range.length + PAGE - 1 };
    this.#unmark(model.reserved, dataset, wide);
  }

  /** From the place to the next dataset, at the same place in its block or at the block's beginning. */
  #copy(dataset: number, { offset, length }: { offset: number; length: number }): void {
    const other = (dataset % 5) + 1;
    const [fromSize, toSize] = [this.#blockSize(dataset), this.#blockSize(other)];
    const block = Math.floor(offset / fromSize) + 1;
    const within = offset % fromSize;
    const at = within + length <= toSize ? within : 0;
    const most = Math.min(length, toSize - at);
    const source = Buffer.alloc(most);
    this.#model(dataset)
      .blocks.get(block)
      ?.subarray(within, within + most)
      .copy(source);
    const model = this.#model(other);
    try {
      const copied = this.#store.copyBlock(
        { view: this.#view(dataset), block: block as BlockIndex, offset: within },
        { view: this.#view(other), block: block as BlockIndex, offset: at },
        most,
      );
      model.reportedBytes += copied.storedDelta;
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== 'ENOSPC') throw error;
      return;
    }
    const old = model.blocks.get(block) ?? Buffer.alloc(0);
    const stored = Buffer.alloc(Math.max(old.length, at + most));
    old.copy(stored);
    source.copy(stored, at);
    model.blocks.set(block, stored);
    this.#mark(model.data, other, block, { offset: at, length: most });
  }

  /** What the store says is data is what may be, and all that is not zeros; it counts what it tells of. */
  #checkMap(dataset: number, model: Model): void {
    const blockSizeBytes = this.#blockSize(dataset);
    const count = this.#shape.blockCount;
    const first = 1 as BlockIndex;
    const map = this.#store.map(this.#view(dataset), first, count);
    const pages = new Set<string>();
    for (const { start, end } of dataRuns(map, first, { blockSizeBytes })) {
      for (let at = start; at < end;) {
        const block = Math.floor(at / blockSizeBytes) + 1;
        const page = Math.floor((at % blockSizeBytes) / PAGE);
        pages.add(`${block}/${page}`);
        at = Math.min((block - 1) * blockSizeBytes + (page + 1) * PAGE, block * blockSizeBytes);
      }
    }
    for (const page of pages) if (!model.data.has(page)) throw new Error(`${page} is no data`);
    for (const [block, bytes] of model.blocks) {
      for (let page = 0; page * PAGE < bytes.length; page++) {
        const isData = bytes.subarray(page * PAGE, (page + 1) * PAGE).some((byte) => byte !== 0);
        if (isData && !pages.has(`${block}/${page}`)) throw new Error(`${block}/${page} is data`);
      }
    }
    const blocks = Array.from({ length: count }, (_, index) => (index + 1) as BlockIndex);
    const located = this.#store.locate(this.#view(dataset), blocks);
    let stored = 0;
    for (const { storedBytes } of located) stored += storedBytes ?? 0;
    if (stored !== model.reportedBytes) throw new Error('wrong sum of storedDelta');
    const possible = new Set([...pages, ...model.reserved]).size * PAGE;
    if (stored > possible) throw new Error('more is stored than data and reservations');
  }

  #truncate(dataset: number, sizeBytes: number): void {
    const model = this.#model(dataset);
    model.generation++;
    model.truncatedBytes = sizeBytes;
    const blockSize = this.#blockSize(dataset);
    for (const [block, bytes] of [...model.blocks]) {
      const kept = Math.min(bytes.length, sizeBytes - (block - 1) * blockSize);
      if (kept <= 0) model.blocks.delete(block);
      else model.blocks.set(block, bytes.subarray(0, kept));
    }
    this.#unmark(model.data, dataset, { start: sizeBytes, end: Infinity });
    this.#unmark(model.reserved, dataset, { start: sizeBytes, end: Infinity });
    // Every other truncation is left for the next request to bring.
    if (sizeBytes % 2 === 0 || model.blocks.size === 0) {
      model.reportedBytes += this.#store.discard(this.#view(dataset)).storedDelta;
    } else {
      this.#check(dataset, 1, { offset: 0, length: 1 });
      model.reportedBytes += this.#store.discard(this.#view(dataset)).storedDelta;
    }
  }

  #check(dataset: number, block: number, range: { offset: number; length: number }): void {
    const { offset, length } = range;
    const expected = Buffer.alloc(length);
    const stored = this.#model(dataset).blocks.get(block);
    // Cut first: copy() throws, instead of copying nothing, where it is to start behind the end.
    stored?.subarray(offset, offset + length).copy(expected);
    const { slices } = this.#store.readBlock(this.#view(dataset), block as BlockIndex, range);
    if (!Buffer.concat(slices).equals(expected)) throw new Error('wrong bytes');
  }
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(
    ...(['write', 'write', 'write', 'whole', 'truncate', 'read', 'free', 'turn'] as const),
    ...(['punch', 'zero', 'reserve', 'takeBack', 'copy'] as const),
  ),
  dataset: fc.integer({ min: 1, max: 5 }),
  at: fc.nat(),
  length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.nat()),
});

const SHAPES: Record<string, Shape> = {
  '4096 and 5000': { blockSizes: [4096, 5000], capacityBytes: 300_000, blockCount: 90 },
  '65536 and 4096': { blockSizes: [65_536, 4096, 10_000], capacityBytes: 500_000, blockCount: 20 },
  '1000000 and 1 MiB': {
    blockSizes: [1_000_000, 2 ** 20],
    capacityBytes: 5_000_000,
    blockCount: 3,
  },
};

for (const [name, shape] of Object.entries(SHAPES)) {
  test(`datasets hold what plain buffers would, with blocks of ${name}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
        const run = new Run(shape);
        for (const one of steps) await run.step(one);
        t.deepEqual(await run.finish(), [0, 0, 0, 0]);
      }),
      { numRuns: shape.blockSizes.includes(1_000_000) ? 15 : 40 },
    );
  });
}
