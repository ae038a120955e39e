/** The two places of a comparison: the mount under test, and a folder of a file system that is known to be right. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isRoot, type Mount } from '../support/mount.ts';
import { run, runOk } from '../support/run.ts';
import { ALL_FEATURES, type Features } from './features.ts';
import {
  cString,
  chmod,
  statx,
  AT_FDCWD,
  STATX_BASIC_STATS,
  openat,
  openFlags,
  close,
  pwrite,
  removexattr,
  setxattr,
} from './system-calls.ts';
import { Side } from './side.ts';
import type { Sides } from './comparison.ts';

export interface Places {
  sides: Sides;
  features: Features;
  close(): Promise<void>;
}

/**
 * For root, the reference is a tmpfs of its own; for others, a plain folder where temporary files are. Both are in the
 * mount's scratch folder, which is removed, with what is mounted there, when the test ends.
 */
export async function openPlaces(mount: Mount): Promise<Places> {
  const reference = join(mount.scratch, 'reference');
  mkdirSync(reference);
  if (isRoot) await runOk('mount', ['-t', 'tmpfs', '-o', 'size=2G,mode=777', 'tmpfs', reference]);
  const features = {
    ...ALL_FEATURES,
    users: isRoot,
    xattrs: hasXattrs(reference),
    directIo: takesDirectIo(join(reference, 'probe')),
  };
  const common = { users: features.users, showMoves: stampsAreFine(reference) };
  const sides = {
    expected: new Side({
      ...common,
      name: isRoot ? 'tmpfs' : 'a plain folder',
      base: reference,
      forgetsNames: false,
    }),
    found: new Side({
      ...common,
      name: 'imssfs',
      base: mount.path,
      forgetsNames: true,
    }),
  };
  return {
    sides,
    features,
    async close() {
      await Promise.all([sides.expected.close(), sides.found.close()]);
      // The test's folder is taken down with all that is mounted in it: a failure here would only hide another.
      if (isRoot) await run('umount', [reference]);
    },
  };
}

/** Whether two changes always get two stamps, if somebody looked in between (multigrain timestamps). */
export function stampsAreFine(path: string): boolean {
  const place = cString(path);
  const buffer = Buffer.alloc(256);
  const stamps = new Set<string>();
  const CHANGES = 50;
  for (let change = 0; change < CHANGES; change++) {
    chmod(place, 0o777);
    statx(AT_FDCWD, place, 0, STATX_BASIC_STATS, buffer);
    stamps.add(buffer.toString('hex', 96, 108));
  }
  return stamps.size === CHANGES;
}

/** Whether files and folders take `user.` attributes: a tmpfs does from Linux 6.6 on. */
export function hasXattrs(path: string): boolean {
  const [place, name] = [cString(path), cString('user.probe')];
  return setxattr(place, name, Buffer.from('1'), 1, 0) === 0 && removexattr(place, name) === 0;
}

/** Whether O_DIRECT is accepted, and for any offset and length, as on the mount. */
function takesDirectIo(path: string): boolean {
  const flags = openFlags(['O_RDWR', 'O_CREAT', 'O_DIRECT']);
  const fd = openat(AT_FDCWD, cString(path), flags, 0o600);
  if (fd < 0) return false;
  const written = pwrite(fd, Buffer.alloc(3), 3, 5);
  close(fd);
  return written === 3;
}
