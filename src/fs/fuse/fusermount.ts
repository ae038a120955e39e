/**
 * Mounting and unmounting as an ordinary user, by the set-uid program fusermount3 (or fusermount), which passes the
 * opened /dev/fuse back over a socket (libfuse's protocol: `_FUSE_COMMFD` names its end).
 */
import { spawn } from 'node:child_process';
import { constants, closeSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { FsError, errnoName } from '../../errno.ts';
import { displayPath } from '../mount-table.ts';
import { libc } from './libc.ts';
import { MountError, fusermountError, fusermountUnmountError, saysBusy } from './mount-error.ts';

const PROGRAMS = ['fusermount3', 'fusermount'] as const;
/** Searched after PATH, which some service managers leave empty. */
const USUAL_FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin'];
/** Descriptor number of the socket within fusermount: the first after standard error. */
const CHILD_SOCKET = 3;
/** fusermount's complaints are a line or two. */
const MAX_STDERR_CHARS = 10_000;

/** Full path of the program, or undefined if it is not installed. */
export async function findFusermount(
  path = process.env['PATH'] ?? '',
  programs: readonly string[] = PROGRAMS,
): Promise<string | undefined> {
  const folders = [...path.split(':').filter((folder) => folder.startsWith('/')), ...USUAL_FOLDERS];
  for (const name of programs) {
    for (const folder of folders) {
      const program = join(folder, name);
      const found = await access(program, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return program;
    }
  }
  return undefined;
}

/**
 * Command line that runs `program` with `options` and then `path`. Node's arguments are strings, so a path that is
 * not UTF-8 goes through a shell's printf.
 */
export function commandFor(
  program: string,
  options: readonly string[],
  path: Buffer,
): { file: string; parameters: string[] } {
  const text = path.toString();
  if (Buffer.from(text).equals(path)) return { file: program, parameters: [...options, text] };
  const octal = Array.from(path, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  // The x keeps $(…) from dropping newlines at the end.
  const script = `path=$(printf '${octal}x'); exec "$0" "$@" "\${path%x}"`;
  return { file: '/bin/sh', parameters: ['-c', script, program, ...options] };
}

interface Finished {
  succeeded: boolean;
  stderr: string;
}

/** Runs fusermount to its end; `socket`, if any, becomes its `_FUSE_COMMFD`. */
function run(command: ReturnType<typeof commandFor>, socket?: number): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command.file, command.parameters, {
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C', _FUSE_COMMFD: String(CHILD_SOCKET) },
      stdio: ['ignore', 'ignore', 'pipe', ...(socket === undefined ? [] : [socket])],
      // Ctrl-C at the terminal is for the daemon, which then unmounts.
      detached: true,
    });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < MAX_STDERR_CHARS) stderr += text;
    });
    child.once('error', (error) => {
      resolve({ succeeded: false, stderr: error.message });
    });
    child.once('close', (code) => {
      resolve({ succeeded: code === 0, stderr });
    });
  });
}

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** Sizes of `struct msghdr` and of `struct cmsghdr` with one descriptor, on 64-bit glibc and musl alike. */
const MSGHDR_BYTES = 56;
const CMSG_BYTES = 24;

/**
 * Takes the descriptor that waits in a Unix socket (cmsg(3)). Returns undefined when there is none.
 * The descriptor is close-on-exec.
 */
export function receiveDescriptor(socket: number): number | undefined {
  const calls = libc();
  // One slab of more than 64 bytes, so that it does not move: msghdr, iovec, the byte, the control message.
  const memory = Buffer.alloc(256);
  const base = calls.address(memory);
  const iovec = 64;
  const byte = 96;
  const control = 128;
  memory.writeBigUInt64LE(base + BigInt(iovec), 16); // msg_iov
  memory.writeBigUInt64LE(1n, 24); // msg_iovlen
  memory.writeBigUInt64LE(base + BigInt(control), 32); // msg_control
  memory.writeBigUInt64LE(BigInt(CMSG_BYTES), 40); // msg_controllen
  memory.writeBigUInt64LE(base + BigInt(byte), iovec);
  memory.writeBigUInt64LE(1n, iovec + 8);
  const message = memory.subarray(0, MSGHDR_BYTES);
  if (calls.recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return undefined;
  const isDescriptor =
    memory.readUInt32LE(40) >= CMSG_BYTES - 4 &&
    memory.readInt32LE(control + 8) === SOL_SOCKET &&
    memory.readInt32LE(control + 12) === SCM_RIGHTS;
  return isDescriptor ? memory.readInt32LE(control + 16) : undefined;
}

const F_GETFL = 3;
const F_SETFL = 4;

/** Sets O_NONBLOCK on an open descriptor. */
export function makeNonBlocking(fd: number): void {
  const calls = libc();
  const flags = calls.fcntl(fd, F_GETFL, 0);
  if (flags < 0 || calls.fcntl(fd, F_SETFL, flags | constants.O_NONBLOCK) < 0) {
    throw new MountError(`/dev/fuse cannot be made non-blocking: ${errnoName(calls.errno())}`);
  }
}

/** Mounts on `target` and returns the non-blocking, close-on-exec /dev/fuse. Rejects with {@link MountError}. */
export async function mountByFusermount(
  program: string,
  target: Buffer,
  options: string,
): Promise<number> {
  const pair = libc().socketPair();
  if (pair === undefined) {
    throw new MountError('No socket for fusermount: raise the limit of open files (ulimit -n)');
  }
  const [ours, theirs] = pair;
  try {
    const { succeeded, stderr } = await run(
      commandFor(program, ['-o', options, '--'], target),
      theirs,
    );
    const fd = receiveDescriptor(ours);
    if (!succeeded || fd === undefined) {
      if (fd !== undefined) closeSync(fd);
      throw fusermountError(stderr, displayPath(target));
    }
    makeNonBlocking(fd);
    return fd;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** Unmounts. Rejects with FsError EBUSY, or {@link MountError}; also for a mount that is gone. */
export async function unmountByFusermount(
  program: string,
  target: Buffer,
  lazy: boolean,
): Promise<void> {
  const options = lazy ? ['-u', '-z', '--'] : ['-u', '--'];
  const { succeeded, stderr } = await run(commandFor(program, options, target));
  if (succeeded) return;
  if (saysBusy(stderr)) throw new FsError('EBUSY', `${displayPath(target)} is in use`);
  throw fusermountUnmountError(stderr, displayPath(target));
}
