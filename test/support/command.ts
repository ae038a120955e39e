/** Runs `imssfs` and `umount-imss` as a person at the shell does, in a folder of the test's own. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NativeLimitName } from '../../src/fs/native/limits.ts';
import {
  engines,
  IMSSFS,
  isRoot,
  logTail,
  skipsMounts,
  UMOUNT_IMSS,
  whyNoMounts,
  withFolder,
} from './mount.ts';
import type { EngineName } from './mount.ts';
import { mountsBelow, nodeProcessesOf } from './processes.ts';
import { describe, run, sh } from './run.ts';
import type { RunOptions, RunResult } from './run.ts';
import { AS_NOBODY } from './users.ts';

const TEST_TIMEOUT_MS = 120_000;
const COMMAND_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const MAX_POLLS = 400;

export interface Shell {
  engine: EngineName;
  /** Removed after the test, with all mounts and daemons in it. Commands run here. */
  folder: string;
  /** An empty folder to mount on, `mnt` in the folder. */
  mnt: string;
  logFile: string;
  /** Runs `imssfs --log-file … ARGS`. */
  imssfs(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  umount(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Mounts at `mnt` and returns the daemon's process id. */
  mount(...args: string[]): Promise<number>;
  /**
   * Runs a script as root in a mount namespace of its own, whose mounts end with it, and in which /run is
   * and /var/log are empty and no other imssfs is mounted. `$IMSSFS`, `$UMOUNT`, `$LOG` and `$MNT` are set;
   * `$AS_USER COMMAND` runs as an ordinary user, `open_fuse` MODE` sets the mode of /dev/fuse.
   */
  apart(script: string, options?: RunOptions): Promise<RunResult>;
}

export interface CommandTestOptions {
  needsRoot?: boolean;
  /** Has nothing to do with the engine: one will do. */
  once?: true;
  /** What fuse-native lacks that this test is about: skipped there. */
  lacks?: NativeLimitName;
}

/** Declares a test of the commands, once for each engine of imssfs under test. */
export function commandTest(
  title: string,
  body: (t: ExecutionContext, shell: Shell) => Promise<void>,
  options: CommandTestOptions = {},
): void {
  for (const engine of options.once === true ? engines.slice(0, 1) : engines) {
    const lacking = engine === 'fuse-native' ? options.lacks : undefined;
    // These tests give the command its words, and so choose servers themselves if they want any.
    const skipped =
      engine === 'tmpfs' ||
      engine === 'detached' ||
      skipsMounts ||
      lacking !== undefined ||
      (options.needsRoot === true && !isRoot);
    const declare = skipped ? test.skip : test.serial;
    const reason = lacking === undefined ? '' : ` (it lacks: ${lacking})`;
    declare(`${engine}: ${title}${reason}`, async (t) => {
      t.timeout(TEST_TIMEOUT_MS + COMMAND_TIMEOUT_MS);
      const obstacle = whyNoMounts();
      if (obstacle !== undefined) throw new Error(obstacle);
      await withFolder(TEST_TIMEOUT_MS, async (folder) => {
        const shell = makeShell(engine, folder);
        try {
          await body(t, shell);
        } catch (error) {
          t.log(logTail(shell.logFile));
          throw error;
        }
        t.deepEqual(mountsBelow(folder), [], 'a mount is left');
        t.deepEqual(nodeProcessesOf(folder, { below: true }), [], 'a process is left');
      });
    });
  }
}

function makeShell(engine: EngineName, folder: string): Shell {
  const mnt = join(folder, 'mnt');
  const logFile = join(folder, 'imssfs.log');
  mkdirSync(mnt);
  const bounded = (options: RunOptions = {}): RunOptions => ({
    cwd: folder,
    timeoutMs: COMMAND_TIMEOUT_MS,
    ...options,
  });
  const shell: Shell = {
    engine,
    folder,
    mnt,
    logFile,
    imssfs: (args, options) =>
      run(IMSSFS, ['--engine', engine, '--log-file', logFile, ...args], bounded(options)),
    umount: (args, options) => run(UMOUNT_IMSS, args, bounded(options)),
    async mount(...args) {
      const result = await shell.imssfs([...args, mnt]);
      if (result.status !== 0) throw new Error(describe(result));
      return daemonOf(mnt);
    },
    apart(script, options = {}) {
      const prepared = `
        grep -E '^[^ ]+ [^ ]+ fuse[.]imssfs ' /proc/mounts | cut -d' ' -f2 | while read -r other; do
          umount -l "$other"
        done
        mount -t tmpfs -o mode=755 run /run
        mount -t tmpfs -o mode=755 log /var/log
        open_fuse() {
          mount -t tmpfs -o dev,mode=755 none "$MNT"; mknod -m "$1" "$MNT/fuse" c 10 229
          mount --bind "$MNT/fuse" /dev/fuse; umount -l "$MNT"
        }
        ${script}`;
      const env = {
        IMSSFS,
        UMOUNT: UMOUNT_IMSS,
        LOG: logFile,
        MNT: mnt,
        ENGINE: engine,
        AS_USER: AS_NOBODY.join(' '),
      };
      return run('unshare', ['-m', '/bin/sh', '-euc', prepared], {
        ...bounded(options),
        env: { ...env, ...options.env },
      });
    },
  };
  return shell;
}

/** The one daemon that serves a mount. */
export function daemonOf(mountPoint: string): number {
  const found = nodeProcessesOf(mountPoint);
  const [pid] = found;
  if (pid === undefined || found.length > 1) {
    throw new Error(`${found.length} processes serve ${mountPoint}, not one`);
  }
  return pid;
}

/** Polls until `condition` holds; false when it does not within twenty seconds. */
export async function eventually(condition: () => boolean): Promise<boolean> {
  for (let polls = 0; polls < MAX_POLLS; polls++) {
    if (condition()) return true;
    await sleep(POLL_MS);
  }
  return condition();
}

/** Asserts a refusal as the command line promises it: its exit code, one line that names the reason, no more. */
export function assertRefused(
  t: ExecutionContext,
  result: RunResult,
  expected: { status: number | readonly number[]; says: RegExp },
): void {
  const statuses = [expected.status].flat();
  t.true(statuses.includes(result.status ?? -1), describe(result));
  const lines = result.stderr.split('\n').filter((line) => line !== '');
  t.is(lines.length, 1, describe(result));
  t.regex(result.stderr, expected.says, describe(result));
  assertNoStack(t, result);
}

/** No output for people shows the inside of the program. */
export function assertNoStack(t: ExecutionContext, result: RunResult): void {
  const said = result.stdout + result.stderr;
  t.notRegex(said, /^\s+at .*[(:]\d+|node:internal|Error:.*\n\s+at /m, describe(result));
}

/** Writes and reads back through a mount, by another process. */
export async function assertWorks(t: ExecutionContext, mountPoint: string): Promise<void> {
  const out = await sh('echo works > probe; cat probe; rm probe', { cwd: mountPoint });
  t.is(out, 'works');
}
