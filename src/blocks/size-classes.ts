/**
 * The sizes in which block memory is handed out: four to each doubling, and in between the whole block sizes in
 * use. A class is a small number that never changes its meaning.
 */

/** The unit of which spans are made, and to which larger slots are aligned. */
export const PAGE_BYTES = 4096;

/** No span holds more slots than this. */
export const MAX_SLOTS_PER_SPAN = 2048;

const SMALLEST_BYTES = 64;
const SMALLEST_LOG2 = 6;
const STEPS_PER_DOUBLING = 4;
/** Largest slot: 2^48 bytes, beyond any memory. */
const LARGEST_LOG2 = 48;
const SPAN_BYTES = 64 * 1024;
/** Datasets may bring block sizes of their own; past this many, new ones take the next regular class. */
const MAX_EXACT_CLASSES = 1024;

/** Largest `n` with 2^n <= value, for integers from 1 to 2^53. */
export function floorLog2(value: number): number {
  if (value < 2 ** 31) return 31 - Math.clz32(value);
  return 31 + 31 - Math.clz32(Math.floor(value / 2 ** 31));
}

/** The regular class that fits `bytes` most closely. */
function regularClass(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return 0;
  const log2 = floorLog2(bytes - 1);
  const base = 2 ** log2;
  const step = Math.ceil((bytes - base) / (base / STEPS_PER_DOUBLING));
  return (log2 - SMALLEST_LOG2) * STEPS_PER_DOUBLING + step;
}

/** How many slots of `bytes` make a span of about 64 KiB with the least left over. */
function slotsPerSpan(bytes: number): number {
  const least = Math.max(1, Math.ceil(SPAN_BYTES / bytes));
  let best = least;
  let bestWaste = 1;
  for (let slots = least; slots <= Math.min(2 * least, MAX_SLOTS_PER_SPAN); slots++) {
    const spanBytes = Math.ceil((slots * bytes) / PAGE_BYTES) * PAGE_BYTES;
    const waste = (spanBytes - slots * bytes) / spanBytes;
    if (waste < bestWaste) {
      best = slots;
      bestWaste = waste;
    }
  }
  return best;
}

/** The table of classes; it grows when a block size is seen that is not a regular class. */
export class SizeClasses {
  /** Slot size of each class, in bytes. */
  readonly slotBytes: number[] = [];
  readonly slotCounts: number[] = [];
  readonly spanPages: number[] = [];
  readonly #exact = new Map<number, number>();

  constructor() {
    this.#add(SMALLEST_BYTES);
    for (let log2 = SMALLEST_LOG2; log2 < LARGEST_LOG2; log2++) {
      const base = 2 ** log2;
      for (let step = 1; step <= STEPS_PER_DOUBLING; step++) {
        this.#add(base + (base / STEPS_PER_DOUBLING) * step);
      }
    }
  }

  /**
   * The smallest class of at least `bytes`, where a slot need never hold more than `ceilingBytes`: the ceiling
   * itself counts as a class. `bytes` must not exceed the ceiling.
   */
  fit(bytes: number, ceilingBytes: number): number {
    const regular = regularClass(bytes);
    if (regular === 0 || (this.slotBytes[regular] as number) <= ceilingBytes) return regular;
    return this.#exactClass(ceilingBytes, regular);
  }

  #exactClass(bytes: number, fallback: number): number {
    const known = this.#exact.get(bytes);
    if (known !== undefined) return known;
    if (this.#exact.size >= MAX_EXACT_CLASSES) return fallback;
    const added = this.#add(bytes);
    this.#exact.set(bytes, added);
    return added;
  }

  #add(bytes: number): number {
    const slots = slotsPerSpan(bytes);
    this.slotCounts.push(slots);
    this.spanPages.push(Math.ceil((slots * bytes) / PAGE_BYTES));
    return this.slotBytes.push(bytes) - 1;
  }
}
