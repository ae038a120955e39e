/**
 * Whole free blocks lent to whoever receives data, so that bytes land where they will be stored. A lease is not
 * charged to the capacity until it is adopted, so that a full store can still receive.
 */
import { PAGE_BYTES } from './size-classes.ts';
import type { SlotAllocator, SlotRef } from './slab.ts';
import type { BlockLease, Payload } from './store.ts';

/** Whether the lease's slot is still the holder's. */
type LeaseState = 'held' | 'adopted' | 'released';

class SlotLease implements BlockLease {
  readonly bytes: Buffer;
  readonly #slots: SlotAllocator;
  /** 0 for plain memory outside the store, which is never adopted. */
  readonly #ref: SlotRef;
  #state: LeaseState = 'held';

  constructor(slots: SlotAllocator, ref: SlotRef, bytes: Buffer) {
    this.#slots = slots;
    this.#ref = ref;
    this.bytes = bytes;
  }

  get adopted(): boolean {
    return this.#state === 'adopted';
  }

  release(): void {
    if (this.#state !== 'held') return;
    this.#state = 'released';
    if (this.#ref !== 0) this.#slots.give(this.#ref);
  }

  /** Makes the slot the store's; 0 if it cannot be, or if the capacity does not allow it. */
  adopt(slots: SlotAllocator, creditBytes: number): SlotRef {
    if (this.#state !== 'held' || this.#ref === 0 || slots !== this.#slots) return 0;
    if (!slots.charge(slots.slotBytes(this.#ref), creditBytes)) return 0;
    this.#state = 'adopted';
    return this.#ref;
  }
}

export class LeaseDesk {
  readonly #slots: SlotAllocator;
  readonly #blockSizeBytes: number;

  constructor(slots: SlotAllocator, blockSizeBytes: number) {
    this.#slots = slots;
    this.#blockSizeBytes = blockSizeBytes;
  }

  /** A block that can be adopted, or plain memory when there is none; undefined without any memory. */
  lease(): BlockLease | undefined {
    const bytes = this.#blockSizeBytes;
    if (bytes % PAGE_BYTES === 0) {
      const ref = this.#slots.take(this.#slots.sizes.fit(bytes, bytes));
      if (ref !== 0) {
        const at = this.#slots.offsetOf(ref);
        return new SlotLease(
          this.#slots,
          ref,
          this.#slots.slabOf(ref).buffer.subarray(at, at + bytes),
        );
      }
    }
    try {
      return new SlotLease(this.#slots, 0, Buffer.allocUnsafeSlow(bytes));
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** The slot that a payload of one whole block came in, now charged, or 0: then it must be copied. */
  adopt({ bytes, lease }: Payload, creditBytes: number): SlotRef {
    if (!(lease instanceof SlotLease)) return 0;
    const own = lease.bytes;
    const isWhole =
      bytes.length === own.length &&
      bytes.byteOffset === own.byteOffset &&
      bytes.buffer === own.buffer;
    return isWhole ? lease.adopt(this.#slots, creditBytes) : 0;
  }
}
