/**
 * How much memory this process may use at all: the machine's, or less where a control group (a container, a
 * batch job) limits it. Every limit between the process's group and the root counts.
 */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** Text of a file under /proc or /sys, or undefined if it cannot be read. */
export type ReadText = (path: string) => string | undefined;

const readSystemFile: ReadText = (path) => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
};

/** Smaller of RAM and all cgroup limits (v1 and v2), in bytes. */
export function usableMemoryBytes(readText: ReadText = readSystemFile): number {
  const total = /^MemTotal:\s+(\d+) kB$/m.exec(readText('/proc/meminfo') ?? '')?.[1];
  const limits = [total === undefined ? Number.MAX_SAFE_INTEGER : Number(total) * 1024];
  for (const line of (readText('/proc/self/cgroup') ?? '').split('\n')) {
    const [, hierarchy, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) continue;
    if (hierarchy === '0' && controllers === '') {
      limits.push(...groupLimits(readText, '/sys/fs/cgroup', path, ['memory.max', 'memory.high']));
    } else if (controllers.split(',').includes('memory')) {
      limits.push(
        ...groupLimits(readText, '/sys/fs/cgroup/memory', path, ['memory.limit_in_bytes']),
      );
    }
  }
  return Math.min(...limits);
}

/** Limits of the group and of all above it. In a container the path may not exist: then the root's counts. */
function groupLimits(
  readText: ReadText,
  mount: string,
  path: string,
  files: readonly string[],
): number[] {
  const limits: number[] = [];
  for (let group = posix.join('/', path); ; group = posix.dirname(group)) {
    for (const file of files) {
      const text = readText(posix.join(mount, group, file))?.trim() ?? '';
      // "max" in v2 and a huge number in v1 mean no limit.
      if (/^\d+$/.test(text)) limits.push(Math.min(Number(text), Number.MAX_SAFE_INTEGER));
    }
    if (group === '/') return limits;
  }
}
