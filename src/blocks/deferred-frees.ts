/**
 * Blocks of freed datasets on their way back to the allocator. Their bytes no longer count as used; the slots are
 * returned in steps that do not hold up the event loop, sooner when memory runs short.
 */
import type { BlockIndex, DetachedTree } from './block-index.ts';
import type { SlotAllocator, SlotRef } from './slab.ts';

/** Some 50 microseconds. */
const BLOCKS_PER_STEP = 512;

export class DeferredFrees {
  readonly #index: BlockIndex;
  readonly #slots: SlotAllocator;
  readonly #trees: DetachedTree[] = [];
  readonly #loose: SlotRef[] = [];
  readonly #giveSlot = (ref: SlotRef): void => {
    this.#slots.give(ref);
  };
  readonly #onTurn = (): void => {
    this.#scheduled = false;
    if (this.step()) this.#schedule();
  };
  #scheduled = false;

  constructor(index: BlockIndex, slots: SlotAllocator) {
    this.#index = index;
    this.#slots = slots;
  }

  /** True while slots are still to be returned. */
  get pending(): boolean {
    return this.#trees.length > 0 || this.#loose.length > 0;
  }

  /** Discharges `slotBytes`, the sum of the tree's slots, and returns the slots later. */
  add(tree: DetachedTree, slotBytes: number): void {
    this.#slots.discharge(slotBytes);
    this.#trees.push(tree);
    this.#schedule();
  }

  /** Discharges a slot and returns it later, because returning it means touching its memory. */
  addSlot(ref: SlotRef): void {
    this.#slots.discharge(this.#slots.slotBytes(ref));
    this.#loose.push(ref);
    this.#schedule();
  }

  /** Returns some slots now; false if there were none. */
  step(): boolean {
    if (this.#loose.length > 0) {
      for (const ref of this.#loose.splice(-BLOCKS_PER_STEP)) this.#slots.give(ref);
      return true;
    }
    const tree = this.#trees.at(-1);
    if (tree === undefined) return false;
    this.#index.removeSome(tree, BLOCKS_PER_STEP, this.#giveSlot);
    if (tree.root === 0) this.#trees.pop();
    return true;
  }

  /** The process may exit with steps pending; an idle loop may wait for its next event before it takes one. */
  #schedule(): void {
    if (this.#scheduled || !this.pending) return;
    this.#scheduled = true;
    setImmediate(this.#onTurn).unref();
  }
}
