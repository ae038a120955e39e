/**
 * The options of `imssfs` in one table: the parser, `--help` and the documentation all come from it.
 * What the values may be is checked in config.ts, mount-options.ts and logging.ts.
 */
import { Command, CommanderError, Option } from 'commander';
import { DEFAULTS, type RawSettings } from '../config.ts';
import { MOUNT_OPTION_NAMES } from './mount-options.ts';
import { type FoundSetting, partSettings, settingWords } from './mount-settings.ts';
import { UsageError, oneLine } from './errors.ts';

/** One option. */
export interface OptionRow {
  /** As commander takes it: `-b, --block-size <size>`. */
  readonly flags: string;
  readonly group: OptionGroup;
  /** What it sets, with its unit and limits. */
  readonly help: string;
  /** Default as it would be written. */
  readonly defaultText?: string;
  /** May be given more than once. */
  readonly repeatable?: true;
}

export const OPTION_GROUPS = [
  'What to mount:',
  'How data is kept:',
  'Several nodes:',
  'The daemon and its log:',
  'Other:',
] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

const [MOUNT, DATA, NODES, DAEMON, OTHER] = OPTION_GROUPS;

export const HELP_FLAGS = '-H, --help';
export const VERSION_FLAGS = '-V, --version';

/** All options but help and version, in the order of `--help`. */
export const OPTION_TABLE: readonly OptionRow[] = [
  {
    flags: '-l, --mount-point <path>',
    group: MOUNT,
    help: 'an existing directory; the same as MOUNTPOINT',
  },
  {
    flags: '-r, --root <uri>',
    group: MOUNT,
    help: 'directory of the file system that becomes the root of the mount, made if missing',
    defaultText: DEFAULTS.root,
  },
  {
    flags: '-o, --options <list>',
    group: MOUNT,
    help: `mount options as for mount(8), comma-separated, repeatable: ${MOUNT_OPTION_NAMES.join(', ')}; words for fstab alone (noauto, nofail, x-*, ...) are ignored; the long options below are taken as well, such as block_size=4MiB`,
    defaultText: 'default_permissions, and with the kernel engine as root allow_other',
    repeatable: true,
  },
  {
    flags: '--engine <name>',
    group: MOUNT,
    help: 'how to talk to FUSE: kernel (our own session, for all users), or fuse-native (libfuse 2.9 through that package, for you alone; docs/engines.md)',
    defaultText: DEFAULTS.engine,
  },
  {
    flags: '-S, --capacity <size>',
    group: DATA,
    help: 'most memory that files may take, from one block up to all memory of the machine or its container; -s is the same',
    defaultText: 'half of memory',
  },
  {
    flags: '-b, --block-size <size>',
    group: DATA,
    help: 'block size of new files, from 4KiB up to the capacity',
    defaultText: DEFAULTS.blockSize,
  },
  {
    flags: '-M, --metadata-file <file>',
    group: DATA,
    help: 'keep the metadata in this file; without it, it goes when the mount ends',
  },
  {
    flags: '-P, --policy <name>',
    group: DATA,
    help: 'how blocks of new files are spread over servers: RR, BUCKETS, HASH, CRC16, CRC64 or LOCAL',
    defaultText: DEFAULTS.policy,
  },
  {
    flags: '-R, --replication <copies>',
    group: DATA,
    help: 'copies of each block of new files, 1 to 3, each on a server of its own',
    defaultText: DEFAULTS.replication,
  },
  {
    flags: '-d, --deployment <mode>',
    group: NODES,
    help: '0: metadata and data live inside the mounting processes (attached); 1: metadata on servers of their own; 2: both on servers of their own (detached; imssfs server --help)',
    defaultText: DEFAULTS.deployment,
  },
  {
    flags: '-h, --hostfile <file>',
    group: NODES,
    help: 'hosts that keep data, one host[:port] per line; the same file on every node',
  },
  {
    flags: '-a, --meta-hostfile <file>',
    group: NODES,
    help: 'hosts that keep metadata, one host[:port] per line; the same file on every node',
  },
  {
    flags: '--meta-hosts <list>',
    group: NODES,
    help: 'the same as -a, written in place: host[:port],host[:port],...',
  },
  {
    flags: '--node <name>',
    group: NODES,
    help: 'the host (or host:port) in the hostfiles that is this node, where that cannot be seen from names and addresses',
  },
  {
    flags: '-p, --data-port <port>',
    group: NODES,
    help: 'TCP port for data where the hostfile says none, 1 to 65535; a mount that is alone opens none',
    defaultText: DEFAULTS.dataPort,
  },
  {
    flags: '-m, --meta-port <port>',
    group: NODES,
    help: 'TCP port for metadata where the hostfile says none, 1 to 65535; a mount that is alone opens none',
    defaultText: DEFAULTS.metaPort,
  },
  {
    flags: '-B, --buffer-size <size>',
    group: NODES,
    help: 'most memory for transfers between nodes',
    defaultText: DEFAULTS.bufferSize,
  },
  {
    flags: '-e, --meta-buffer-size <size>',
    group: NODES,
    help: 'most memory for transfers of metadata between nodes',
    defaultText: DEFAULTS.metaBufferSize,
  },
  {
    flags: '-x, --meta-servers <count>',
    group: NODES,
    help: 'number of metadata servers: the first so many hosts of -a',
    defaultText: 'all of them',
  },
  {
    flags: '--wait <seconds>',
    group: NODES,
    help: 'how long to wait for servers that are not there yet',
    defaultText: DEFAULTS.wait,
  },
  {
    flags: '--secret-file <file>',
    group: NODES,
    help: 'what nodes prove to each other that they know: a file that only you may read, the same on all nodes; made if missing',
    defaultText: '~/.imssfs/secret',
  },
  {
    flags: '--insecure',
    group: NODES,
    help: 'connect without any proof: whoever reaches a port reads and writes everything',
  },
  {
    flags: '-f, --foreground',
    group: DAEMON,
    help: 'stay in the foreground, with readable logs on stderr; Ctrl-C unmounts',
  },
  {
    flags: '-q, --quiet',
    group: DAEMON,
    help: 'print nothing when it is mounted',
  },
  {
    flags: '--log-level <level>',
    group: DAEMON,
    help: 'trace, debug, info, warn, error, fatal or silent; for one component too: info,meta=debug',
    defaultText: 'info',
  },
  {
    flags: '--log-file <file>',
    group: DAEMON,
    help: 'JSON log of the daemon',
    defaultText: 'named when the mount is ready',
  },
  {
    flags: '--busy-poll <microseconds>',
    group: DAEMON,
    help: 'how long the daemon looks for the next request before it sleeps, 0 to 1000; it looks only while that pays, 0 leaves every idle moment to other programs',
    defaultText: DEFAULTS.busyPoll,
  },
  {
    flags: '--debug-fuse',
    group: DAEMON,
    help: 'log one line for each request of the kernel',
  },
];

const INTRODUCTION = `Mounts an in-memory file system at MOUNTPOINT, an existing directory, and returns when it is ready.
Files live in this machine's memory, and are gone after "umount-imss MOUNTPOINT". Of several nodes, each gives memory.

"imssfs server --help" explains servers apart from the mounts. A mount point called server is given as ./server.`;

const FOOTER = `
Sizes are bytes, or a number with a suffix: K, M, G, T (also KiB, MiB, ...) are powers of 1024,
KB, MB, GB, TB are powers of 1000; upper and lower case are the same. Examples: 4096, 512k, 1MiB, 1.5G.

Examples:
  imssfs /mnt/imss                     half of memory as a file system
  imssfs -S 10G -b 4MiB /mnt/imss      at most 10 GiB, in blocks of 4 MiB
  imssfs -o ro,noatime /mnt/imss       mount options as for mount(8)
  imssfs -f --debug-fuse ~/imss        watch every request
  imssfs -h hosts -a meta_hosts /mnt/imss
                                       one file system of all nodes in these files, run on each
  umount-imss /mnt/imss                unmount and free the memory

Exit code: 0 mounted, 1 failure, 2 wrong usage.`;

/** Shown when there are no arguments at all. */
export const SHORT_USAGE = `Usage: imssfs [options] MOUNTPOINT
Mounts an in-memory file system, for example: imssfs -S 10G /mnt/imss
"imssfs --help" explains the options, "umount-imss MOUNTPOINT" unmounts.`;

/** What was written on the command line, every text one character per byte (see bytes-path.ts). */
export interface CommandLine extends RawSettings {
  mountPoint: string | undefined;
  /** What stands before MOUNTPOINT; see mount-source.ts. */
  source?: string | undefined;
  options: string[];
  quiet?: boolean;
  metadataFile?: string;
  hostfile?: string;
  metaHostfile?: string;
  metaHosts?: string;
  secretFile?: string;
  insecure?: boolean;
  node?: string;
  foreground?: boolean;
  logLevel?: string;
  logFile?: string;
  debugFuse?: boolean;
}

/** Help or the version was asked for: `text` goes to stdout, and that is all. */
export interface Answer {
  text: string;
}

/** The commander definition; exported for documentation and tests. */
export function imssfsCommand(version: string): Command {
  const command = new Command('imssfs')
    .argument(
      '[SOURCE]',
      'what to mount, as in fstab: imss://directory, METADATA_HOST[,...]:/directory, or a file of options, one a line',
    )
    .argument('[MOUNTPOINT]', 'where to mount: an existing directory')
    .description(INTRODUCTION)
    .addHelpText('after', FOOTER)
    .configureHelp({ helpWidth: 100 });
  for (const row of OPTION_TABLE) {
    const text =
      row.defaultText === undefined ? row.help : `${row.help} (default: ${row.defaultText})`;
    const option = new Option(row.flags, text).helpGroup(row.group);
    if (row.repeatable === true) {
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    }
    command.addOption(option);
  }
  // Commander knows one short flag per option; -s is the public description's spelling of -S.
  command.addOption(new Option('-s <size>').hideHelp());
  return command
    .optionsGroup(OTHER)
    .helpOption(HELP_FLAGS, 'show this help')
    .version(version, VERSION_FLAGS, 'show the version');
}

const SETTING_WORDS = settingWords(OPTION_TABLE.map((row) => row.flags));

/** Parses the arguments of `imssfs`. Throws {@link UsageError}. */
export function parseCommandLine(args: readonly string[], version: string): CommandLine | Answer {
  const command = imssfsCommand(version);
  const outcome = runParser(command, args);
  if (outcome !== undefined) return outcome;
  const values = command.opts<Partial<CommandLine> & { s?: string }>();
  const { s, ...rest } = values;
  if (s !== undefined && values.capacity !== undefined && s !== values.capacity) {
    throw new UsageError(
      `-s ${s} and -S ${values.capacity} contradict each other; give one of them`,
    );
  }
  const { settings, options } = partSettings(values.options ?? [], SETTING_WORDS);
  const line: CommandLine = { ...rest, ...positionals(command.args, values.mountPoint), options };
  if (s !== undefined) line.capacity = s;
  addSettings(line, settings);
  return line;
}

/** One word is the mount point; of two, the first is the source. */
function positionals(
  words: readonly string[],
  given: string | undefined,
): Pick<CommandLine, 'mountPoint' | 'source'> {
  const mountPoint = words.at(-1);
  if (mountPoint !== undefined && given !== undefined && mountPoint !== given) {
    throw new UsageError('two different mount points are given; leave out -l or MOUNTPOINT');
  }
  return {
    mountPoint: given ?? mountPoint,
    ...(words.length > 1 && { source: words[0] }),
  };
}

/** Settings among the mount options count as their flags do. Throws {@link UsageError} for two that differ. */
export function addSettings(line: CommandLine, settings: readonly FoundSetting[]): void {
  const values = line as unknown as Record<string, unknown>;
  for (const { word, value } of settings) {
    const before = values[word.key];
    if (before !== undefined && before !== value) {
      throw new UsageError(
        `mount option ${word.name} (-o) says something else than before; give it once`,
      );
    }
    values[word.key] = value;
  }
}

/** Parses into `command`; returns what to print if that is all there is to do. Throws {@link UsageError}. */
export function runParser(command: Command, args: readonly string[]): Answer | undefined {
  let text = '';
  command.exitOverride().configureOutput({
    writeOut: (part) => (text += part),
    writeErr: () => undefined,
    outputError: () => undefined,
  });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { text };
    throw usageErrorOf(error, command.name());
  }
  return undefined;
}

/** Commander's message in our form: one line that says what is wrong, and what to do. */
function usageErrorOf(error: CommanderError, command: string): UsageError {
  const message = error.message.replace(/^error: /, '');
  const [what, suggestion] = message.split(/\n\(Did you mean /);
  const advice =
    suggestion === undefined
      ? `see ${command} --help`
      : `did you mean ${suggestion.replace(/\?\)$/, '?')}`;
  const plain = oneLine(what ?? message).replace(/\.$/, '');
  return new UsageError(`${plain}; ${advice}`);
}
