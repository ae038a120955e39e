/** Asks a daemon what it holds, as an operator does: SIGUSR1, and one line of JSON in its log. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessUse } from '../../src/cli/process-info.ts';
import type { MountCounts } from '../../src/cli/running-mount.ts';

export interface DaemonCounts {
  counts: MountCounts;
  process: ProcessUse;
}

export interface Daemon {
  pid: number;
  logFile: string;
}

const POLL_MS = 10;
const MAX_POLLS = 3_000;

/** Rejects when the daemon does not answer within half a minute. */
export async function countsOf(daemon: Daemon): Promise<DaemonCounts> {
  const fd = openSync(daemon.logFile, 'r');
  try {
    const from = fstatSync(fd).size;
    process.kill(daemon.pid, 'SIGUSR1');
    for (let polls = 0; polls < MAX_POLLS; polls++) {
      const line = linesFrom(fd, from).find((entry) => entry.msg === 'counts');
      if (line !== undefined) return line;
      await sleep(POLL_MS);
    }
  } finally {
    closeSync(fd);
  }
  throw new Error(`process ${daemon.pid} logs no counts in ${daemon.logFile}`);
}

/** Asks again until `isEnough` holds or twenty seconds have passed; returns the last answer. */
export async function countsWhen(
  daemon: Daemon,
  isEnough: (answer: DaemonCounts) => boolean,
): Promise<DaemonCounts> {
  let answer = await countsOf(daemon);
  for (let tries = 0; tries < 200 && !isEnough(answer); tries++) {
    await sleep(100);
    answer = await countsOf(daemon);
  }
  return answer;
}

function linesFrom(fd: number, offset: number): (DaemonCounts & { msg: string })[] {
  const text = Buffer.alloc(fstatSync(fd).size - offset);
  const length = readSync(fd, text, 0, text.length, offset);
  const whole = text.toString('utf8', 0, length).split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as DaemonCounts & { msg: string });
}
