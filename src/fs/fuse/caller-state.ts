/** What /proc says of the thread that has sent a request: whether anybody will look at the answer. */
import { readFileSync } from 'node:fs';

/** Threads by the numbers that requests carry. */
export interface Callers {
  /** The thread has been killed: by SIGKILL, or by a signal that nobody handles. False where that cannot be told. */
  isBeingKilled(thread: number): boolean;
  /** The thread closes its files because a signal has ended it, not because its program has returned. */
  hasBeenKilled(thread: number): boolean;
}

/** Bit of SIGKILL in the masks of /proc/PID/status. A signal that is to end a process becomes one for all its threads. */
const SIGKILL_BIT = 1n << 8n;
/** `PF_EXITING` of include/linux/sched.h. */
const PF_EXITING = 0x4;
/** Of what wait(2) tells: the signal that has ended the process. */
const SIGNAL_MASK = 0x7f;
/** Fields of /proc/PID/stat as proc(5) counts them, from 1; those behind the name begin with number 3. */
const FIRST_FIELD = 3;
const FLAGS_FIELD = 9;
const EXIT_CODE_FIELD = 52;

function isBeingKilled(thread: number): boolean {
  const status = read(thread, 'status');
  const masks = status.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm);
  for (const [, mask = '0'] of masks) if ((BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n) return true;
  return false;
}

function hasBeenKilled(thread: number): boolean {
  const stat = read(thread, 'stat');
  // The name may hold anything, parentheses and blanks included.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - FIRST_FIELD] ?? 0);
  const isExiting = (field(FLAGS_FIELD) & PF_EXITING) !== 0;
  return isExiting && (field(EXIT_CODE_FIELD) & SIGNAL_MASK) !== 0;
}

export const SYSTEM_CALLERS: Callers = { isBeingKilled, hasBeenKilled };

function read(thread: number, file: string): string {
  // All threads that this process's namespace does not have are number 0.
  if (thread === 0) return '';
  try {
    return readFileSync(`/proc/${thread}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
