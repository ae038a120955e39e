/**
 * Runs programs for the benchmarks. Each is in a process group of its own, so that Ctrl-C reaches this process
 * alone, which then ends what runs and unmounts; each is bounded in time.
 */
import { spawn } from 'node:child_process';
import { basename } from 'node:path';

export interface CommandOptions {
  /** Ends the program, with all that it has started. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/** Resolves to what the program printed; rejects with its last words unless it ended with status 0. */
export function command(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...options.env },
    });
    let stdout = '';
    let stderr = '';
    let killedFor: Error | undefined;
    const kill = (reason: Error): void => {
      killedFor ??= reason;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const timer = setTimeout(() => {
      kill(new Error(`${file} took longer than ${timeoutMs / 1000} s`));
    }, timeoutMs);
    const onAbort = (): void => {
      kill(options.signal?.reason as Error);
    };
    options.signal?.addEventListener('abort', onAbort);
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const settle = (failure: Error | undefined): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      if (failure === undefined) resolve(stdout);
      else reject(failure);
    };
    child.once('error', settle);
    child.once('close', (status, signal) => {
      const end =
        lastWords(stderr) ?? `${basename(file)} ended with ${signal ?? `status ${String(status)}`}`;
      settle(killedFor ?? (status === 0 ? undefined : new Error(end)));
    });
  });
}

/** The last line that says something. */
export function lastWords(output: string): string | undefined {
  return output
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '');
}

/** Ends a process and all that it has started. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}
