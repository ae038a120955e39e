/**
 * A process that does with files as it is told, locks above all, so that a test sees what a program sees: each order is
 * a system call, and answers with its result or the name of its errno.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { killNow } from './processes.ts';

/** `struct flock` of 64-bit Linux: type, whence, start, length, process. */
const SCRIPT = `
import errno, fcntl, os, signal, struct, sys
FLOCK, FORMAT = {'SH': fcntl.LOCK_SH, 'EX': fcntl.LOCK_EX, 'UN': fcntl.LOCK_UN}, 'hhqqixxxx'
TYPES = {'R': fcntl.F_RDLCK, 'W': fcntl.F_WRLCK, 'U': fcntl.F_UNLCK}
COMMANDS = {'posix': (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW), 'ofd': (36, 37, 38)}
NAMES = {number: name for name, number in TYPES.items()}

class Interrupted(Exception): pass
def interrupt(*_): raise Interrupted()

def order(verb, *words):
    if verb == 'open': return os.open(words[0], os.O_RDWR | os.O_CREAT, 0o666)
    if verb == 'pid': return os.getpid()
    if verb == 'stat': return os.stat(words[0]).st_size
    if verb == 'list': return len([entry.stat() for entry in os.scandir(words[0])])
    if verb in ('link', 'mkdir', 'rename', 'rmdir', 'symlink', 'unlink'): return getattr(os, verb)(*words)
    fd = int(words[0])
    if verb == 'close': return os.close(fd)
    if verb == 'dup': return os.dup(fd)
    if verb == 'fsync': return os.fsync(fd)
    if verb == 'pread': return os.pread(fd, int(words[2]), int(words[1])).decode()
    if verb == 'pwrite': return os.pwrite(fd, words[2].encode(), int(words[1]))
    if verb == 'flock':
        return fcntl.flock(fd, FLOCK[words[1]] | (fcntl.LOCK_NB if 'NB' in words else 0))
    kind, type, start, length = words[1:5]
    test, take, wait = COMMANDS[kind]
    command = test if verb == 'test' else wait if verb == 'wait' else take
    flock = struct.pack(FORMAT, TYPES[type], os.SEEK_SET, int(start), int(length), 0)
    found = struct.unpack(FORMAT, fcntl.fcntl(fd, command, flock))
    if verb == 'test': return NAMES[found[0]] if found[0] == fcntl.F_UNLCK else ' '.join(map(str, [NAMES[found[0]], found[2], found[3], found[4]]))

signal.signal(signal.SIGUSR1, interrupt)
signal.signal(signal.SIGINT, signal.SIG_DFL)
print('ready', flush=True)
for line in sys.stdin:
    try:
        result = order(*line.split())
        answer = 'ok' if result is None else str(result)
    except OSError as error:
        answer = 'EDEADLK' if error.errno == errno.EDEADLK else errno.errorcode[error.errno]
    except Interrupted:
        answer = 'EINTR'
    print(answer, flush=True)
`;

export class Locker {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  /** Answers come in the order of the orders. */
  #last: Promise<unknown>;

  private constructor() {
    this.#child = spawn('python3', ['-uc', SCRIPT], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: '/',
    });
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    this.#last = this.#next();
  }

  /** Runs `body` with so many processes; none is left afterwards. */
  static async with<T>(count: number, body: (...lockers: Locker[]) => Promise<T>): Promise<T> {
    const lockers = Array.from({ length: count }, () => new Locker());
    try {
      await Promise.all(lockers.map((locker) => locker.#last));
      return await body(...lockers);
    } finally {
      for (const locker of lockers) locker.kill();
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async #next(): Promise<string> {
    const next = await this.#lines.next();
    return next.done === true ? 'gone' : next.value;
  }

  /** Resolves to the answer; `gone` if the process ends instead. */
  do(order: string): Promise<string> {
    this.#child.stdin.write(`${order}\n`);
    const answer = this.#last.then(() => this.#next());
    this.#last = answer;
    return answer;
  }

  /** A signal that a handler answers, which ends the system call that waits. */
  interrupt(): void {
    this.#child.kill('SIGUSR1');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(): void {
    killNow(this.pid);
  }
}

/** Whether `promise` has settled by the next few turns of the event loop and `ms` later. */
export async function isPending(promise: Promise<unknown>, ms = 200): Promise<boolean> {
  const late = Symbol('late');
  const timer = new Promise((resolve) => setTimeout(resolve, ms, late));
  return (await Promise.race([promise, timer])) === late;
}
