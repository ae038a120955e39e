/**
 * The folder in which everything happens: backing file systems, mount points, logs. Whatever a run does, and
 * however it ends, its mounts and daemons are gone afterwards; a process beside us sees to it if we are killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isAlive, killNow, mountsBelow, nodeProcessesOf } from '../../test/support/processes.ts';
import { command } from './command.ts';

const GUARD = fileURLToPath(new URL('../../test/support/guard.js', import.meta.url));
/** Longer than any run; the guard's other reason, our end, is the one that counts here. */
const GUARD_TIMEOUT_MS = 24 * 3600 * 1000;
const UNMOUNT_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const MAX_POLLS = 200;

export const isRoot = process.getuid?.() === 0;

export class Place {
  readonly folder: string;
  readonly #guard: ChildProcess;
  readonly #undo: (() => Promise<void>)[] = [];

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'imssfs-bench-'));
    this.#guard = spawn(process.execPath, [GUARD], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#guard.unref();
    this.#guard.stdin?.on('error', () => undefined);
    this.#guard.stdin?.write(`watch ${GUARD_TIMEOUT_MS} ${this.folder}\n`);
  }

  /** Makes an empty folder in ours. */
  folderFor(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path);
    return path;
  }

  /** To be done at the end, the latest first. */
  atEnd(undo: () => Promise<void>): void {
    this.#undo.push(undo);
  }

  /** Undoes everything; rejects if a mount is left, after all that could be tried. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    for (const path of mountsBelow(this.folder)) {
      await unmount(path, 'lazy').catch((error: unknown) => failures.push(error));
    }
    nodeProcessesOf(this.folder, { below: true }).forEach(killNow);
    const left = mountsBelow(this.folder);
    if (left.length === 0) rmSync(this.folder, { recursive: true, force: true });
    // The guard ends with its input; what it was not told to release it takes down.
    this.#guard.stdin?.end(left.length === 0 ? `release 0 ${this.folder}\n` : '');
    if (failures.length > 0) {
      throw new AggregateError(failures, `tidying up failed: ${failures.map(String).join('; ')}`);
    }
  }
}

/** Unmounts a file system that is not imssfs. A daemon that has just ended may hold it for a moment. */
export async function unmount(path: string, mode: 'plain' | 'lazy' = 'plain'): Promise<void> {
  const lazy = mode === 'lazy';
  const [file, args] = isRoot
    ? ['umount', lazy ? ['-l'] : []]
    : ['fusermount3', lazy ? ['-u', '-z'] : ['-u']];
  for (let polls = 0; ; polls++) {
    try {
      await command(file, [...args, path], { timeoutMs: UNMOUNT_TIMEOUT_MS });
      return;
    } catch (error) {
      if (mountsBelow(path).length === 0) return;
      if (polls >= MAX_POLLS) throw error;
      await sleep(POLL_MS);
    }
  }
}

/** Waits until `path` is a mount point or `ended` says that it will not become one. */
export async function waitForMount(path: string, ended: () => boolean): Promise<boolean> {
  for (let polls = 0; polls < MAX_POLLS; polls++) {
    if (mountsBelow(path).includes(path)) return true;
    if (ended()) return false;
    await sleep(POLL_MS);
  }
  return false;
}

/** Waits for the end of a process that has been told to end, then kills it. */
export async function waitForEnd(pid: number): Promise<void> {
  for (let polls = 0; polls < MAX_POLLS && isAlive(pid); polls++) await sleep(POLL_MS);
  if (isAlive(pid)) killNow(pid);
}
