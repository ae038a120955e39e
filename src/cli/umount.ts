/** Entry of `umount-imss`: the command in this process, with this machine's mounts. */
import { commandArguments } from './bytes-path.ts';
import { systemMounts } from './system-mounts.ts';
import { runUmount, umountProgram } from './umount-command.ts';

/** Called by the launcher. */
export async function main(): Promise<void> {
  process.exit(await runUmount(umountProgram(systemMounts, commandArguments())));
}
