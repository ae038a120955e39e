/** Removes all that a script has left, whatever its names and permissions are. */
import { listDirectory } from './observe.ts';
import * as calls from './system-calls.ts';

/** Empties `folder` (with a slash at its end) and gives it back the attributes that scripts expect. */
export function clearFolder(folder: string): void {
  const place = calls.cString(folder);
  calls.chmod(place, 0o777);
  calls.fchownat(calls.AT_FDCWD, place, 0, 0, 0);
  const room = Buffer.alloc(65_536);
  const length = Math.max(0, calls.listxattr(place, room, room.length));
  for (const name of room.toString('latin1', 0, length).split('\0').filter(Boolean)) {
    calls.removexattr(place, calls.cString(name));
  }
  empty(folder);
}

function empty(folder: string): void {
  const place = calls.cString(folder);
  const fd = calls.openat(
    calls.AT_FDCWD,
    place,
    calls.openFlags(['O_RDONLY', 'O_DIRECTORY', 'O_NOFOLLOW']),
    0,
  );
  if (fd < 0) throw new Error(`open of ${folder}: ${calls.showResult(fd)}`);
  const entries = listDirectory(fd);
  calls.close(fd);
  if (typeof entries === 'number') throw new Error(`list: ${calls.showResult(entries)}`);
  for (const { name } of entries) {
    if (name !== '.' && name !== '..') remove(`${folder}${name}`);
  }
}

function remove(path: string): void {
  const place = calls.cString(path);
  if (calls.unlinkat(calls.AT_FDCWD, place, 0) === 0) return;
  calls.chmod(place, 0o700);
  empty(`${path}/`);
  const result = calls.unlinkat(calls.AT_FDCWD, place, calls.AT_REMOVEDIR);
  if (result < 0) throw new Error(`removing ${path}: ${calls.showResult(result)}`);
}
