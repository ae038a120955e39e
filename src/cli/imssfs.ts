/** Entry of `imssfs`: the command in this process, with this machine's mounts and every deployment. */
import { commandArguments } from './bytes-path.ts';
import { outputTaken } from './process-control.ts';
import { runImssfs } from './program.ts';
import type { StartEngine } from './running-mount.ts';
import type { ServerStarters } from './server-command.ts';
import { systemMounts } from './system-mounts.ts';

/** Loads stores and engine only when a mount is made, so that help and errors come at once. */
const startEngine: StartEngine = async (config, logger, tell) => {
  const { cluster } = config;
  if (cluster === undefined) return (await import('./attached.ts')).startAttached(config, logger);
  const { startClusterMount } = await import('./cluster.ts');
  return startClusterMount({ ...config, cluster }, logger, tell);
};

const starters: ServerStarters = {
  meta: async (...request) => (await import('./meta-server.ts')).startMetaServer(...request),
  blocks: async (...request) => (await import('./block-server.ts')).startBlockServer(...request),
};

/** Runs the command with these arguments; a daemon is started from the script `entry`. */
export function mountWith(args: readonly string[], entry: string): Promise<number> {
  return runImssfs({ startEngine, starters, tools: systemMounts, args, entry });
}

/** Called by the launcher. */
export async function main(): Promise<void> {
  const exitCode = await mountWith(commandArguments(), process.argv[1] ?? '');
  await outputTaken();
  process.exit(exitCode);
}
