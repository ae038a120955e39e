/**
 * One side of the comparison: the processes that carry out scripts in one folder. Each acts alone, in the order that the
 * script gives; what follows one another in one process is sent to it at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Fault } from './fault.ts';
import { FINAL_CHECK, type Operation, WORKER_COUNT } from './operation.ts';
import type { Batch, WorkerSetup } from './worker.ts';

export interface SideOptions {
  /** For messages, e.g. `tmpfs`. */
  name: string;
  /** A folder that nothing else uses: it is emptied. */
  base: string;
  /** Processes of several users; otherwise all are this one's. */
  users: boolean;
  showMoves: boolean;
  forgetsNames: boolean;
  fault?: Fault;
}

/** No answer within this time means that an operation hangs. */
const DEADLINE_MS = 30_000;
/** How long a killed process is waited for: one that waits for an answer of the mount cannot end before that. */
const KILL_WAIT_MS = 5_000;
const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));

/** The second and third share a group; the second also has one that owns nothing at first. */
export const USERS: readonly { uid: number; gid: number; groups: number[] }[] = [
  { uid: 0, gid: 0, groups: [0] },
  { uid: 1001, gid: 1001, groups: [1001, 2001] },
  { uid: 1002, gid: 1001, groups: [1001] },
];

/** An operation was not answered: the file system hangs, or a worker has died. */
export class NoAnswerError extends Error {
  override name = 'NoAnswerError';
}

export class Side {
  readonly name: string;
  readonly #workers: Worker[];

  constructor(options: SideOptions) {
    this.name = options.name;
    this.#workers = Array.from({ length: WORKER_COUNT }, (_, index) => {
      const { base, showMoves, fault } = options;
      return new Worker(`worker ${index} on ${options.name}`, {
        base,
        user: options.users ? USERS[index] : undefined,
        showMoves,
        forgetsNames: options.forgetsNames && options.users,
        fault,
      });
    });
  }

  /** Empties the folder, runs the script, then looks at the whole tree: a result for each operation and one more. */
  async run(script: readonly Operation[]): Promise<string[]> {
    const [first, ...others] = this.#workers;
    await first?.send({ clear: true, reset: true, operations: [] });
    await Promise.all(others.map((worker) => worker.send({ reset: true, operations: [] })));
    const results: string[] = [];
    for (const batch of batchesOf([...script, FINAL_CHECK])) {
      const worker = this.#workers[batch[0]?.worker ?? 0];
      if (worker === undefined) throw new RangeError('A script names a worker that there is not');
      results.push(...(await worker.send({ operations: batch })));
    }
    return results;
  }

  /** Resolves when all processes have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}

/** The script cut wherever another process takes over. */
function batchesOf(script: readonly Operation[]): Operation[][] {
  const batches: Operation[][] = [];
  for (const operation of script) {
    const last = batches.at(-1);
    if (last?.[0]?.worker === operation.worker) last.push(operation);
    else batches.push([operation]);
  }
  return batches;
}

class Worker {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #received: Buffer[] = [];
  #errors = '';
  #waiting: { resolve: (results: string[]) => void; reject: (error: Error) => void } | undefined;
  #end: string | undefined;
  #isKilled = false;

  constructor(name: string, setup: WorkerSetup) {
    this.#name = name;
    this.#child = spawn(process.execPath, [WORKER, JSON.stringify(setup)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdout?.on('data', (bytes: Buffer) => {
      this.#receive(bytes);
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#errors = (this.#errors + bytes.toString()).slice(-2_000);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        this.#end = `it ended with ${String(code ?? signal)} ${this.#errors}`;
        this.#fail(this.#end);
        resolve();
      });
    });
  }

  /** One batch at a time. Rejects with NoAnswerError. */
  async send(batch: Batch): Promise<string[]> {
    if (this.#end !== undefined) throw new NoAnswerError(`${this.#name}: ${this.#end}`);
    const timer = setTimeout(() => {
      this.#fail(`no answer in ${DEADLINE_MS / 1000} s`);
      this.#kill();
    }, DEADLINE_MS);
    try {
      return await new Promise<string[]>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        this.#child.stdin?.write(`${JSON.stringify(batch)}\n`, 'latin1');
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns in bounded time: a process that cannot be killed is left to whoever takes the mount down. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (!this.#isKilled && (await this.#exitsWithin(DEADLINE_MS))) return;
    this.#kill();
    if (await this.#exitsWithin(KILL_WAIT_MS)) return;
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      stream?.destroy();
    }
    this.#child.unref();
  }

  #kill(): void {
    this.#isKilled = true;
    this.#child.kill('SIGKILL');
  }

  async #exitsWithin(limitMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, limitMs, false);
    });
    const exited = await Promise.race([this.#exited.then(() => true), late]);
    clearTimeout(timer);
    return exited;
  }

  #receive(bytes: Buffer): void {
    this.#received.push(bytes);
    if (bytes.at(-1) !== 0x0a) return;
    const line = Buffer.concat(this.#received).toString('latin1');
    this.#received = [];
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(JSON.parse(line) as string[]);
  }

  #fail(why: string): void {
    this.#waiting?.reject(new NoAnswerError(`${this.#name}: ${why}`));
    this.#waiting = undefined;
  }
}
