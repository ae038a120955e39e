/**
 * Where else a file system is mounted. Unmounting it in one mount namespace leaves the copies that other namespaces
 * made when they were unshared (mount_namespaces(7)); the file system lives until the last of them is gone.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { type MountEntry, readMountTable } from './mount-table.ts';

/** A process in another mount namespace that has the file system mounted; one stands for its namespace. */
export interface ForeignMount {
  readonly pid: number;
  /** Name of the program as the kernel keeps it, at most 15 characters. */
  readonly command: string;
}

/** Looks through all mount namespaces but this one; those of processes that may not be looked into are passed over. */
export async function findForeignMounts(
  device: Pick<MountEntry, 'major' | 'minor'>,
): Promise<ForeignMount[]> {
  const seen = new Set([await readlink('/proc/self/ns/mnt')]);
  const found: ForeignMount[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const pid = Number(name);
    try {
      const namespace = await readlink(`/proc/${pid}/ns/mnt`);
      if (seen.has(namespace)) continue;
      const table = await readMountTable(pid);
      seen.add(namespace);
      const isThere = table.some(
        ({ major, minor }) => major === device.major && minor === device.minor,
      );
      if (!isThere) continue;
      const command = await readFile(`/proc/${pid}/comm`, 'utf8');
      found.push({ pid, command: command.trimEnd() });
    } catch {
      // Ended meanwhile, or another user's.
    }
  }
  return found;
}
