/**
 * What the block store should hold and charge: plain Buffers, and for each of them the slot that it takes. The model
 * foretells every ENOSPC and every byte in use, so that nothing can be lost or charged twice unnoticed.
 */
import { MAX_INNER_BYTES, INNER_FIXED_BYTES, xattrBytes } from '../../../src/blocks/inner.ts';
import { SizeClasses } from '../../../src/blocks/size-classes.ts';
import { dataBytes, noteWrite, withoutHolesAtEnd } from './page-holes.ts';

export class NoSpace extends Error {}

interface Slot {
  slotBytes: number;
}

export interface ModelBlock extends Slot {
  /** As long as what is stored of the block. */
  bytes: Buffer;
  /** Pages of it that were never written. */
  holes: Set<number>;
}

export interface ModelInner extends Slot {
  sizeBytes: number;
  storedBytes: number;
  /** Milliseconds on the test's clock. */
  atimeMs: number;
  mtimeMs: number;
  ctimeMs: number;
  dataVersion: number;
  generation: number;
  truncatedBytes: number;
  /** Not every data server is known to have discarded what the latest truncation cut off. */
  unconfirmed: boolean;
  target: Buffer | undefined;
  xattrs: Map<string, Buffer>;
}

export interface ModelDataset {
  blockSizeBytes: number;
  inner: ModelInner;
  blocks: Map<number, ModelBlock>;
  /** The generation that the blocks are cut to. */
  applied: number;
  /** Change of stored bytes since the last one that was reported. */
  owed: number;
}

export class BlockModel {
  readonly capacityBytes: number;
  readonly datasets = new Map<number, ModelDataset>();
  readonly #sizes = new SizeClasses();
  usedBytes = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  /** The slot that `bytes` take where none may be larger than `ceiling`. */
  slotFor(bytes: number, ceiling: number): number {
    return this.#sizes.slotBytes[this.#sizes.fit(bytes, ceiling)] ?? NaN;
  }

  /** Exchanges a slot (0 for none) for another. */
  #charge(slotBytes: number, oldBytes: number): number {
    if (this.usedBytes - oldBytes + slotBytes > this.capacityBytes) throw new NoSpace();
    this.usedBytes += slotBytes - oldBytes;
    return slotBytes;
  }

  create(
    inode: number,
    options: { blockSizeBytes: number; target: Buffer | undefined; nowMs: number },
  ): ModelDataset {
    const { blockSizeBytes, target, nowMs } = options;
    const known = this.datasets.get(inode);
    if (known !== undefined) return known;
    const bytes = INNER_FIXED_BYTES + (target?.length ?? 0);
    const inner: ModelInner = {
      slotBytes: this.#charge(this.slotFor(bytes, MAX_INNER_BYTES), 0),
      sizeBytes: 0,
      storedBytes: 0,
      atimeMs: nowMs,
      mtimeMs: nowMs,
      ctimeMs: nowMs,
      dataVersion: 0,
      generation: 0,
      truncatedBytes: 0,
      unconfirmed: false,
      target,
      xattrs: new Map(),
    };
    const made = {
      blockSizeBytes,
      inner,
      blocks: new Map<number, ModelBlock>(),
      applied: 0,
      owed: 0,
    };
    this.datasets.set(inode, made);
    return made;
  }

  write(
    dataset: ModelDataset,
    block: number,
    write: { offset: number; bytes: Buffer; adopts: boolean },
  ): number {
    this.cut(dataset);
    const { offset, bytes, adopts } = write;
    const end = offset + bytes.length;
    const old = dataset.blocks.get(block);
    const oldBytes = old?.bytes ?? Buffer.alloc(0);
    const slotBytes = adopts
      ? this.#charge(dataset.blockSizeBytes, old?.slotBytes ?? 0)
      : this.#slotAfter(dataset, old, end);
    const stored = Buffer.alloc(Math.max(oldBytes.length, end));
    oldBytes.copy(stored);
    bytes.copy(stored, offset);
    const holes = old?.holes ?? new Set<number>();
    const before = dataBytes(holes, oldBytes.length);
    if (bytes.length > 0) noteWrite(holes, { start: offset, end }, oldBytes.length);
    dataset.blocks.set(block, { bytes: stored, slotBytes, holes });
    dataset.owed += dataBytes(holes, stored.length) - before;
    return this.settle(dataset);
  }

  /** A block that outgrows its slot takes one of twice the size, or where that is too much, one that just fits. */
  #slotAfter(dataset: ModelDataset, old: ModelBlock | undefined, end: number): number {
    const { blockSizeBytes } = dataset;
    if (old === undefined) return this.#charge(this.slotFor(end, blockSizeBytes), 0);
    if (end <= old.slotBytes) return old.slotBytes;
    const generous = Math.max(end, Math.min(2 * old.slotBytes, blockSizeBytes));
    try {
      return this.#charge(this.slotFor(generous, blockSizeBytes), old.slotBytes);
    } catch {
      return this.#charge(this.slotFor(end, blockSizeBytes), old.slotBytes);
    }
  }

  /** What any data request does first: blocks follow the latest truncation. */
  cut(dataset: ModelDataset): void {
    const { inner, blockSizeBytes, blocks } = dataset;
    if (dataset.applied === inner.generation) return;
    dataset.applied = inner.generation;
    for (const [index, block] of [...blocks]) {
      const end = inner.truncatedBytes - (index - 1) * blockSizeBytes;
      if (end >= block.bytes.length) continue;
      const kept = withoutHolesAtEnd(block.holes, end);
      dataset.owed -= dataBytes(block.holes, block.bytes.length) - dataBytes(block.holes, kept);
      for (const page of block.holes) if (page * 4096 >= kept) block.holes.delete(page);
      if (kept <= 0) {
        this.usedBytes -= block.slotBytes;
        blocks.delete(index);
        continue;
      }
      block.bytes = block.bytes.subarray(0, kept);
      const smaller = this.slotFor(kept, blockSizeBytes);
      if (smaller * 2 <= block.slotBytes) block.slotBytes = this.#charge(smaller, block.slotBytes);
    }
  }

  settle(dataset: ModelDataset): number {
    const { owed } = dataset;
    dataset.owed = 0;
    return owed;
  }

  innerBytes({ target, xattrs }: ModelInner): number {
    let bytes = INNER_FIXED_BYTES + (target?.length ?? 0);
    for (const [name, value] of xattrs) bytes += xattrBytes(Buffer.from(name), value);
    return bytes;
  }

  setXattr(inner: ModelInner, name: string, value: Buffer): void {
    const old = inner.xattrs.get(name);
    const before = old === undefined ? 0 : xattrBytes(Buffer.from(name), old);
    const length = this.innerBytes(inner) - before + xattrBytes(Buffer.from(name), value);
    if (length > inner.slotBytes) {
      if (length > MAX_INNER_BYTES) throw new NoSpace();
      inner.slotBytes = this.#charge(this.slotFor(length, MAX_INNER_BYTES), inner.slotBytes);
    }
    inner.xattrs.set(name, value);
  }

  removeXattr(inner: ModelInner, name: string): void {
    inner.xattrs.delete(name);
    const smaller = this.slotFor(this.innerBytes(inner), MAX_INNER_BYTES);
    if (smaller * 2 <= inner.slotBytes) inner.slotBytes = this.#charge(smaller, inner.slotBytes);
  }

  free(inode: number): void {
    const dataset = this.datasets.get(inode);
    if (dataset === undefined) return;
    this.usedBytes -= dataset.inner.slotBytes;
    for (const { slotBytes } of dataset.blocks.values()) this.usedBytes -= slotBytes;
    this.datasets.delete(inode);
  }
}
