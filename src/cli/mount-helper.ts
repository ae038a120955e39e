/**
 * Entry of `mount.imss`, which mount(8) calls for `mount -t imss` as `mount.imss SOURCE DIR [-sfnv] [-N ns] [-o options]
 * [-t type.subtype]`. It turns that into the arguments of `imssfs`, and runs it in this process.
 */
import { fileURLToPath } from 'node:url';
import { commandArguments } from './bytes-path.ts';
import { EXIT_USAGE, UsageError, failureOf } from './errors.ts';
import { mountWith } from './imssfs.ts';
import { splitOptions } from './mount-settings.ts';

export const HELPER_USAGE = `Usage: mount.imss SOURCE DIRECTORY [-sfnv] [-o options]
mount(8) calls it for "mount -t imss"; "imssfs --help" explains SOURCE and the options.`;

/** What mount(8) asks for. */
export interface HelperRequest {
  /** Arguments for imssfs. */
  args: string[];
  /** `-f`: check the line and do nothing. */
  isFake: boolean;
}

/** Parses what mount(8) passes (its manual page, section "External helpers"). Throws {@link UsageError}. */
export function parseHelperLine(args: readonly string[]): HelperRequest {
  const words: string[] = [];
  const options: string[] = [];
  const flags = new Set<string>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (/^-[sfnv]+$/.test(arg)) for (const flag of arg.slice(1)) flags.add(flag);
    else if (arg === '-o' || arg === '-t' || arg === '-N') {
      const value = args[++index];
      if (value === undefined) throw new UsageError(`${arg} needs a value; see imssfs --help`);
      if (arg === '-N') throw new UsageError('mount -N is not possible; use nsenter(1) instead');
      if (arg === '-o') options.push(withoutDefault(value));
    } else if (arg.startsWith('-') && arg !== '-') {
      throw new UsageError(
        `unknown option '${arg}'; write mount.imss SOURCE DIRECTORY [-o options]`,
      );
    } else words.push(arg);
  }
  const [source, directory, more] = words;
  if (source === undefined || directory === undefined || more !== undefined) {
    throw new UsageError('one SOURCE and one DIRECTORY are needed; write mount -t imss imss:// DIRECTORY'); // prettier-ignore
  }
  if (flags.has('s')) options.unshift('sloppy');
  const quiet = flags.has('v') ? [] : ['--quiet'];
  return {
    args: [...quiet, ...options.flatMap((list) => ['-o', list]), '--', source, directory],
    isFake: flags.has('f'),
  };
}

/** mount(8) says `rw` unasked, which would count more than `ro` in a file of options. */
function withoutDefault(list: string): string {
  const words = splitOptions(list).filter((word) => word !== 'rw');
  return words.map((word) => word.replaceAll(',', '\\,')).join(',');
}

/** Called by the launcher. */
export async function main(): Promise<void> {
  const args = commandArguments();
  if (args.length === 0) {
    process.stderr.write(`${HELPER_USAGE}\n`);
    process.exit(mountExitCode(EXIT_USAGE));
  }
  try {
    const request = parseHelperLine(args);
    process.exit(request.isFake ? 0 : mountExitCode(await mountWith(request.args, IMSSFS)));
  } catch (error) {
    const { message, exitCode } = failureOf(error);
    process.stderr.write(`mount.imss: ${message}\n`);
    process.exit(mountExitCode(exitCode));
  }
}

/** Our exit codes as mount(8) has them: 1 incorrect invocation, 32 mount failure. */
export function mountExitCode(exitCode: number): number {
  if (exitCode === 0) return 0;
  return exitCode === EXIT_USAGE ? 1 : 32;
}

/** What a daemon is started from: the package's own command, wherever the helper was called. */
const IMSSFS = fileURLToPath(new URL('../../../bin/imssfs', import.meta.url));
