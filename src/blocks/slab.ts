/**
 * The allocator of block memory. Runs of pages become spans, a span holds slots of one size class while any of
 * them is used, and its pages are free for every class once none is. Nothing here throws for want of memory.
 */
import { invariant } from '../invariant.ts';
import { allocatePlaced } from '../pipes/placed-memory.ts';
import { PageRuns, UNIT_BYTES, type MemorySource, type Slab } from './page-runs.ts';
import { MAX_SLOTS_PER_SPAN, PAGE_BYTES, SizeClasses } from './size-classes.ts';

/**
 * Names a slot: span number times {@link MAX_SLOTS_PER_SPAN} plus the slot's number within it. Below 2^53, never
 * 0; 0 stands for "none".
 */
export type SlotRef = number;

/** Where slabs begin in a page, and with them the blocks of whole pages: see `allocatePlaced`. */
const OFFSET_BYTES = 256;

/** Columns of the span table, one row of 32-bit words per span. */
const Column = { PAGE: 0, CLASS: 1, USED: 2, FREE: 3, TOUCHED: 4, NEXT: 5, PREVIOUS: 6 } as const;
const ROW_SHIFT = 3;
const ROW_WORDS = 1 << ROW_SHIFT;

export interface SlotAllocatorOptions {
  capacityBytes: number;
  /**
   * Called when memory must otherwise come from fresh pages or not at all: returns some slots that are
   * waiting to be freed, false when none were.
   */
  reclaim?: () => boolean;
  source?: MemorySource;
}

/** A slot whose bytes somebody still reads. */
interface Pin {
  readers: number;
  /** It was given back meanwhile. */
  isGiven: boolean;
}

/** What the allocator holds, for logs and tests. */
export interface MemoryReport {
  /** Address space of all slabs. */
  slabBytes: number;
  /** How much of it was ever in use: the most that it can take of RAM. */
  touchedBytes: number;
  /** Bytes of spans with at least one used slot. */
  spanBytes: number;
  spans: number;
}

/**
 * RAM that may be lost between slots: spans that hold few used slots cannot serve other classes. Bounded, so
 * that fragments end in ENOSPC and not in the system's memory running out.
 */
function fragmentAllowance(capacityBytes: number): number {
  return Math.max(UNIT_BYTES, capacityBytes / 4);
}

/** A longer copy; throws a RangeError when there is no memory. */
function enlarged(words: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(words);
  return larger;
}

export class SlotAllocator {
  readonly sizes = new SizeClasses();
  readonly capacityBytes: number;
  readonly #runs: PageRuns;
  readonly #reclaim: () => boolean;
  /** First span with a free slot, by class. */
  #partial = new Uint32Array(this.sizes.slotBytes.length);
  #spans = new Uint32Array(64 * ROW_WORDS);
  /** Span numbers from here on were never used; the unused ones below are linked from `#vacant`. */
  #spanEnd = 1;
  #vacant = 0;
  #spanCount = 0;
  #usedBytes = 0;
  readonly #pins = new Map<SlotRef, Pin>();

  constructor(options: SlotAllocatorOptions) {
    this.capacityBytes = options.capacityBytes;
    this.#reclaim = options.reclaim ?? (() => false);
    this.#runs = new PageRuns(
      options.capacityBytes + fragmentAllowance(options.capacityBytes),
      options.source ?? ((bytes) => allocatePlaced(bytes, OFFSET_BYTES)),
    );
  }

  /** Sum of the sizes of all slots that are charged. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  report(): MemoryReport {
    return {
      slabBytes: this.#runs.slabBytes,
      touchedBytes: this.#runs.touchedBytes,
      spanBytes: this.#runs.usedBytes,
      spans: this.#spanCount,
    };
  }

  /**
   * Takes a slot of class `sizeClass` and charges it, or returns 0: no capacity, or no memory. The caller is about to
   * release slots of `creditBytes` in exchange.
   */
  allocate(sizeClass: number, creditBytes: number): SlotRef {
    const bytes = this.sizes.slotBytes[sizeClass] as number;
    if (!this.charge(bytes, creditBytes)) return 0;
    const ref = this.take(sizeClass);
    if (ref === 0) this.#usedBytes -= bytes;
    return ref;
  }

  /** Frees a slot that was charged. */
  release(ref: SlotRef): void {
    this.#usedBytes -= this.slotBytes(ref);
    this.give(ref);
  }

  /** Counts `bytes` as used unless that exceeds the capacity, of which `creditBytes` are about to be released. */
  charge(bytes: number, creditBytes: number): boolean {
    if (this.#usedBytes - creditBytes + bytes > this.capacityBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** The counterpart of {@link charge}. */
  discharge(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** Takes a slot without charging it, or returns 0. */
  take(sizeClass: number): SlotRef {
    const span = this.#spanWithRoom(sizeClass);
    if (span === 0) return 0;
    const row = span << ROW_SHIFT;
    const spans = this.#spans;
    const free = spans[row + Column.FREE] as number;
    let slot: number;
    if (free === 0) {
      slot = spans[row + Column.TOUCHED] as number;
      spans[row + Column.TOUCHED] = slot + 1;
    } else {
      slot = free - 1;
      spans[row + Column.FREE] = this.#linkOf(row, slot);
    }
    const used = (spans[row + Column.USED] as number) + 1;
    spans[row + Column.USED] = used;
    if (used === this.sizes.slotCounts[sizeClass]) this.#unlist(span);
    return span * MAX_SLOTS_PER_SPAN + slot;
  }

  /**
   * Keeps the slot's bytes for a reader, until what is returned is called: a slot that is given back meanwhile is not
   * used again before.
   */
  pin(ref: SlotRef): () => void {
    const pin = this.#pins.get(ref) ?? { readers: 0, isGiven: false };
    invariant(!pin.isGiven, 'only a used slot is pinned');
    pin.readers++;
    this.#pins.set(ref, pin);
    let isPinned = true;
    return () => {
      if (!isPinned) return;
      isPinned = false;
      if (--pin.readers > 0) return;
      this.#pins.delete(ref);
      if (pin.isGiven) this.give(ref);
    };
  }

  /** True while a reader needs the slot's bytes as they are. */
  isPinned(ref: SlotRef): boolean {
    return this.#pins.size > 0 && this.#pins.has(ref);
  }

  /** Gives a slot back without discharging it. */
  give(ref: SlotRef): void {
    const pin = this.#pins.size === 0 ? undefined : this.#pins.get(ref);
    if (pin !== undefined) {
      invariant(!pin.isGiven, 'a slot is freed once');
      pin.isGiven = true;
      return;
    }
    const span = Math.floor(ref / MAX_SLOTS_PER_SPAN);
    const slot = ref - span * MAX_SLOTS_PER_SPAN;
    const row = span << ROW_SHIFT;
    const spans = this.#spans;
    const sizeClass = spans[row + Column.CLASS] as number;
    const used = (spans[row + Column.USED] as number) - 1;
    invariant(used >= 0, 'a slot is freed once');
    spans[row + Column.USED] = used;
    const wasFull = used + 1 === this.sizes.slotCounts[sizeClass];
    if (used === 0) {
      if (!wasFull) this.#unlist(span);
      this.#dissolve(span);
      return;
    }
    this.#setLink(row, slot, spans[row + Column.FREE] as number);
    spans[row + Column.FREE] = slot + 1;
    if (wasFull) this.#list(span);
  }

  /** Size of the slot. */
  slotBytes(ref: SlotRef): number {
    const row = Math.floor(ref / MAX_SLOTS_PER_SPAN) << ROW_SHIFT;
    return this.sizes.slotBytes[this.#spans[row + Column.CLASS] as number] as number;
  }

  /** The slab that the slot is in. */
  slabOf(ref: SlotRef): Slab {
    const row = Math.floor(ref / MAX_SLOTS_PER_SPAN) << ROW_SHIFT;
    return this.#runs.slabOf(this.#spans[row + Column.PAGE] as number);
  }

  /** Where in its slab the slot begins. */
  offsetOf(ref: SlotRef): number {
    const span = Math.floor(ref / MAX_SLOTS_PER_SPAN);
    return this.#slotOffset(span << ROW_SHIFT, ref - span * MAX_SLOTS_PER_SPAN);
  }

  #slotOffset(row: number, slot: number): number {
    const page = this.#spans[row + Column.PAGE] as number;
    const bytes = this.sizes.slotBytes[this.#spans[row + Column.CLASS] as number] as number;
    return (page - this.#runs.slabOf(page).firstPage) * PAGE_BYTES + slot * bytes;
  }

  /** A free slot's first word links to the next one, so that the last freed is the first reused. */
  #linkOf(row: number, slot: number): number {
    const { view } = this.#runs.slabOf(this.#spans[row + Column.PAGE] as number);
    return view.getUint32(this.#slotOffset(row, slot), true);
  }

  #setLink(row: number, slot: number, link: number): void {
    const { view } = this.#runs.slabOf(this.#spans[row + Column.PAGE] as number);
    view.setUint32(this.#slotOffset(row, slot), link, true);
  }

  #spanWithRoom(sizeClass: number): number {
    if (!this.#hasTableRoom(sizeClass)) return 0;
    const partial = this.#partial[sizeClass] as number;
    if (partial !== 0) return partial;
    const pages = this.sizes.spanPages[sizeClass] as number;
    let page = this.#runs.reuse(pages, false);
    while (page === 0 && this.#reclaim()) {
      const reclaimed = this.#partial[sizeClass] as number;
      if (reclaimed !== 0) return reclaimed;
      page = this.#runs.reuse(pages, false);
    }
    if (page === 0) page = this.#runs.extend(pages, false);
    if (page === 0) page = this.#runs.reuse(pages, true);
    if (page === 0) page = this.#runs.extend(pages, true);
    return page === 0 ? 0 : this.#form(page, sizeClass);
  }

  /** Sees to it that the tables can take another span, before anything is taken for it. */
  #hasTableRoom(sizeClass: number): boolean {
    try {
      if (sizeClass >= this.#partial.length) this.#partial = enlarged(this.#partial, sizeClass * 2);
      if (this.#vacant === 0 && (this.#spanEnd + 1) << ROW_SHIFT > this.#spans.length) {
        this.#spans = enlarged(this.#spans, this.#spans.length * 2);
      }
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  }

  /** Makes a span of a run of pages and lists it. */
  #form(page: number, sizeClass: number): number {
    let span = this.#vacant;
    if (span === 0) {
      span = this.#spanEnd++;
    } else {
      this.#vacant = this.#spans[(span << ROW_SHIFT) + Column.NEXT] as number;
    }
    const row = span << ROW_SHIFT;
    const spans = this.#spans;
    spans[row + Column.PAGE] = page;
    spans[row + Column.CLASS] = sizeClass;
    spans[row + Column.USED] = 0;
    spans[row + Column.FREE] = 0;
    spans[row + Column.TOUCHED] = 0;
    this.#spanCount++;
    this.#list(span);
    return span;
  }

  /** Returns an unlisted span's pages. */
  #dissolve(span: number): void {
    const row = span << ROW_SHIFT;
    const sizeClass = this.#spans[row + Column.CLASS] as number;
    this.#runs.give(
      this.#spans[row + Column.PAGE] as number,
      this.sizes.spanPages[sizeClass] as number,
    );
    this.#spans[row + Column.NEXT] = this.#vacant;
    this.#vacant = span;
    this.#spanCount--;
  }

  #list(span: number): void {
    const row = span << ROW_SHIFT;
    const sizeClass = this.#spans[row + Column.CLASS] as number;
    const head = this.#partial[sizeClass] as number;
    this.#spans[row + Column.NEXT] = head;
    this.#spans[row + Column.PREVIOUS] = 0;
    if (head !== 0) this.#spans[(head << ROW_SHIFT) + Column.PREVIOUS] = span;
    this.#partial[sizeClass] = span;
  }

  #unlist(span: number): void {
    const row = span << ROW_SHIFT;
    const next = this.#spans[row + Column.NEXT] as number;
    const previous = this.#spans[row + Column.PREVIOUS] as number;
    if (next !== 0) this.#spans[(next << ROW_SHIFT) + Column.PREVIOUS] = previous;
    if (previous !== 0) this.#spans[(previous << ROW_SHIFT) + Column.NEXT] = next;
    else this.#partial[this.#spans[row + Column.CLASS] as number] = next;
  }
}
