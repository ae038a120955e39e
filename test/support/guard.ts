/**
 * A process beside a test process that takes down the test's mounts when the test process cannot: because it
 * was killed (its end of our input closes), or because a call into a mount blocks it past the test's time.
 * It is told `watch <milliseconds> <folder>` and `release <folder>`, a line each.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { nodeProcessesOf, killNow, mountsBelow } from './processes.ts';

const watched = new Map<string, NodeJS.Timeout>();

function takeDown(folder: string): void {
  for (const mounted of mountsBelow(folder)) {
    // A forced unmount aborts a FUSE connection, which frees whoever waits for an answer from it.
    spawnSync('umount', ['-f', mounted], { timeout: 10_000 });
    spawnSync('umount', ['-l', mounted], { timeout: 10_000 });
    spawnSync('fusermount3', ['-u', '-z', mounted], { timeout: 10_000 });
  }
  nodeProcessesOf(folder, { below: true }).forEach(killNow);
}

function release(folder: string): void {
  clearTimeout(watched.get(folder));
  watched.delete(folder);
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [, verb, timeoutMs, folder] = /^(watch|release) (\d+) (.*)$/.exec(line) ?? [];
  if (folder === undefined) return;
  release(folder);
  if (verb === 'watch') watched.set(folder, setTimeout(takeDown, Number(timeoutMs), folder));
});
lines.on('close', () => {
  for (const folder of [...watched.keys()]) {
    takeDown(folder);
    release(folder);
    if (mountsBelow(folder).length === 0) rmSync(folder, { recursive: true, force: true });
  }
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => undefined);
}
