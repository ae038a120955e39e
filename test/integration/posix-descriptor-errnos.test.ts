/** What calls on descriptors refuse, each with the errno of its man page. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import * as descriptor from '../support/descriptor-calls.ts';
import { withFile } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { outcome } from '../support/outcome.ts';
import { sh } from '../support/run.ts';

const { O_APPEND, O_DIRECT, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_WRONLY } = {
  ...constants,
  O_PATH: 0o10_000_000,
};
const { F_OFD_SETLK, F_SETLK, fcntlLock, flock, LOCK_EX, LOCK_NB, LOCK_SH, LockType } = descriptor;
const BYTE = Buffer.alloc(1);

const CALLS: Readonly<Record<string, (fd: number) => unknown>> = {
  ...descriptor.DESCRIPTOR_CALLS,
  lseek: (fd) => libc.lseek(fd, 0, 0),
  fstat: (fd) => fstatSync(fd),
  write: (fd) => writeSync(fd, BYTE),
  fchmod: (fd) => { fchmodSync(fd, 0o644); }, // prettier-ignore
  fchown: (fd) => { fchownSync(fd, 0, 0); }, // prettier-ignore
  ftruncate: (fd) => { ftruncateSync(fd, 0); }, // prettier-ignore
  fdatasync: (fd) => { fdatasyncSync(fd); }, // prettier-ignore
  fallocate: (fd) => { libc.fallocate(fd, 0, { offset: 0, length: 1 }); }, // prettier-ignore
  copy: (fd) => descriptor.copyRange(fd, fd, 1),
};

function all(fd: number): Record<string, string> {
  return Object.fromEntries(
    Object.entries(CALLS).map(([name, call]) => [name, outcome(() => call(fd))]),
  );
}

function everywhere(code: string, exceptions: Readonly<Record<string, string>> = {}): unknown {
  return Object.fromEntries(Object.keys(CALLS).map((name) => [name, exceptions[name] ?? code]));
}

mountTest(
  'a descriptor that is closed, or that stands for a path alone, is EBADF in every call',
  (t, mount) => {
    writeFileSync(mount.at('f'), 'data');
    const fd = openSync(mount.at('f'), O_RDWR);
    closeSync(fd);
    t.deepEqual(all(fd), everywhere('EBADF'));
    withFile(mount.at('f'), O_PATH, (path) => {
      t.deepEqual(all(path), everywhere('EBADF', { fstat: 'ok', fstatfs: 'ok' }));
    });
    t.is(readFileSync(mount.at('f'), 'utf8'), 'data');
  },
);

mountTest(
  'copy_file_range refuses folders, pipes, other file systems, flags and descriptors of the wrong kind',
  async (t, mount) => {
    await sh('echo data > a; : > b; mkfifo p; mkdir d', { cwd: mount.path });
    writeFileSync(`${mount.scratch}/outside`, 'outside');
    const copy = (
      from: string,
      to: string,
      { fromFlags = O_RDONLY, toFlags = O_WRONLY, flags = 0, length = 4 } = {},
    ): string => {
      const path = (name: string): string =>
        name === 'outside' ? `${mount.scratch}/outside` : mount.at(name);
      return withFile(path(from), fromFlags, (source) =>
        withFile(path(to), toFlags, (target) =>
          outcome(() => descriptor.copyRange(source, target, length, flags)),
        ),
      );
    };
    const pipe = O_RDWR | O_NONBLOCK;
    t.is(copy('a', 'b', { flags: 2 }), 'EINVAL');
    t.is(copy('a', 'b', { toFlags: O_WRONLY | O_APPEND }), 'EBADF');
    t.is(copy('a', 'b', { toFlags: O_RDONLY }), 'EBADF');
    t.is(copy('a', 'b', { fromFlags: O_WRONLY }), 'EBADF');
    t.is(copy('d', 'b'), 'EISDIR');
    t.is(copy('a', 'd', { toFlags: O_RDONLY }), 'EISDIR');
    t.is(copy('p', 'b', { fromFlags: pipe }), 'EINVAL');
    t.is(copy('a', 'p', { toFlags: pipe }), 'EINVAL');
    t.is(copy('outside', 'b'), 'EXDEV');
    t.is(copy('a', 'outside'), 'EXDEV');
    t.is(copy('a', 'b'), 'ok');
    t.is(readFileSync(mount.at('b'), 'utf8'), 'data');
  },
  { lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'a pipe cannot be sought, cut or given a place to read from; a folder is read by getdents alone',
  async (t, mount) => {
    await sh('mkfifo p; mkdir d; : > f', { cwd: mount.path });
    withFile(mount.at('p'), O_RDWR | O_NONBLOCK, (fd) => {
      t.is(outcome(() => libc.lseek(fd, 0, 0)), 'ESPIPE'); // prettier-ignore
      t.is(
        outcome(() => descriptor.DESCRIPTOR_CALLS['pread']?.(fd)),
        'ESPIPE',
      );
      t.is(outcome(() => { ftruncateSync(fd, 0); }), 'EINVAL'); // prettier-ignore
      t.is(
        outcome(() => descriptor.listInto(fd, 512)),
        'ENOTDIR',
      );
    });
    t.is(outcome(() => { truncateSync(mount.at('p'), 0); }), 'EINVAL'); // prettier-ignore
    withFile(mount.at('f'), O_RDONLY, (fd) => {
      t.is(
        outcome(() => descriptor.listInto(fd, 512)),
        'ENOTDIR',
      );
    });
    withFile(mount.at('d'), O_RDONLY, (fd) => {
      t.is(
        outcome(() => descriptor.listInto(fd, 8)),
        'EINVAL',
      );
      t.is(
        outcome(() => descriptor.listInto(fd, 512)),
        'ok',
      );
    });
  },
);

mountTest(
  'locks refuse operations, types and ranges that there are not, and descriptors of the wrong kind',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, '');
    const lock = (fd: number, order: descriptor.LockOrder, command = F_SETLK): string =>
      outcome(() => { fcntlLock(fd, command, order); }); // prettier-ignore
    const largest = 2n ** 63n - 1n;
    withFile(path, 'r+', (fd) => {
      for (const operation of [0, LOCK_NB, LOCK_SH | LOCK_EX, 64]) {
        t.is(outcome(() => { flock(fd, operation); }), 'EINVAL', String(operation)); // prettier-ignore
      }
      t.is(lock(fd, { type: 9 }), 'EINVAL');
      t.is(lock(fd, { type: LockType.READ, whence: 9 }), 'EINVAL');
      t.is(lock(fd, { type: LockType.READ, start: -1n }), 'EINVAL');
      t.is(lock(fd, { type: LockType.READ, start: 5n, length: -6n }), 'EINVAL');
      t.is(lock(fd, { type: LockType.READ, start: largest, length: 2n }), 'EOVERFLOW');
      t.is(lock(fd, { type: LockType.READ, pid: 1 }, F_OFD_SETLK), 'EINVAL');
      flock(fd, LOCK_EX);
      withFile(path, 'r', (second) => {
        t.is(outcome(() => { flock(second, LOCK_SH | LOCK_NB); }), 'EWOULDBLOCK'); // prettier-ignore
        for (const command of [F_SETLK, F_OFD_SETLK]) {
          t.is(lock(second, { type: LockType.WRITE }, command), 'EBADF');
          t.is(lock(second, { type: LockType.READ }, command), 'ok');
        }
      });
    });
    withFile(path, O_WRONLY, (fd) => {
      t.is(lock(fd, { type: LockType.READ }), 'EBADF');
      t.is(lock(fd, { type: LockType.WRITE }), 'ok');
    });
  },
);

mountTest(
  'what would grow beyond the limit of the process is EFBIG, however it grows',
  (t, mount) => {
    const limit = 2 * 1024 * 1024 - 4096;
    const path = mount.at('f');
    const page = Buffer.alloc(4096, 1);
    writeFileSync(mount.at('source'), page);
    writeFileSync(path, '');
    withFile(path, O_RDWR, (fd) => {
      descriptor.withFileSizeLimit(limit, () => {
        const at = { offset: limit, length: 1 };
        t.is(
          outcome(() => writeSync(fd, page, 0, 1, limit)),
          'EFBIG',
        );
        t.is(outcome(() => { ftruncateSync(fd, limit + 1); }), 'EFBIG'); // prettier-ignore
        t.is(outcome(() => { truncateSync(path, limit + 1); }), 'EFBIG'); // prettier-ignore
        t.is(writeSync(fd, page, 0, 4096, limit - 10), 10);
        t.is(statSync(path).size, limit);
        t.is(outcome(() => { libc.fallocate(fd, 0, at); }), 'EFBIG'); // prettier-ignore
        withFile(path, O_WRONLY | O_APPEND, (end) => {
          t.is(
            outcome(() => writeSync(end, page)),
            'EFBIG',
          );
        });
        withFile(path, O_WRONLY | O_DIRECT, (direct) => {
          t.is(
            outcome(() => writeSync(direct, page, 0, 1, limit)),
            'EFBIG',
          );
        });
        withFile(mount.at('source'), O_RDONLY, (source) => {
          libc.lseek(fd, limit, 0);
          t.is(
            outcome(() => descriptor.copyRange(source, fd, 4096)),
            'EFBIG',
          );
        });
      });
      t.is(statSync(path).size, limit);
    });
  },
  { lacks: 'ranges' },
);
