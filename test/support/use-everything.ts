/**
 * Uses a mount in every way that there is, whatever comes of it, and prints the error codes that it met with their numbers,
 * as JSON. Arguments: a folder in the mount, and how many times.
 */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { blocksAttribute, INFO_ATTRIBUTE } from '../../src/fs/dataset-info.ts';
import * as libc from './libc.ts';
import { getxattr, listxattr, removexattr, setxattr } from './libc.ts';
import { pattern } from './pattern.ts';

const MIB = 1024 * 1024;
const DATA = pattern(2 * MIB + 5000);

const failures: Record<string, number> = {};

function count(code: string): void {
  failures[code] = (failures[code] ?? 0) + 1;
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    count((error as NodeJS.ErrnoException).code ?? String(error));
    return undefined;
  }
}

/** Data that is not what was written counts as `WRONG`. */
function expectData(read: Buffer | undefined, wanted: Buffer): void {
  if (read !== undefined && !read.equals(wanted)) count('WRONG');
}

function withFile(path: string, flags: number | string, use: (fd: number) => void): void {
  const fd = attempt(() => openSync(path, flags));
  if (fd === undefined) return;
  use(fd);
  attempt(() => {
    closeSync(fd);
  });
}

/** Past the page cache. */
function readBack(path: string): void {
  withFile(path, constants.O_RDONLY | constants.O_DIRECT, (fd) => {
    const room = Buffer.alloc(DATA.length);
    const length = attempt(() => readSync(fd, room, 0, room.length, 0));
    if (length !== undefined) expectData(room.subarray(0, length), DATA);
  });
}

function useData(folder: string): void {
  const path = join(folder, 'data');
  withFile(path, 'wx+', (fd) => {
    attempt(() => writeSync(fd, DATA, 0, DATA.length, 0));
    attempt(() => fstatSync(fd));
    attempt(() => statSync(path));
    attempt(() => readdirSync(folder));
    attempt(() => {
      fsyncSync(fd);
    });
  });
  readBack(path);
  attempt(() => {
    utimesSync(path, 1, 2);
  });
  withFile(path, 'r+', (fd) => {
    attempt(() => {
      futimesSync(fd, 3, 4);
    });
    attempt(() => {
      ftruncateSync(fd, MIB + 10);
    });
  });
  attempt(() => {
    truncateSync(path, 5);
  });
  attempt(() => {
    appendFileSync(path, 'more');
  });
  attempt(() => readFileSync(path));
}

/** Data, a hole, reserved room and data again; then a copy of it. */
function useRanges(folder: string): void {
  const path = join(folder, 'ranges');
  const expected = Buffer.concat([DATA], 4 * MIB);
  const change = (fd: number, mode: number, range: { offset: number; length: number }): void => {
    attempt(() => {
      libc.fallocate(fd, mode, range);
    });
  };
  withFile(path, 'wx+', (fd) => {
    attempt(() => writeSync(fd, DATA, 0, DATA.length, 0));
    change(fd, 0, { offset: MIB, length: 3 * MIB });
    change(fd, libc.FALLOC_FL_PUNCH_HOLE_KEEP_SIZE, { offset: 4096, length: MIB });
    change(fd, libc.FALLOC_FL_ZERO_RANGE, { offset: 2 * MIB, length: 4096 });
    expected.fill(0, 4096, 4096 + MIB).fill(0, 2 * MIB, 2 * MIB + 4096);
    for (const [whence, from, to] of [
      [libc.SEEK_HOLE, 0, 4096],
      [libc.SEEK_DATA, 4096, 4096 + MIB],
    ] as const) {
      const found = attempt(() => libc.lseek(fd, from, whence));
      if (found !== undefined && found !== to) count('WRONG');
    }
    withFile(`${path}-copy`, 'wx+', (target) => {
      const from = { fd, offset: 0 };
      attempt(() => libc.copyFileRange(from, { fd: target, offset: 10 }, expected.length));
    });
  });
  const read = attempt(() => readFileSync(path));
  expectData(read, expected);
  const copy = attempt(() => readFileSync(`${path}-copy`));
  expectData(copy, Buffer.concat([Buffer.alloc(10), expected]));
}

function useNameless(folder: string): void {
  const path = join(folder, 'named');
  withFile(folder, libc.O_TMPFILE | constants.O_RDWR, (fd) => {
    attempt(() => writeSync(fd, DATA, 0, DATA.length, 0));
    attempt(() => {
      libc.linkOpenFile(fd, path);
    });
  });
  readBack(path);
}

function useLocks(folder: string): void {
  withFile(join(folder, 'locked'), 'wx+', (fd) => {
    const whole = { start: 0, length: 0 };
    const { LOCK_EX, LOCK_NB, LOCK_UN, F_GETLK, F_SETLK, F_WRLCK, F_UNLCK } = libc;
    for (const operation of [LOCK_EX | LOCK_NB, LOCK_UN]) {
      attempt(() => {
        libc.flock(fd, operation);
      });
    }
    attempt(() => libc.recordLock(fd, F_SETLK, { ...whole, type: F_WRLCK }));
    attempt(() => writeSync(fd, 'locked'));
    const inTheWay = attempt(() => libc.recordLock(fd, F_GETLK, { ...whole, type: F_WRLCK }));
    if (inTheWay !== undefined && inTheWay !== F_UNLCK) count('WRONG');
    attempt(() => libc.recordLock(fd, F_SETLK, { ...whole, type: F_UNLCK }));
  });
}

function useLayout(folder: string): void {
  const path = join(folder, 'here');
  withFile(path, 'wx', () => undefined);
  attempt(() => {
    setxattr(path, 'user.imss.policy', Buffer.from('LOCAL'));
  });
  withFile(path, 'r+', (fd) => {
    attempt(() => writeSync(fd, DATA, 0, DATA.length, 0));
  });
  attempt(() => getxattr(path, INFO_ATTRIBUTE));
  attempt(() => getxattr(path, blocksAttribute(0)));
  readBack(path);
}

function useXattrs(folder: string): void {
  const path = join(folder, 'attributes');
  attempt(() => {
    writeFileSync(path, 'x');
  });
  attempt(() => {
    setxattr(path, 'user.one', Buffer.from('value'));
  });
  attempt(() => getxattr(path, 'user.one'));
  attempt(() => listxattr(path));
  attempt(() => {
    removexattr(path, 'user.one');
  });
}

function useNames(folder: string): void {
  const at = (name: string): string => join(folder, name);
  attempt(() => {
    writeFileSync(at('name'), 'x');
  });
  attempt(() => {
    linkSync(at('name'), at('other'));
  });
  attempt(() => {
    chmodSync(at('name'), 0o4755);
  });
  for (const name of ['d1', 'd2', 'd3', 'd4']) {
    attempt(() => {
      mkdirSync(at(name));
    });
  }
  attempt(() => {
    renameSync(at('other'), at('d1/moved'));
  });
  attempt(() => {
    symlinkSync('name', at('link'));
  });
  attempt(() => readlinkSync(at('link')));
  attempt(() => readdirSync(folder));
  attempt(() => readdirSync(folder).map((name) => statSync(at(name))));
  attempt(() => statfsSync(folder));
  withFile(at('name'), 'r+', () => {
    attempt(() => {
      unlinkSync(at('name'));
    });
  });
  attempt(() => {
    rmdirSync(at('d2'));
  });
}

const [root = '', rounds = '1'] = argv.slice(2);
for (let round = 0; round < Number(rounds); round++) {
  const folder = join(root, `round${round}`);
  attempt(() => {
    mkdirSync(folder, { recursive: true });
  });
  const uses = [useData, useRanges, useNameless, useLocks, useLayout, useXattrs, useNames];
  for (const use of uses) use(folder);
  attempt(() => {
    rmSync(folder, { recursive: true });
  });
}
stdout.write(JSON.stringify(failures));
