/** What file systems may do by ioctl(2) and this one does not: programs must hear of it by the right errno. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import koffi from 'koffi';
import { withFile } from '../support/files.ts';
import * as libc from '../support/libc.ts';
import { mountTest } from '../support/mount.ts';
import { outcome } from '../support/outcome.ts';

const ioctlFn = koffi.load(null).func('int ioctl(int, unsigned long, ...)');

/** Larger than any of the records below; all zeros, which each of them allows. */
const RECORD_BYTES = 4096;

/** Numbers of <linux/fs.h>, <linux/fsverity.h> and <linux/fscrypt.h>. */
const REQUESTS = {
  FS_IOC_GETFLAGS: [0x8008_6601, 'ENOTTY'],
  FS_IOC_SETFLAGS: [0x4008_6602, 'ENOTTY'],
  FS_IOC_GETVERSION: [0x8008_7601, 'ENOTTY'],
  FS_IOC_FSGETXATTR: [0x801c_581f, 'ENOTTY'],
  FS_IOC_FSSETXATTR: [0x401c_5820, 'ENOTTY'],
  FS_IOC_GETFSLABEL: [0x8100_9431, 'ENOTTY'],
  FS_IOC_ENABLE_VERITY: [0x4080_6685, 'ENOTTY'],
  FS_IOC_MEASURE_VERITY: [0xc004_6686, 'ENOTTY'],
  FS_IOC_SET_ENCRYPTION_POLICY: [0x800c_6613, 'ENOTTY'],
  FITRIM: [0xc018_5879, 'ENOTTY'],
  FS_IOC_FIEMAP: [0xc020_660b, 'EOPNOTSUPP'],
  FIFREEZE: [0xc004_5877, 'EOPNOTSUPP'],
} as const;

const FICLONE = 0x4004_9409;

function ioctl(fd: number, request: number, record: Buffer): number {
  return libc.checked('ioctl', ioctlFn(fd, request, 'void *', record));
}

mountTest(
  'flags, verity, encryption, extents and freezing are ENOTTY or EOPNOTSUPP, and change nothing',
  (t, mount) => {
    writeFileSync(mount.at('f'), 'data');
    mkdirSync(mount.at('d'));
    const tried = (fd: number): Record<string, string> =>
      Object.fromEntries(
        Object.entries(REQUESTS).map(([name, [request]]) => [
          name,
          outcome(() => ioctl(fd, request, Buffer.alloc(RECORD_BYTES))),
        ]),
      );
    const right = Object.fromEntries(Object.entries(REQUESTS).map(([name, [, code]]) => [name, code])); // prettier-ignore
    withFile(mount.at('f'), 'r+', (fd) => {
      t.deepEqual(tried(fd), right);
    });
    withFile(mount.at('d'), 'r', (fd) => {
      t.deepEqual(tried(fd), right);
    });
    t.is(readFileSync(mount.at('f'), 'utf8'), 'data');
  },
  { needsRoot: true, notOn: ['tmpfs'] },
);

mountTest(
  'a clone of a file is EOPNOTSUPP, one from another file system EXDEV',
  (t, mount) => {
    const outside = `${mount.scratch}/outside`;
    for (const path of [mount.at('from'), mount.at('to'), outside]) writeFileSync(path, 'data');
    const clone = (from: string): string =>
      withFile(from, 'r', (source) =>
        withFile(mount.at('to'), 'r+', (target) =>
          outcome(() => libc.checked('ioctl', ioctlFn(target, FICLONE, 'int', source))),
        ),
      );
    t.is(clone(mount.at('from')), 'EOPNOTSUPP');
    t.is(clone(outside), 'EXDEV');
  },
  { notOn: ['tmpfs'] },
);
