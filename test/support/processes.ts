/** What the kernel says of mounts and of daemons; reads only /proc, so a dead mount cannot block it. */
import { readdirSync, readFileSync } from 'node:fs';

/** Mount points at or below `path`, innermost first. */
export function mountsBelow(path: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => unescapeField(line.split(' ')[1] ?? ''))
    .filter((mounted) => mounted === path || mounted.startsWith(`${path}/`))
    .reverse();
}

/** The options by which `path` is mounted, or undefined if it is not a mount point. */
export function mountOptionsOf(path: string): string[] | undefined {
  const line = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((text) => text.split(' '))
    .findLast((fields) => unescapeField(fields[1] ?? '') === path);
  return line?.[3]?.split(',');
}

/** /proc/mounts writes blanks, newlines and backslashes as three octal digits. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(parseInt(digits, 8)),
  );
}

/**
 * Node.js processes with an argument that is `path`, or with `below` also a path in it. A daemon of imssfs
 * shows its mount point there; so do the children of tests, which are meant to be gone too.
 */
export function nodeProcessesOf(path: string, options: { below?: boolean } = {}): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid)
    .filter((pid) => {
      const [program, ...words] = commandLine(pid);
      if (!/(^|\/)node$/.test(program ?? '')) return false;
      return words.some(
        (word) => word === path || (options.below === true && word.startsWith(`${path}/`)),
      );
    });
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** True while the process exists and has not become a zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Ends one process at once; it is no error if it has ended. */
export function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
