import test from 'ava';
import fc from 'fast-check';
import { UNIT_BYTES } from '../../../src/blocks/page-runs.ts';
import { SlotAllocator, type SlotRef } from '../../../src/blocks/slab.ts';
import { pipeCalls } from '../../../src/pipes/calls.ts';

const MIB = 2 ** 20;

function classOf(slots: SlotAllocator, bytes: number): number {
  return slots.sizes.fit(bytes, bytes);
}

test('the slot freed last is handed out first', (t) => {
  const slots = new SlotAllocator({ capacityBytes: MIB });
  const small = classOf(slots, 4096);
  const [first, second] = [1, 2, 3].map(() => slots.allocate(small, 0));
  slots.release(first ?? 0);
  slots.release(second ?? 0);
  t.is(slots.allocate(small, 0), second ?? 0);
  t.is(slots.allocate(small, 0), first ?? 0);
});

test('slots of 4 KiB and more that are multiples of it are aligned to it within their slab', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 64 * MIB });
  slots.allocate(classOf(slots, 64), 0);
  for (const bytes of [4096, 8192, 12288, 65536, MIB, 3 * 4096]) {
    for (let n = 0; n < 3; n++) {
      t.is(slots.offsetOf(slots.allocate(classOf(slots, bytes), 0)) % 4096, 0);
    }
  }
});

test('they all begin 256 bytes behind the beginning of a page of memory', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 64 * MIB });
  for (const bytes of [MIB, 4096, MIB, 12288]) {
    const ref = slots.allocate(classOf(slots, bytes), 0);
    const slab = pipeCalls()?.address(slots.slabOf(ref).buffer) ?? 0n;
    t.is(Number((slab + BigInt(slots.offsetOf(ref))) % 4096n), 256);
  }
});

test('an empty span serves any other class', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 32 * MIB });
  const small: SlotRef[] = [];
  for (let ref = 1; ref !== 0; small.push(ref)) ref = slots.allocate(classOf(slots, 1024), 0);
  t.is(small.pop(), 0);
  t.is(small.length, (32 * MIB) / 1024);
  t.is(slots.allocate(classOf(slots, 64), 0), 0);
  const { touchedBytes } = slots.report();
  for (const ref of small) slots.release(ref);
  t.deepEqual([slots.usedBytes, slots.report().spans, slots.report().spanBytes], [0, 0, 0]);
  for (let n = 0; n < 32; n++) t.not(slots.allocate(classOf(slots, MIB), 0), 0);
  t.is(slots.allocate(classOf(slots, MIB), 0), 0);
  t.is(slots.report().touchedBytes, touchedBytes);
});

test('a slab is only made when no freed memory is left', (t) => {
  const made: number[] = [];
  const slots = new SlotAllocator({
    capacityBytes: 1024 * MIB,
    source: (bytes) => {
      made.push(bytes);
      return Buffer.allocUnsafeSlow(bytes);
    },
  });
  t.deepEqual(made, []);
  const refs = Array.from({ length: 64 }, () => slots.allocate(classOf(slots, MIB), 0));
  t.deepEqual(made, [UNIT_BYTES]);
  refs.forEach((ref) => {
    slots.release(ref);
  });
  for (let n = 0; n < 60; n++) slots.allocate(classOf(slots, 1_000_000), 0);
  t.deepEqual(made, [UNIT_BYTES]);
  for (let n = 0; n < 60; n++) slots.allocate(classOf(slots, MIB), 0);
  t.deepEqual(made, [UNIT_BYTES, UNIT_BYTES]);
});

test('a slot larger than a slab gets a slab of its own, whose memory serves others later', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 512 * MIB });
  slots.allocate(classOf(slots, 4096), 0);
  const huge = slots.allocate(classOf(slots, 200 * MIB), 0);
  t.not(huge, 0);
  t.true(slots.slabOf(huge).buffer.length >= slots.offsetOf(huge) + 200 * MIB);
  const { slabBytes } = slots.report();
  slots.release(huge);
  for (let n = 0; n < 200; n++) t.not(slots.allocate(classOf(slots, MIB), 0), 0);
  t.is(slots.report().slabBytes, slabBytes);
});

test('a system without memory is a failed allocation, not an exception', (t) => {
  let fail = true;
  const slots = new SlotAllocator({
    capacityBytes: 256 * MIB,
    source: (bytes) => {
      if (fail) throw new RangeError('Array buffer allocation failed');
      return Buffer.allocUnsafeSlow(bytes);
    },
  });
  t.is(slots.allocate(classOf(slots, 4096), 0), 0);
  t.is(slots.usedBytes, 0);
  fail = false;
  t.not(slots.allocate(classOf(slots, 4096), 0), 0);
  const broken = new SlotAllocator({
    capacityBytes: MIB,
    source: () => {
      throw new TypeError('a bug');
    },
  });
  t.throws(() => broken.allocate(0, 0), { instanceOf: TypeError });
});

test('large stores take larger slabs, smaller ones where the system refuses those', (t) => {
  const asked: number[] = [];
  const slots = new SlotAllocator({
    capacityBytes: 100 * 1024 * MIB,
    source: (bytes) => {
      asked.push(bytes);
      if (bytes > UNIT_BYTES) throw new RangeError('Array buffer allocation failed');
      return Buffer.allocUnsafeSlow(bytes);
    },
  });
  t.not(slots.allocate(classOf(slots, 4096), 0), 0);
  t.deepEqual(asked, [1024 * MIB, UNIT_BYTES]);
  t.is(slots.report().slabBytes, UNIT_BYTES);
});

test('fragments end in failure before the memory exceeds a quarter above the capacity', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 512 * MIB });
  const small = classOf(slots, 4096);
  const refs = Array.from({ length: (512 * MIB) / 4096 }, () => slots.allocate(small, 0));
  refs.forEach((ref, n) => {
    if (n % 16 !== 0) slots.release(ref);
  });
  let blocks = 0;
  while (slots.allocate(classOf(slots, MIB), 0) !== 0) blocks++;
  t.is(blocks, 128);
  t.true(slots.report().touchedBytes <= 640 * MIB);
});

test('a credit counts against the capacity, and uncharged slots do not', (t) => {
  const slots = new SlotAllocator({ capacityBytes: 8192 });
  const [page, pages] = [classOf(slots, 4096), classOf(slots, 8192)];
  const first = slots.allocate(page, 0);
  t.is(slots.allocate(pages, 0), 0);
  t.not(slots.take(pages), 0);
  t.is(slots.usedBytes, 4096);
  t.not(slots.allocate(pages, 4096), 0);
  slots.release(first);
  t.is(slots.usedBytes, 8192);
});

test('slots never overlap, and freeing all of them frees all memory', (t) => {
  const step = fc.record({
    bytes: fc.oneof(
      fc.integer({ min: 1, max: 9000 }),
      fc.integer({ min: 1, max: 3_000_000 }),
      fc.constantFrom(5000, 1_000_000, MIB),
    ),
    free: fc.boolean(),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const slots = new SlotAllocator({ capacityBytes: 40 * MIB });
      const live = new Map<SlotRef, number>();
      let mark = 0;
      const check = (ref: SlotRef, value: number): void => {
        const { view } = slots.slabOf(ref);
        const at = slots.offsetOf(ref);
        const end = at + slots.slotBytes(ref) - 4;
        if (view.getUint32(at) !== value || view.getUint32(end) !== value)
          throw new Error('overlap');
      };
      for (const { bytes, free, pick } of steps) {
        if (free && live.size > 0) {
          const [ref, value] = [...live][pick % live.size] ?? [0, 0];
          check(ref, value);
          live.delete(ref);
          slots.release(ref);
          continue;
        }
        const ref = slots.allocate(classOf(slots, bytes), 0);
        if (ref === 0) continue;
        mark++;
        const at = slots.offsetOf(ref);
        slots.slabOf(ref).view.setUint32(at, mark);
        slots.slabOf(ref).view.setUint32(at + slots.slotBytes(ref) - 4, mark);
        live.set(ref, mark);
      }
      for (const [ref, value] of live) {
        check(ref, value);
        slots.release(ref);
      }
      t.deepEqual([slots.usedBytes, slots.report().spans, slots.report().spanBytes], [0, 0, 0]);
    }),
    { numRuns: 60 },
  );
});

test('blocks of any size fill the capacity, however they divide the slabs', (t) => {
  const capacityBytes = 1024 * MIB;
  for (const bytes of [
    MIB,
    1_000_000,
    22 * MIB,
    33 * MIB,
    40 * MIB,
    65 * MIB,
    100 * MIB,
    129 * MIB,
  ]) {
    const slots = new SlotAllocator({ capacityBytes });
    const sizeClass = classOf(slots, bytes);
    let count = 0;
    while (slots.allocate(sizeClass, 0) !== 0) count++;
    t.is(count, Math.floor(capacityBytes / bytes), `${bytes} bytes`);
  }
});
