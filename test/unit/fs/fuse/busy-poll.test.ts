import test from 'ava';
import { BusyPoll } from '../../../../src/fs/fuse/busy-poll.ts';
import { SharedCpu } from '../../../../src/fs/fuse/shared-cpu.ts';
import { FakeDevice } from '../../../support/fake-device.ts';

const payload = Buffer.alloc(8192);
const REQUEST = Buffer.alloc(56);

interface Rig {
  device: FakeDevice;
  poll: () => number;
  /** How often the device was read. */
  looks: () => number;
  /** Gives the CPU to others for a time when it gives way next. */
  preempt: (ms: number) => void;
  /** Lets time go by before the next look at the clock. */
  pass: (ms: number) => void;
}

/** Exact in binary, so that five of them are no more than the limit of five. */
const TICK_MS = 1 / 128;

/** A poll of five ticks, and a clock that moves on by one with each look at it. */
function make(limitMs = 5 * TICK_MS): Rig {
  let ticks = 0;
  const device = new FakeDevice();
  let preemptedMs = 0;
  const yieldCpu = (): void => {
    ticks += preemptedMs / TICK_MS;
    preemptedMs = 0;
  };
  const cpu = new SharedCpu(() => ++ticks * TICK_MS, yieldCpu);
  const busyPoll = new BusyPoll(limitMs, cpu);
  let reads = 0;
  const counting = new Proxy(device, {
    get(target, key) {
      if (key !== 'read') return Reflect.get(target, key) as unknown;
      return (into: Buffer) => {
        reads += 1;
        return target.read(into);
      };
    },
  });
  return {
    device,
    poll: () => busyPoll.read(counting, payload),
    looks: () => reads,
    preempt: (ms) => (preemptedMs = ms),
    pass: (ms) => (ticks += ms / TICK_MS),
  };
}

test('a request that comes while it looks is returned', (t) => {
  const { device, poll, looks } = make();
  device.push(REQUEST);
  t.is(poll(), 56);
  t.is(looks(), 1);
});

test('it looks until its time is up', (t) => {
  const { poll, looks } = make();
  t.is(poll(), 0);
  t.is(looks(), 5);
});

test('a limit of 0 never looks', (t) => {
  const { device, poll, looks } = make(0);
  device.push(REQUEST);
  t.is(poll(), 0);
  t.is(looks(), 0);
});

test('after each miss in a row more occasions are passed over, at most 63', (t) => {
  const { poll, looks } = make();
  const passedOver: number[] = [];
  let count = 0;
  for (let occasion = 0; occasion < 300; occasion++) {
    const before = looks();
    t.is(poll(), 0);
    if (looks() === before) count += 1;
    else passedOver.push(count);
    if (looks() !== before) count = 0;
  }
  t.deepEqual(passedOver, [0, 1, 3, 7, 15, 31, 63, 63, 63]);
});

test('one hit makes it look on every occasion again', (t) => {
  const { device, poll, looks } = make();
  poll();
  poll();
  poll();
  t.is(looks(), 10, 'two misses, and one occasion passed over between them');
  device.push(REQUEST);
  for (let passed = 0; passed < 3; passed++) t.is(poll(), 0);
  t.is(poll(), 56);
  poll();
  t.is(looks(), 16);
});

test('it leaves off when another program was given the CPU', (t) => {
  const { device, poll, looks, pass, preempt } = make();
  device.push(REQUEST);
  preempt(3);
  t.is(poll(), 56, 'what has come in the meantime is not left');
  device.push(REQUEST);
  t.is(poll(), 0);
  pass(9);
  t.is(poll(), 0);
  t.is(looks(), 1);
  pass(1);
  t.is(poll(), 56);
});
