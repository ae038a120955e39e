/**
 * `imssfs install-mount-helper`: writes what mount(8) looks for. The helpers name this Node.js and this package by
 * absolute paths, because mount(8) at boot knows no PATH of a user.
 */
import { chmodSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { textOf } from './bytes-path.ts';
import { FailureError, UsageError, errorCode } from './errors.ts';
import { type Answer, HELP_FLAGS, runParser } from './options.ts';

/** Where mount(8) looks (libmount's FS_SEARCH_PATH). */
const HELPER_DIRECTORY = '/sbin';

/** For `-t imss`, and for `-t fuse.imssfs` (before mount.fuse, which would look for imssfs in PATH). */
const HELPERS = ['mount.imss', 'mount.fuse.imssfs'] as const;

const MARK =
  '# Written by "imssfs install-mount-helper"; "imssfs install-mount-helper --remove" removes it.';

interface InstallRequest {
  directory: string;
  remove: boolean;
}

/** Parses the arguments behind `install-mount-helper`. Throws {@link UsageError}. */
export function parseInstallLine(args: readonly string[]): InstallRequest | Answer {
  const command = new Command('imssfs install-mount-helper')
    .description(
      'Installs helpers for mount(8), as root: then "mount -t imss imss:// /mnt/imss" works, "mount -t fuse.imssfs", and lines of /etc/fstab such as\n\n  imss://         /mnt/imss  imss  capacity=10G,noauto  0 0\n  node1,node2:/   /mnt/imss  imss  _netdev,nofail       0 0',
    )
    .addOption(new Option('--directory <path>', `where to (default: ${HELPER_DIRECTORY})`))
    .addOption(new Option('--remove', 'remove them'))
    .helpOption(HELP_FLAGS, 'show this help')
    .configureHelp({ helpWidth: 100 });
  const answer = runParser(command, args);
  if (answer !== undefined) return answer;
  if (command.args[0] !== undefined) {
    throw new UsageError(`"${textOf(command.args[0])}" is too much; see imssfs install-mount-helper --help`); // prettier-ignore
  }
  const { directory, remove } = command.opts<{ directory?: string; remove?: true }>();
  return {
    directory: posix.resolve(directory === undefined ? HELPER_DIRECTORY : textOf(directory)),
    remove: remove === true,
  };
}

/** Runs `imssfs install-mount-helper ARGS`; returns the exit code. Throws with one line: what is wrong; what to do. */
export function runInstallCommand(args: readonly string[]): number {
  const request = parseInstallLine(args);
  if ('text' in request) {
    process.stdout.write(request.text);
    return 0;
  }
  for (const name of HELPERS) {
    const path = posix.join(request.directory, name);
    requireOurs(path);
    if (request.remove) rmSync(path, { force: true });
    else writeHelper(path);
    process.stdout.write(`${request.remove ? 'removed' : 'wrote'} ${path}\n`);
  }
  return 0;
}

/** Throws for a file that this command did not write. */
function requireOurs(path: string): void {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw new FailureError(`cannot read ${path} (${errorCode(error) ?? 'error'}); remove it first`, { cause: error }); // prettier-ignore
  }
  if (!text.includes(MARK)) {
    throw new FailureError(
      `${path} is not of imssfs; remove it first, or choose another --directory`,
    );
  }
}

function writeHelper(path: string): void {
  const node = realpathSync(process.execPath);
  const program = fileURLToPath(new URL('../../../bin/mount.imss', import.meta.url));
  try {
    writeFileSync(
      `${path}.new`,
      `#!/bin/sh\n${MARK}\nexec ${quoted(node)} ${quoted(program)} "$@"\n`,
    );
    chmodSync(`${path}.new`, 0o755);
    renameSync(`${path}.new`, path);
  } catch (error) {
    const code = errorCode(error) ?? 'error';
    throw new FailureError(
      `cannot write ${path} (${code}); ${code === 'EACCES' ? 'run this as root' : 'choose another --directory'}`,
      { cause: error },
    );
  }
}

/** One word for the shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
