/** The command `imssfs info`: what a dataset is, and where its blocks are. */
import { Command } from 'commander';
import { FsError } from '../errno.ts';
import { askBlocks, askDataset } from '../fs/ask-info.ts';
import type { BlockInfo, DatasetInfo } from '../fs/dataset-info.ts';
import { displayPath } from '../fs/mount-table.ts';
import { formatSize } from '../size.ts';
import { bytesOf } from './bytes-path.ts';
import { EXIT_FAILURE, UsageError } from './errors.ts';
import { HELP_FLAGS, runParser } from './options.ts';

const DESCRIPTION = `Shows what a file, directory or symlink of a mounted imssfs is made of: its URI, inode and layout, and for
each block which server keeps it and how much of it is stored. Block 0 holds the metadata, blocks 1 and up the data.`;

const FOOTER = `
Layouts are set on directories, and handed on to what is created in them:
  setfattr -n user.imss.policy -v HASH DIR        (RR, BUCKETS, HASH, CRC16, CRC64, LOCAL)
  setfattr -n user.imss.block_size -v 4MiB DIR
  getfattr -n user.imss.policy FILE

Exit code: 0 shown, 1 some path could not be shown, 2 wrong usage.`;

const REASONS: Partial<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'no permission',
  ENOTDIR: 'a part of the path is not a directory',
  EOPNOTSUPP: 'this is not on a mounted imssfs',
  ENODATA: 'this is not on a mounted imssfs',
  ENOTCONN: 'the mount is dead: its daemon is gone; umount-imss removes it',
};

/** Runs the command and resolves to its exit code; failures of single paths have been printed. Throws UsageError. */
export function runInfoCommand(args: readonly string[]): number {
  const command = new Command('imssfs info')
    .argument('<PATH...>', 'what to show')
    .option('--json', 'print one JSON object for each path, on a line of its own')
    .description(DESCRIPTION)
    .addHelpText('after', FOOTER)
    .configureHelp({ helpWidth: 100 })
    .helpOption(HELP_FLAGS, 'show this help');
  const answer = runParser(command, args);
  if (answer !== undefined) {
    process.stdout.write(answer.text);
    return 0;
  }
  if (command.args.length === 0) throw new UsageError('no path is given; write imssfs info PATH');
  const { json } = command.opts<{ json?: boolean }>();
  let exitCode = 0;
  for (const path of command.args.map(bytesOf)) {
    try {
      show(path, json === true);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      const why = REASONS[error.code] ?? error.message;
      process.stderr.write(`imssfs info: ${displayPath(path)}: ${why}\n`);
      exitCode = EXIT_FAILURE;
    }
  }
  return exitCode;
}

function show(path: Buffer, asJson: boolean): void {
  const dataset = askDataset(path);
  const blocks = askBlocks(path, dataset.blocks);
  if (asJson) {
    const all = { path: path.toString(), ...dataset, blocks: [...blocks] };
    process.stdout.write(`${JSON.stringify(all)}\n`);
    return;
  }
  process.stdout.write(`${describe(path, dataset)}\n`);
  for (const block of blocks) process.stdout.write(`${blockLine(block, dataset)}\n`);
}

function describe(path: Buffer, dataset: DatasetInfo): string {
  const { uri, inode, type, sizeBytes, policy, blockSizeBytes, replication } = dataset;
  const copies = replication === 1 ? '1 copy' : `${replication} copies`;
  return [
    displayPath(path),
    `  dataset   ${uri} (${type}, inode ${inode}, ${formatSize(sizeBytes)})`,
    `  layout    policy ${policy}, blocks of ${formatSize(blockSizeBytes)}, ${copies}`,
    `  mount     ${dataset.alone ? 'the only one' : 'not known to be the only one'}`,
    `  metadata  server ${dataset.metaServer}`,
    `  blocks    ${dataset.blocks}, over ${dataset.servers.length} server${dataset.servers.length === 1 ? '' : 's'}`,
  ].join('\n');
}

function blockLine({ block, server, storedBytes }: BlockInfo, { servers }: DatasetInfo): string {
  const name = server === null ? 'nowhere yet' : (servers[server] ?? `server ${server}`);
  let stored = storedBytes === null ? 'lost, or its server is away' : formatSize(storedBytes);
  if (storedBytes === 0) stored = block === 0 ? 'not written yet' : 'hole';
  return `    ${String(block).padStart(6)}  ${name}  ${stored}`;
}
