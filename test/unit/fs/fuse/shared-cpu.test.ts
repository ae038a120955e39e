import test from 'ava';
import { SharedCpu } from '../../../../src/fs/fuse/shared-cpu.ts';

/** A CPU that others keep for `othersMs` each time. */
function make(): { cpu: SharedCpu; clock: { nowMs: number; othersMs: number } } {
  const clock = { nowMs: 0, othersMs: 0 };
  const cpu = new SharedCpu(
    () => clock.nowMs,
    () => (clock.nowMs += clock.othersMs),
  );
  return { cpu, clock };
}

/** How long the CPU is left to others from now on, in steps of 10 ms. */
function pauseMs(cpu: SharedCpu, fromMs: number): number {
  let ms = 0;
  while (cpu.isWanted(fromMs + ms)) ms += 10;
  return ms;
}

test('whoever has a moment of work is given it, and nothing else changes', (t) => {
  const { cpu, clock } = make();
  clock.othersMs = 0.4;
  t.is(cpu.giveWay(0), 0.4);
  t.is(cpu.giveWay(0.4), 0.8);
  t.false(cpu.isWanted(0.8));
});

test('a CPU that others still want after a pause is left to them for twice as long, up to 2.6 s', (t) => {
  const { cpu, clock } = make();
  clock.othersMs = 3;
  const pauses: number[] = [];
  for (let time = 0; time < 10; time++) {
    const nowMs = cpu.giveWay(clock.nowMs);
    pauses.push(pauseMs(cpu, nowMs));
    clock.nowMs = nowMs + (pauses.at(-1) ?? 0);
  }
  t.deepEqual(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 2560]);
});

test('after a time without others as long as the pause, it begins with a short one', (t) => {
  const { cpu, clock } = make();
  clock.othersMs = 3;
  cpu.giveWay(0);
  clock.nowMs = 13;
  cpu.giveWay(13);
  t.is(pauseMs(cpu, clock.nowMs), 20);
  clock.nowMs += 20 + 21;
  const nowMs = cpu.giveWay(clock.nowMs);
  t.is(pauseMs(cpu, nowMs), 10);
});

test('without clock and CPU of a test, it takes the real ones', (t) => {
  const cpu = new SharedCpu();
  const startMs = cpu.nowMs();
  t.notThrows(() => cpu.giveWay(startMs));
});
