/** Random writes, truncations, reads and frees of several datasets, beside plain Buffers that do the same. */
import test from 'ava';
import fc from 'fast-check';
import { MemoryBlockStore } from '../../../src/blocks/memory-store.ts';
import { ManualClock } from '../../../src/clock.ts';
import { FsError } from '../../../src/errno.ts';
import type { BlockIndex, InodeId } from '../../../src/ids.ts';
import { viewOf } from '../../support/datasets.ts';

interface Step {
  readonly kind: 'write' | 'whole' | 'truncate' | 'read' | 'free' | 'turn';
  readonly dataset: number;
  readonly at: number;
  readonly length: number;
}

/** What a dataset should hold. */
interface Model {
  /** Stored bytes by block; what is missing is zeros. */
  readonly blocks: Map<number, Buffer>;
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
      let stored = 0;
      for (const bytes of model.blocks.values()) stored += bytes.length;
      if (stored !== model.reportedBytes) throw new Error('wrong sum of storedDelta');
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
      model = { blocks: new Map(), generation: 0, truncatedBytes: 0, reportedBytes: 0 };
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
  kind: fc.constantFrom('write', 'write', 'write', 'whole', 'truncate', 'read', 'free', 'turn'),
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
