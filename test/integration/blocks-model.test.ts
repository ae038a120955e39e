/** Files on several servers, one of them of two threads, beside plain Buffers that do the same. */
import test from 'ava';
import fc from 'fast-check';
import { StripedBlockStore } from '../../src/blocks/striped-store.ts';
import type { BlockStore, DataAttributes } from '../../src/blocks/store.ts';
import type { Dataset } from '../../src/layout.ts';
import { POLICIES } from '../../src/policy.ts';
import {
  datasetOf,
  makeLocator,
  readBytes,
  statFor,
  viewOf,
  writeBytes,
} from '../support/block-datasets.ts';
import { connectTo, startBlockServer } from '../support/block-servers.ts';

const MOST_BYTES = 60_000;

interface Step {
  readonly kind: 'write' | 'append' | 'truncate' | 'read' | 'stat';
  readonly at: number;
  readonly length: number;
}

/** A file by the rules of POSIX, on top of a block store. */
class BlockFile {
  readonly #store: BlockStore;
  readonly #dataset: Dataset;
  #inner: DataAttributes;

  constructor(store: BlockStore, dataset: Dataset, inner: DataAttributes) {
    this.#store = store;
    this.#dataset = dataset;
    this.#inner = inner;
  }

  get inner(): DataAttributes {
    return this.#inner;
  }

  /** All pieces at once, as the file system does it. */
  async write(offset: number, bytes: Buffer): Promise<void> {
    const deltas = await Promise.all(
      this.#pieces(offset, bytes.length).map(({ block, within, from, length }) => {
        const piece = bytes.subarray(from, from + length);
        const where = { block, offset: within, bytes: piece };
        return writeBytes(this.#store, viewOf(this.#dataset, this.#inner), where);
      }),
    );
    const storedDelta = deltas.reduce((sum, delta) => sum + delta, 0);
    const change = { endBytes: offset + bytes.length, storedDelta };
    this.#inner = await this.#store.noteWrite(this.#dataset, change);
  }

  async append(bytes: Buffer): Promise<void> {
    const { offset } = await this.#store.reserveAppend(this.#dataset, bytes.length);
    await this.write(offset, bytes);
  }

  async truncate(sizeBytes: number): Promise<void> {
    const truncation = { sizeBytes, confirmedGeneration: 0 };
    const inner = await this.#store.truncate(this.#dataset, truncation);
    const { storedDelta } = await this.#store.discard(viewOf(this.#dataset, inner));
    await this.#store.confirmTruncation(this.#dataset, inner.generation);
    this.#inner = await this.#store.noteWrite(this.#dataset, { endBytes: 0, storedDelta });
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const view = viewOf(this.#dataset, this.#inner);
    const pieces = this.#pieces(offset, length).map((piece) => {
      const where = { block: piece.block, offset: piece.within, length: piece.length };
      return readBytes(this.#store, view, where);
    });
    return Buffer.concat(await Promise.all(pieces));
  }

  async free(): Promise<void> {
    await this.#store.free(this.#dataset.inode);
  }

  #pieces(
    offset: number,
    length: number,
  ): { block: number; within: number; from: number; length: number }[] {
    const { blockSizeBytes } = this.#dataset.layout;
    const pieces = [];
    for (let from = 0; from < length;) {
      const within = (offset + from) % blockSizeBytes;
      const part = Math.min(blockSizeBytes - within, length - from);
      const block = Math.floor((offset + from) / blockSizeBytes) + 1;
      pieces.push({ block, within, from, length: part });
      from += part;
    }
    return pieces;
  }
}

async function runScript(file: BlockFile, steps: readonly Step[]): Promise<void> {
  let model = Buffer.alloc(0);
  const grow = (sizeBytes: number): void => {
    if (sizeBytes > model.length) {
      model = Buffer.concat([model, Buffer.alloc(sizeBytes - model.length)]);
    }
  };
  for (const [n, { kind, at, length }] of steps.entries()) {
    const bytes = Buffer.alloc(length, n + 1);
    if (kind === 'write') {
      await file.write(at, bytes);
      grow(at + length);
      bytes.copy(model, at);
    } else if (kind === 'append') {
      await file.append(bytes);
      model = Buffer.concat([model, bytes]);
    } else if (kind === 'truncate') {
      await file.truncate(at);
      model = Buffer.from(model.subarray(0, at));
      grow(at);
    } else if (kind === 'read') {
      const part = model.subarray(at, at + length);
      if (!(await file.read(at, part.length)).equals(part)) throw new Error(`wrong bytes at ${n}`);
    } else if (file.inner.sizeBytes !== model.length) {
      throw new Error(`size ${file.inner.sizeBytes}, ${model.length} expected`);
    }
  }
  if (!(await file.read(0, model.length)).equals(model)) throw new Error('wrong bytes at the end');
  if (file.inner.storedBytes > model.length) throw new Error('more is stored than the file has');
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('write', 'write', 'append', 'truncate', 'read', 'stat'),
  at: fc.integer({ min: 0, max: MOST_BYTES }),
  length: fc.integer({ min: 1, max: 20_000 }),
});

test('files on several servers hold what plain buffers would, and leave nothing behind', async (t) => {
  const servers = await Promise.all([1, 1, 2].map((threads) => startBlockServer({ threads })));
  const members = servers.map(({ address }) => connectTo(address));
  const store = new StripedBlockStore({ members, locator: makeLocator(), ownServer: 1 });
  let inode = 1;
  const script = fc.array(step, { maxLength: 40 });
  const size = fc.constantFrom(4096, 5000, 16_384);
  try {
    await fc.assert(
      fc.asyncProperty(script, size, fc.constantFrom(...POLICIES), async (steps, bytes, policy) => {
        const dataset = datasetOf(inode++, { policy, blockSizeBytes: bytes, home: 2 });
        const inner = await store.createInner(dataset, { stat: statFor(dataset) });
        const file = new BlockFile(store, dataset, inner);
        try {
          await runScript(file, steps);
        } finally {
          await file.free();
        }
        t.is((await store.usage()).usedBytes, 0);
      }),
      { numRuns: 40 },
    );
  } finally {
    await Promise.all(members.map((member) => member.close()));
    await Promise.all(servers.map((server) => server.close()));
  }
});
