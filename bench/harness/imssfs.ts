/** Mounts imssfs in a benchmark's place, as a person at the shell does; the place unmounts it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeProcessesOf } from '../../test/support/processes.ts';
import { command } from './command.ts';
import { type Place, waitForMount } from './place.ts';

/** Path of a program of ours. */
export const bin = (name: string): string =>
  fileURLToPath(new URL(`../../../bin/${name}`, import.meta.url));

export interface MountedImssfs {
  readonly path: string;
  readonly logFile: string;
  /** Of the daemon. */
  readonly pid: number;
}

/** Mounts at a new folder `name` of the place, with `args` before the mount point. */
export async function mountImssfs(
  place: Place,
  name: string,
  args: readonly string[],
): Promise<MountedImssfs> {
  const path = place.folderFor(name);
  const logFile = join(place.folder, `${name}.log`);
  place.atEnd(async () => {
    await command(bin('umount-imss'), [path]).catch(async (error: unknown) => {
      if (await waitForMount(path, () => true)) throw error;
    });
  });
  await command(bin('imssfs'), [...args, '--log-file', logFile, path]);
  const [pid] = nodeProcessesOf(path);
  if (pid === undefined) throw new Error(`no daemon serves ${path}`);
  return { path, logFile, pid };
}
