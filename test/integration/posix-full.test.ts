/** Each way to need room on a mount that has none is ENOSPC, takes nothing, and leaves all the rest usable. */
import type { ExecutionContext } from 'ava';
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { withFile } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { mapFile } from '../support/mapping.ts';
import { type Mount, mountTest } from '../support/mount.ts';
import { outcome } from '../support/outcome.ts';
import { pattern } from '../support/pattern.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
/** So many files in a row that no server has room for are the end. */
const MAX_REFUSALS = 12;
const MAX_FILES = 1000;

/**
 * Writes files until none has room for another 4 KiB, then attributes: where one server is full, files that need it for
 * any of their blocks fail, and others have room for the blocks 0 of files.
 */
function fill(t: ExecutionContext, mount: Mount): void {
  let refusals = 0;
  let files = 0;
  while (refusals < MAX_REFUSALS && files < MAX_FILES) {
    const path = mount.at(`fill-${files++}`);
    let written = 0;
    for (const size of [MiB, 4 * KiB]) {
      withFile(path, 'a', (fd) => {
        const data = pattern(size, files);
        const more = (): void => {
          while (written < 128 * MiB) written += writeSync(fd, data);
        };
        t.is(outcome(more), 'ENOSPC');
      });
    }
    refusals = written === 0 ? refusals + 1 : 0;
  }
  t.is(refusals, MAX_REFUSALS, 'the mount is full');
  for (let i = 0; i < MAX_REFUSALS; i++) fillAttributes(t, mount.at(`attributes-${i}`));
}

function fillAttributes(t: ExecutionContext, path: string): void {
  writeFileSync(path, '');
  for (const size of [60 * KiB, 4 * KiB]) {
    const more = (): void => {
      for (let i = 0; i < 300; i++) libc.setxattr(path, `user.${size}-${i}`, pattern(size, i));
    };
    t.is(outcome(more), 'ENOSPC');
  }
}

mountTest(
  'on a full mount all that needs room is ENOSPC and takes nothing, and all that needs none works',
  (t, mount) => {
    const at = (...names: string[]): string => mount.at(...names);
    writeFileSync(at('kept'), pattern(MiB, 1));
    writeFileSync(at('holes'), '');
    truncateSync(at('holes'), 8 * MiB);
    fill(t, mount);
    const needy: Readonly<Record<string, (fd: number) => unknown>> = {
      write: (fd) => writeSync(fd, pattern(MiB), 0, MiB, MiB),
      allocate: (fd) => { libc.fallocate(fd, 0, { offset: 0, length: 2 * MiB }); }, // prettier-ignore
      'allocate and keep the size': (fd) => { libc.fallocate(fd, 1, { offset: 0, length: 2 * MiB }); }, // prettier-ignore
      zero: (fd) => { libc.fallocate(fd, 16, { offset: 0, length: 2 * MiB }); }, // prettier-ignore
      copy: (fd) => withFile(at('kept'), 'r', (kept) => libc.copyFileRange({ fd: kept, offset: 0 }, { fd, offset: 0 }, MiB)), // prettier-ignore
    };
    withFile(at('holes'), 'r+', (fd) => {
      for (const [name, call] of Object.entries(needy)) {
        t.is(outcome(() => call(fd)), 'ENOSPC', name); // prettier-ignore
      }
      t.is(statSync(at('holes')).size, 8 * MiB);
    });
    withFile(at('holes'), constants.O_WRONLY | constants.O_APPEND, (fd) => {
      t.is(
        outcome(() => writeSync(fd, pattern(MiB))),
        'ENOSPC',
      );
    });
    t.is(outcome(() => { libc.setxattr(at('kept'), 'user.large', pattern(64 * KiB)); }), 'ENOSPC'); // prettier-ignore
    t.deepEqual(libc.listxattr(at('kept')), []);
    t.true(readFileSync(at('holes')).equals(Buffer.alloc(8 * MiB)), 'still nothing but holes');
    // What needs no room, or only overwrites.
    chmodSync(at('kept'), 0o600);
    utimesSync(at('kept'), 1, 2);
    linkSync(at('kept'), at('link'));
    renameSync(at('link'), at('kept2'));
    withFile(at('kept'), 'r+', (fd) => {
      t.is(writeSync(fd, pattern(MiB, 2), 0, MiB, 0), MiB);
    });
    t.true(readFileSync(at('kept2')).equals(pattern(MiB, 2)));
    t.is(statSync(at('kept')).mode & 0o777, 0o600);
    unlinkSync(at('fill-0'));
    t.false(readFileSync(at('kept')).equals(pattern(MiB, 1)));
  },
  { capacity: '64M', lacks: 'ranges', notOn: ['tmpfs'] },
);

mountTest(
  'pages of a mapping for which a full mount has no room are ENOSPC at msync or fsync',
  (t, mount) => {
    writeFileSync(mount.at('holes'), '');
    truncateSync(mount.at('holes'), 4 * MiB);
    fill(t, mount);
    const fd = openSync(mount.at('holes'), 'r+');
    const { bytes, sync, unmap } = mapFile(fd, { offset: 0, length: 4 * MiB });
    for (let offset = 0; offset < bytes.length; offset += 4 * KiB) bytes[offset] = 1;
    const tried = [outcome(sync), outcome(() => { fsyncSync(fd); })]; // prettier-ignore
    t.true(tried.includes('ENOSPC'), tried.join());
    unmap();
    ftruncateSync(fd, 0);
    closeSync(fd);
    unlinkSync(mount.at('fill-0'));
    withFile(mount.at('holes'), 'r+', (again) => {
      t.is(statSync(mount.at('holes')).size, 0);
      fsyncSync(again);
    });
  },
  { capacity: '64M', notOn: ['tmpfs'] },
);

mountTest(
  'the attributes of a file have 1 MiB in all; one more is ENOSPC and changes none of the others',
  (t, mount) => {
    const path = mount.at('f');
    writeFileSync(path, 'data');
    const value = (i: number): Buffer => pattern(64 * KiB, i);
    const set = (i: number): string =>
      outcome(() => { libc.setxattr(path, `user.${i}`, value(i)); }); // prettier-ignore
    let count = 0;
    while (count < 32 && set(count) === 'ok') count++;
    t.is(count, 15, 'sixteen values would fill it, and their names and the stat take some, too');
    t.is(set(count), 'ENOSPC');
    t.is(outcome(() => { libc.setxattr(path, 'user.0', value(9)); }), 'ok'); // prettier-ignore
    for (let i = 1; i < count; i++) t.true(libc.getxattr(path, `user.${i}`).equals(value(i)));
    t.true(libc.getxattr(path, 'user.0').equals(value(9)));
    t.is(libc.listxattr(path).length, count);
    libc.removexattr(path, 'user.3');
    t.is(set(99), 'ok');
    t.is(readFileSync(path, 'utf8'), 'data');
  },
  { notOn: ['tmpfs'] },
);
