/** Python programs of several processes that share files of the mount by locks and by mappings. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { mountTest } from '../support/mount.ts';
import type { Mount } from '../support/mount.ts';
import { runOk } from '../support/run.ts';
import { LONG } from './bounds.ts';

const PROCESSES = 4;
const ROUNDS = 300;

/** A program that is read from standard input can only be forked. */
const PRELUDE = `
import multiprocessing
multiprocessing.set_start_method('fork')
`;

/** Runs a program in the mount; returns what it prints. */
async function python(mount: Mount, program: string): Promise<string> {
  const options = { ...LONG, cwd: mount.path, input: PRELUDE + program };
  const { stdout } = await runOk('python3', ['-'], options);
  return stdout.trimEnd();
}

/** The 64-bit number at the beginning of a file. */
function counterIn(path: string): number {
  return Number(readFileSync(path).readBigInt64LE(0));
}

function counted(t: ExecutionContext, mount: Mount): void {
  t.is(counterIn(mount.at('counter')), PROCESSES * ROUNDS);
}

mountTest(
  'no update is lost of a counter that Python processes change under fcntl locks',
  async (t, mount) => {
    writeFileSync(mount.at('counter'), Buffer.alloc(8));
    await python(
      mount,
      `
import fcntl, multiprocessing, os, struct

def count():
    with open('counter', 'r+b', buffering=0) as f:
        for _ in range(${ROUNDS}):
            fcntl.lockf(f, fcntl.LOCK_EX, 8, 0)
            number, = struct.unpack('<q', os.pread(f.fileno(), 8, 0))
            os.pwrite(f.fileno(), struct.pack('<q', number + 1), 0)
            fcntl.lockf(f, fcntl.LOCK_UN, 8, 0)

workers = [multiprocessing.Process(target=count) for _ in range(${PROCESSES})]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert all(worker.exitcode == 0 for worker in workers)
`,
    );
    counted(t, mount);
  },
);

mountTest(
  'an fcntl lock of one Python process keeps another from its range, and from no other, until that process dies',
  async (t, mount) => {
    writeFileSync(mount.at('file'), Buffer.alloc(1000));
    const out = await python(
      mount,
      `
import errno, fcntl, multiprocessing, os, signal

def hold(ready):
    f = open('file', 'r+b', buffering=0)
    fcntl.lockf(f, fcntl.LOCK_EX, 100, 100)
    fcntl.lockf(f, fcntl.LOCK_SH, 100, 500)
    ready.set()
    signal.pause()

def attempt(kind, length, start):
    try:
        fcntl.lockf(f, kind | fcntl.LOCK_NB, length, start)
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]

ready = multiprocessing.Event()
holder = multiprocessing.Process(target=hold, args=(ready,))
holder.start()
ready.wait()
f = open('file', 'r+b', buffering=0)
print(attempt(fcntl.LOCK_EX, 100, 0), attempt(fcntl.LOCK_EX, 1, 199), attempt(fcntl.LOCK_SH, 1, 100))
print(attempt(fcntl.LOCK_SH, 100, 500), attempt(fcntl.LOCK_EX, 1, 599), attempt(fcntl.LOCK_EX, 0, 600))
holder.kill()
holder.join()
print(attempt(fcntl.LOCK_EX, 0, 0))
`,
    );
    const refused = /^(EAGAIN|EACCES)$/;
    const [first = [], second = [], third = []] = out.split('\n').map((line) => line.split(' '));
    t.deepEqual([first[0], second[0], second[2], third[0]], ['ok', 'ok', 'ok', 'ok'], out);
    for (const word of [first[1], first[2], second[1]]) t.regex(word ?? '', refused, out);
  },
);

mountTest(
  'Python processes share a writable mapping: each sees what the others write, and the file has it all',
  async (t, mount) => {
    writeFileSync(mount.at('counter'), Buffer.alloc(1 << 20));
    await python(
      mount,
      `
import mmap, multiprocessing, os, struct
SIZE = 1 << 20
lock = multiprocessing.Lock()

def count(which):
    with open('counter', 'r+b') as f, mmap.mmap(f.fileno(), SIZE) as area:
        for turn in range(${ROUNDS}):
            with lock:
                number, = struct.unpack_from('<q', area, 0)
                struct.pack_into('<q', area, 0, number + 1)
            at = 4096 * (1 + (turn * 7 + which * 31) % 250) + which * 8
            number, = struct.unpack_from('<q', area, at)
            struct.pack_into('<q', area, at, number + 1)
        area.flush()

workers = [multiprocessing.Process(target=count, args=(which,)) for which in range(${PROCESSES})]
for worker in workers: worker.start()
for worker in workers: worker.join()
assert all(worker.exitcode == 0 for worker in workers)
with open('counter', 'rb') as f:
    data = f.read()
assert sum(struct.unpack('<%dq' % (SIZE // 8), data)) == 2 * ${PROCESSES * ROUNDS}
`,
    );
    counted(t, mount);
  },
);

mountTest(
  'a Python mapping grows with its file, keeps what it had, and a private one leaves the file alone',
  async (t, mount) => {
    await python(
      mount,
      `
import mmap, os
with open('file', 'w+b') as f:
    f.truncate(10000)
    area = mmap.mmap(f.fileno(), 10000)
    area[0:5] = b'first'
    area.resize(5000000)
    area[4999995:5000000] = b'final'
    area.flush()
    area.move(2500000, 0, 5)
    area.close()
    private = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    private[0:5] = b'never'
    private.close()
with open('file', 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as area:
    assert area.size() == 5000000
    assert area.find(b'final') == 4999995 and area.rfind(b'first') == 2500000
    assert area[5:2500000].count(b'\\0') == 2499995
`,
    );
    const file = readFileSync(mount.at('file'));
    t.is(file.length, 5_000_000);
    t.is(file.toString('latin1', 0, 5), 'first');
    t.is(file.toString('latin1', 2_500_000, 2_500_005), 'first');
    t.is(file.toString('latin1', 4_999_995), 'final');
  },
);
