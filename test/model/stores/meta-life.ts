/**
 * A process that owns the metadata database, seen from outside. Processes are started ahead, so that one is ready
 * when another has died.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Dump } from './meta-state.ts';
import type { Answer, Command, OpenCommand } from './meta-worker.ts';

const WORKER = fileURLToPath(new URL('meta-worker.js', import.meta.url));
const ANSWER_TIMEOUT_MS = 60_000;

/** The process died before it answered. */
export class DiedError extends Error {}

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

export class Life {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = [];
  readonly #exited: Promise<unknown>;
  #stderr = '';
  #isDead = false;

  constructor() {
    this.#child = spawn(process.execPath, [WORKER, 'run'], { stdio: 'pipe' });
    this.#exited = once(this.#child, 'close');
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.on('data', (text: Buffer) => (this.#stderr += text.toString()));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#take(JSON.parse(line) as Answer);
    });
    this.#child.on('close', () => {
      this.#isDead = true;
      for (const { reject } of this.#waiting.splice(0)) reject(new DiedError(this.#stderr));
    });
  }

  #take(answer: Answer): void {
    const first = this.#waiting.shift();
    if (answer.broken === undefined) first?.resolve(answer);
    else first?.reject(new Error(`the worker failed: ${answer.broken}`));
  }

  /** Rejects with {@link DiedError} when the process is dead, or dies before it has answered. */
  ask(command: Command | { look: string }): Promise<Answer> {
    if (this.#isDead) return Promise.reject(new DiedError(this.#stderr));
    const answer = new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no answer in ${ANSWER_TIMEOUT_MS} ms: ${this.#stderr}`));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.push({
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    return answer;
  }

  async look(path: string): Promise<Dump> {
    return dumpOf(await this.ask({ look: path }));
  }

  async dump(): Promise<Dump> {
    return dumpOf(await this.ask({ dump: true }));
  }

  open(command: OpenCommand): Promise<Answer> {
    return this.ask({ open: command });
  }

  /** Resolves when it is gone, and with it its lock. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

function dumpOf({ dump }: Answer): Dump {
  if (dump === undefined) throw new Error('the worker answered without a dump');
  return dump;
}

/** Keeps one process ahead of the need. */
export class Lives {
  readonly #ready: Life[] = [new Life()];
  readonly #used = new Set<Life>();

  take(): Life {
    const life = this.#ready.shift() ?? new Life();
    if (this.#ready.length === 0) this.#ready.push(new Life());
    this.#used.add(life);
    return life;
  }

  /** Takes one back that has nothing open. */
  giveBack(life: Life): void {
    this.#used.delete(life);
    this.#ready.push(life);
  }

  /** Ends one, and waits until it has ended. */
  async end(life: Life): Promise<void> {
    await life.kill();
    this.#used.delete(life);
  }

  async close(): Promise<void> {
    const all = [...this.#used, ...this.#ready.splice(0)];
    this.#used.clear();
    await Promise.all(all.map((life) => life.kill()));
  }
}
