/** {@link MountTools} of this machine. */
import { readFile } from 'node:fs/promises';
import { describeHolders, findHolders } from '../fs/holders.ts';
import { findForeignMounts } from '../fs/mount-namespaces.ts';
import { mountState, recoverDeadMount } from '../fs/mount-state.ts';
import { findMount, imssMounts, isImssMount, readMountTable } from '../fs/mount-table.ts';
import { unmountPath } from '../fs/fuse/unmount.ts';
import type { ListedMount, MountTools } from './mount-tools.ts';

/** More lines than this say no more to a person at a shell. */
const MAX_HOLDER_LINES = 5;

/** FUSE mounts have no device of their own: major number 0 (get_anon_bdev()). */
const ANONYMOUS_MAJOR = 0;

export const systemMounts: MountTools = {
  mountState: (path) => mountState(path),
  isMounted: async (path) => {
    const mount = findMount(await readMountTable(), path);
    return mount !== undefined && isImssMount(mount);
  },
  recoverDeadMount: (path) => recoverDeadMount(path),
  listMounts,
  findHolders: async (path) => {
    const mount = findMount(await readMountTable(), path);
    return mount === undefined ? [] : describeHolders(await findHolders(mount), MAX_HOLDER_LINES);
  },
  findForeignMounts: async (minor) => {
    const found = await findForeignMounts({ major: ANONYMOUS_MAJOR, minor });
    return found.slice(0, MAX_HOLDER_LINES).map(({ pid, command }) => `${pid} ${command}`);
  },
  unmount: (path, mode) => unmountPath(path, mode),
};

async function listMounts(): Promise<ListedMount[]> {
  const owners = parseMountOwners(await readFile('/proc/self/mountinfo', 'latin1'));
  return imssMounts(await readMountTable()).map((mount) => ({
    mountPoint: mount.mountPoint,
    userId: owners.get(mount.id) ?? 0,
    deviceMinor: mount.minor,
  }));
}

/** Mount id -> `user_id`, which FUSE shows among the file system's own options (fuse_show_options()). */
export function parseMountOwners(mountinfo: string): Map<number, number> {
  const owners = new Map<number, number>();
  for (const line of mountinfo.split('\n')) {
    const [, id, owner] = /^(\d+) .* - fuse\S* \S+ \S*\buser_id=(\d+)/.exec(line) ?? [];
    if (id !== undefined && owner !== undefined) owners.set(Number(id), Number(owner));
  }
  return owners;
}
