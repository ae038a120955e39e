/** What /proc tells of a process (proc(5)): whether it is still the one that we knew by its number. */
import { readFileSync, readdirSync } from 'node:fs';

/** Names one process for ever: numbers are reused, but not within one clock tick. */
export interface ProcessIdentity {
  pid: number;
  /** Start in clock ticks since boot: field 22 of /proc/PID/stat. */
  startTicks: number;
}

/** Start of a running process; undefined if there is none by that number, or it is a zombie. */
export function startTicksOf(pid: number): number | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The command (field 2) may hold spaces and parentheses; what follows the last one does not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const start = Number(fields[19]);
  return state === 'Z' || state === 'X' || !Number.isInteger(start) ? undefined : start;
}

/** True while that very process runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return startTicksOf(identity.pid) === identity.startTicks;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0 };
}

/** What a process takes of the machine. */
export interface ProcessUse {
  /** RAM: in all, what is private, and what maps files, pages of the metadata file among them. */
  rssBytes: number;
  rssAnonBytes: number;
  rssFileBytes: number;
  heapUsedBytes: number;
  heapTotalBytes: number;
  /** Buffers outside the heap, block memory included whether touched or not. */
  arrayBufferBytes: number;
  descriptors: number;
}

/** This process's own. */
export function ownUse(): ProcessUse {
  const status = readFileSync('/proc/self/status', 'latin1');
  const kibibytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  const { heapUsed, heapTotal, arrayBuffers } = process.memoryUsage();
  return {
    rssBytes: kibibytes('VmRSS') * 1024,
    rssAnonBytes: kibibytes('RssAnon') * 1024,
    rssFileBytes: kibibytes('RssFile') * 1024,
    heapUsedBytes: heapUsed,
    heapTotalBytes: heapTotal,
    arrayBufferBytes: arrayBuffers,
    // One of them lists the others.
    descriptors: readdirSync('/proc/self/fd').length - 1,
  };
}
