/**
 * The memory behind the block store: slabs of 64 MiB or more, cut into runs of pages. A free run always borders
 * on used pages (or its slab's ends), and pages that were used before are handed out before untouched ones.
 */
import { invariant } from '../invariant.ts';
import { PAGE_BYTES, floorLog2 } from './size-classes.ts';

/** Pages are numbered through all slabs; each slab begins at a multiple of this, the first at one times it. */
const PAGES_PER_UNIT = 16_384;
const UNIT_SHIFT = 14;
/** Smallest slab. */
export const UNIT_BYTES = PAGES_PER_UNIT * PAGE_BYTES;
/**
 * Large stores take larger slabs, up to this: the garbage collector runs after each 64 MiB or so of new buffers,
 * and once for a larger one.
 */
const MAX_SLAB_BYTES = 2 ** 30;
const SLABS_PER_STORE = 32;
/** Page numbers fit 32 bits: 16 TiB. */
const MAX_PAGES = 2 ** 32;
const BIN_COUNT = 128;
/** How many runs of one bin are looked at before larger ones are cut. */
const QUICK_SCAN = 16;

/** One piece of memory. */
export interface Slab {
  readonly buffer: Buffer;
  /** The same memory. */
  readonly view: DataView;
  readonly firstPage: number;
  readonly pageCount: number;
  /** Pages from here to the end have never been handed out, so they need not be backed by RAM yet. */
  fresh: number;
  /** Length of a free run at its first and at its last page; 0 at all other pages. */
  readonly lengths: Uint32Array;
  /** By a free run's first page: page numbers of its neighbours in its bin; 0 for none. */
  readonly next: Uint32Array;
  readonly previous: Uint32Array;
}

/** Where slabs come from; throws a RangeError when the system has no more memory. */
export type MemorySource = (bytes: number) => Buffer;

/** Bins of runs: exact below eight pages, then four to each doubling. */
function binOf(pages: number): number {
  if (pages < 4) return pages;
  const log2 = floorLog2(pages);
  return (log2 - 1) * 4 + ((pages >>> (log2 - 2)) & 3);
}

/** Hands out runs of pages by the number of their first page; 0 stands for failure. */
export class PageRuns {
  readonly #slabOfUnit: Slab[] = [];
  readonly #bins = new Uint32Array(BIN_COUNT);
  readonly #limitPages: number;
  readonly #slabUnits: number;
  readonly #source: MemorySource;
  /** Slabs that have pages left which were never handed out, the oldest first. */
  readonly #open: Slab[] = [];
  #usedPages = 0;
  #touchedPages = 0;
  #slabBytes = 0;

  /** `limitBytes` bounds the pages that are ever handed out, and with that the RAM that slabs take. */
  constructor(limitBytes: number, source: MemorySource) {
    this.#limitPages = Math.ceil(limitBytes / PAGE_BYTES);
    const slabBytes = Math.min(MAX_SLAB_BYTES, limitBytes / SLABS_PER_STORE);
    this.#slabUnits = Math.max(1, Math.floor(slabBytes / UNIT_BYTES));
    this.#source = source;
  }

  /** Bytes of address space in slabs. */
  get slabBytes(): number {
    return this.#slabBytes;
  }

  /** Bytes that have been handed out at least once: at most so much RAM is in use. */
  get touchedBytes(): number {
    return this.#touchedPages * PAGE_BYTES;
  }

  /** Bytes in runs that are handed out now. */
  get usedBytes(): number {
    return this.#usedPages * PAGE_BYTES;
  }

  /** The slab of a page that was handed out. */
  slabOf(page: number): Slab {
    return this.#slabOfUnit[page >>> UNIT_SHIFT] as Slab;
  }

  /** A run of memory used before, or 0. With `thorough` no run that fits is missed. */
  reuse(pages: number, thorough: boolean): number {
    const bin = binOf(pages);
    let page = this.#scan(bin, pages, thorough ? Infinity : QUICK_SCAN);
    for (let larger = bin + 1; page === 0 && larger < BIN_COUNT; larger++) {
      page = this.#bins[larger] as number;
    }
    if (page === 0) return 0;
    const slab = this.slabOf(page);
    const first = page - slab.firstPage;
    const length = slab.lengths[first] as number;
    this.#unlink(slab, first);
    if (length > pages) this.#link(slab, first + pages, length - pages);
    this.#usedPages += pages;
    return page;
  }

  /** A run of memory not used before, or 0 at the limit, or where it would take a new slab and must not. */
  extend(pages: number, mayAddSlab: boolean): number {
    if (this.#touchedPages + pages > this.#limitPages) return 0;
    let slab = this.#open.find(({ fresh, pageCount }) => fresh + pages <= pageCount);
    if (slab === undefined) {
      slab = mayAddSlab ? this.#addSlab(pages) : undefined;
      if (slab === undefined) return 0;
      this.#open.push(slab);
    }
    const page = slab.firstPage + slab.fresh;
    slab.fresh += pages;
    if (slab.fresh === slab.pageCount) this.#open.splice(this.#open.indexOf(slab), 1);
    this.#touchedPages += pages;
    this.#usedPages += pages;
    return page;
  }

  /** Takes a run back. */
  give(page: number, pages: number): void {
    const slab = this.slabOf(page);
    let first = page - slab.firstPage;
    let length = pages;
    const before = first > 0 ? (slab.lengths[first - 1] as number) : 0;
    if (before > 0) {
      first -= before;
      length += before;
      this.#unlink(slab, first);
    }
    const end = first + length;
    const after = end < slab.fresh ? (slab.lengths[end] as number) : 0;
    if (after > 0) {
      length += after;
      this.#unlink(slab, end);
    }
    this.#link(slab, first, length);
    this.#usedPages -= pages;
  }

  #scan(bin: number, pages: number, limit: number): number {
    let page = this.#bins[bin] as number;
    for (let seen = 0; page !== 0 && seen < limit; seen++) {
      const slab = this.slabOf(page);
      const first = page - slab.firstPage;
      if ((slab.lengths[first] as number) >= pages) return page;
      page = slab.next[first] as number;
    }
    return 0;
  }

  #addSlab(pages: number): Slab | undefined {
    const least = Math.ceil(pages / PAGES_PER_UNIT);
    const usual = Math.max(least, this.#slabUnits);
    const slab = this.#makeSlab(usual) ?? (usual > least ? this.#makeSlab(least) : undefined);
    if (slab === undefined) return undefined;
    // Unit 0 stays empty, so that no page has the number 0; it repeats the first slab to keep the array dense.
    if (this.#slabOfUnit.length === 0) this.#slabOfUnit.push(slab);
    for (let page = 0; page < slab.pageCount; page += PAGES_PER_UNIT) this.#slabOfUnit.push(slab);
    this.#slabBytes += slab.pageCount * PAGE_BYTES;
    return slab;
  }

  /** A slab behind all others, or undefined if there is no memory. */
  #makeSlab(units: number): Slab | undefined {
    const firstPage = Math.max(1, this.#slabOfUnit.length) * PAGES_PER_UNIT;
    const pageCount = units * PAGES_PER_UNIT;
    if (firstPage + pageCount > MAX_PAGES) return undefined;
    try {
      const buffer = this.#source(pageCount * PAGE_BYTES);
      return {
        buffer,
        view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length),
        firstPage,
        pageCount,
        fresh: 0,
        lengths: new Uint32Array(pageCount),
        next: new Uint32Array(pageCount),
        previous: new Uint32Array(pageCount),
      };
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  #link(slab: Slab, first: number, length: number): void {
    const bin = binOf(length);
    const page = slab.firstPage + first;
    const head = this.#bins[bin] as number;
    slab.lengths[first] = length;
    slab.lengths[first + length - 1] = length;
    slab.next[first] = head;
    slab.previous[first] = 0;
    if (head !== 0) {
      const headSlab = this.slabOf(head);
      headSlab.previous[head - headSlab.firstPage] = page;
    }
    this.#bins[bin] = page;
  }

  #unlink(slab: Slab, first: number): void {
    const length = slab.lengths[first] as number;
    invariant(length > 0, 'a free run has a length');
    const next = slab.next[first] as number;
    const previous = slab.previous[first] as number;
    slab.lengths[first] = 0;
    slab.lengths[first + length - 1] = 0;
    if (next !== 0) {
      const nextSlab = this.slabOf(next);
      nextSlab.previous[next - nextSlab.firstPage] = previous;
    }
    if (previous === 0) {
      this.#bins[binOf(length)] = next;
    } else {
      const previousSlab = this.slabOf(previous);
      previousSlab.next[previous - previousSlab.firstPage] = next;
    }
  }
}
