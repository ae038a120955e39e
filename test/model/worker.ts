/**
 * A worker process: reads batches of operations from its standard input, one JSON line each, and answers each with one
 * line of results. It waits in plain reads, so that an operation costs no turn of an event loop.
 *
 * Arguments: a WorkerSetup as JSON.
 */
import { readSync, writeSync } from 'node:fs';
import { distort, type Fault, misreport } from './fault.ts';
import { Executor } from './execute.ts';
import type { Operation } from './operation.ts';
import { clearFolder } from './clear-folder.ts';
import * as calls from './system-calls.ts';

export interface WorkerSetup {
  /** The folder that this side's scripts work in. */
  base: string;
  /** Enter `base` by chroot(2), then become this user. */
  user: { uid: number; gid: number; groups: number[] } | undefined;
  showMoves: boolean;
  forgetsNames: boolean;
  /** Misbehave, to prove that the comparison finds it. */
  fault: Fault | undefined;
}

/** `clear` empties the side's folder first, `reset` puts the process back as at the start of a script. */
export interface Batch {
  clear?: boolean;
  reset?: boolean;
  operations: Operation[];
}

/** The folder below the side's own that a script starts in. */
const START = 's';
const READ_BYTES = 65_536;

const setup = JSON.parse(process.argv[2] ?? '') as WorkerSetup;
const root = enter();
const executor = new Executor({ ...setup, root: `${root}${START}` });

/** Returns the folder of this side as this process sees it, with a slash at its end. */
function enter(): string {
  const { user } = setup;
  if (user === undefined) return `${setup.base}/`;
  const result = calls.chroot(calls.cString(setup.base));
  if (result < 0) throw new Error(`chroot: ${calls.showResult(result)}`);
  process.chdir('/');
  process.setgroups?.(user.groups);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  return '/';
}

function answer(batch: Batch): string[] {
  if (batch.clear === true) {
    clearFolder(root);
    process.umask(0);
    calls.mkdirat(calls.AT_FDCWD, calls.cString(`${root}${START}`), 0o777);
  }
  if (batch.reset === true) executor.reset();
  return batch.operations.map((operation) => {
    const told = executor.run(distort(setup.fault, operation));
    return misreport(setup.fault, operation, told);
  });
}

const input = Buffer.alloc(READ_BYTES);
let line = '';
for (;;) {
  const length = readSync(0, input);
  if (length === 0) break;
  const text = input.toString('latin1', 0, length);
  line += text;
  if (!text.endsWith('\n')) continue;
  const reply = Buffer.from(`${JSON.stringify(answer(JSON.parse(line) as Batch))}\n`, 'latin1');
  line = '';
  for (let sent = 0; sent < reply.length;) sent += writeSync(1, reply, sent);
}
