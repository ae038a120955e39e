/**
 * System calls that may wait for a FUSE daemon, each in a process of its own. A thread that waits for a daemon
 * in the kernel cannot be killed: were it a thread of that daemon, neither could the daemon, and its descriptor,
 * whose closing would end the wait, would stay open for ever.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Errno } from '../../errno.ts';
import { commandFor } from './fusermount.ts';
import { cString, libc, LibcUnavailableError } from './libc.ts';

/**
 * A child whose call failed ends with this much more than the errno: Node's own exit codes, 1 to 13, look like errnos,
 * and a program that is gone is not "Operation not permitted".
 */
export const ERRNO_BASE = 60;
/** Exit code of a child that did not make its call; no errno leads as high. */
export const CHILD_FAILED = 200;

/** How long a child that was killed may take to end; a daemon gives interrupted requests up in half of this. */
const END_MS = 1000;

/** umount2(2)'s flags, from `linux/fs.h`. */
export const UnmountFlag = { FORCE: 1, DETACH: 2, NOFOLLOW: 8 } as const;

/** 0 or the errno; undefined when the call was still waiting after `timeoutMs`, or could not be made. */
type Outcome = Promise<number | undefined>;

function startChild(parameters: readonly string[]): ChildProcess {
  const program = fileURLToPath(
    new URL(`./syscall-child${extname(import.meta.url)}`, import.meta.url),
  );
  const environment = { ...process.env };
  // A debugger's or a tracer's options are not meant for this child.
  delete environment['NODE_OPTIONS'];
  return spawn(process.execPath, [program, ...parameters], {
    cwd: '/',
    env: environment,
    stdio: 'ignore',
    // Ctrl-C at the terminal is for the daemon, which then unmounts.
    detached: true,
  });
}

function outcomeOf(child: ChildProcess, timeoutMs?: number): Outcome {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    if (timeoutMs !== undefined) {
      timer = setTimeout(() => {
        child.kill('SIGKILL');
        // It may ignore the signal until the daemon answers, and keeps the mount busy till then.
        timer = setTimeout(() => {
          child.unref();
          resolve(undefined);
        }, END_MS);
      }, timeoutMs);
    }
    const settle = (code: number | null): void => {
      clearTimeout(timer);
      resolve(errnoOfExit(code));
    };
    child.once('error', () => {
      settle(null);
    });
    child.once('exit', settle);
  });
}

function errnoOfExit(code: number | null): number | undefined {
  if (code === 0) return 0;
  return code !== null && code > ERRNO_BASE && code < CHILD_FAILED ? code - ERRNO_BASE : undefined;
}

/** statfs(2), which always asks the daemon (stat(2) may answer from the kernel's cache). */
export function statfsInChild(path: Buffer, timeoutMs: number): Outcome {
  return outcomeOf(startChild(['statfs', path.toString('hex')]), timeoutMs);
}

/** stat(2). */
export function statInChild(path: Buffer, timeoutMs: number): Outcome {
  return outcomeOf(startChild(['stat', path.toString('hex')]), timeoutMs);
}

/** umount2(2) as root. Waits as long as it takes to write dirty pages back. Returns 0 or the errno. */
export async function umountInChild(path: Buffer, flags: number): Promise<number> {
  try {
    libc();
  } catch (error) {
    if (!(error instanceof LibcUnavailableError)) throw error;
    return umountByProgram(path, flags);
  }
  const errno = await outcomeOf(startChild(['umount', path.toString('hex'), String(flags)]));
  if (errno !== undefined) return errno;
  // No child to be had (memory, a replaced installation): better a thread of ours than a mount that stays.
  const { result, errno: reason } = await libc().umount2(cString(path), flags);
  return result === 0 ? 0 : reason;
}

/** umount(8), where koffi has no binary. Returns 0 or the errno, as far as the program tells it. */
export function umountByProgram(path: Buffer, flags: number): Promise<number> {
  const options = ['--internal-only', '--no-canonicalize'];
  if ((flags & UnmountFlag.DETACH) !== 0) options.push('--lazy');
  if ((flags & UnmountFlag.FORCE) !== 0) options.push('--force');
  const { file, parameters } = commandFor('umount', [...options, '--'], path);
  return new Promise((resolve) => {
    const child = spawn(file, parameters, {
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.once('error', () => {
      resolve(Errno.ENOSYS);
    });
    child.once('close', (code) => {
      if (code === 0) resolve(0);
      else if (/busy/.test(said)) resolve(Errno.EBUSY);
      else resolve(/not mounted|no mount point/.test(said) ? Errno.EINVAL : Errno.EPERM);
    });
  });
}
