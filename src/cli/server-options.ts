/**
 * The options of `imssfs server meta` and `imssfs server blocks` in tables, and the positional forms of the public
 * description, which are turned into the same options. What the values may be is checked in server-config.ts.
 */
import { Command, Option } from 'commander';
import { DEFAULTS } from '../config.ts';
import { textOf } from './bytes-path.ts';
import type { ClusterLine } from './cluster-options.ts';
import { UsageError } from './errors.ts';
import { type Answer, HELP_FLAGS, type OptionRow, runParser } from './options.ts';

export type ServerKind = 'meta' | 'blocks';

const SERVER_GROUPS = ['What it serves:', 'The other servers:', 'The process:', 'Other:'] as const;
const [OWN, OTHERS, PROCESS, OTHER] = SERVER_GROUPS;

/** A row of a server's options. */
export interface ServerOptionRow extends Omit<OptionRow, 'group'> {
  readonly group: (typeof SERVER_GROUPS)[number];
}

const LISTEN: ServerOptionRow = {
  flags: '--listen <address>',
  group: OWN,
  help: 'name or address of this machine to listen on; --host is the same',
  defaultText: 'what its line in the hostfile means; all addresses without one',
};

const COMMON: readonly ServerOptionRow[] = [
  {
    flags: '--node <name>',
    group: OTHERS,
    help: 'the host (or host:port) in the hostfile that this server is, where that cannot be seen from names and addresses; IMSSFS_NODE in the environment is the same',
  },
  {
    flags: '--secret-file <file>',
    group: OTHERS,
    help: 'what nodes prove to each other that they know: a file that only you may read, the same on all nodes; made if missing',
    defaultText: '~/.imssfs/secret',
  },
  {
    flags: '--insecure',
    group: OTHERS,
    help: 'take connections without any proof: whoever reaches a port reads and writes everything',
  },
  {
    flags: '-f, --foreground',
    group: PROCESS,
    help: 'stay in the foreground, with readable logs on stderr, as units and launchers want it: the default',
  },
  {
    flags: '--daemon',
    group: PROCESS,
    help: 'go into the background, and return when the server is ready',
  },
  {
    flags: '--wait <seconds>',
    group: PROCESS,
    help: 'with --daemon, how long it may take until the server is ready',
    defaultText: DEFAULTS.wait,
  },
  {
    flags: '--log-level <level>',
    group: PROCESS,
    help: 'trace, debug, info, warn, error, fatal or silent; for one component too: info,net=debug',
    defaultText: 'info',
  },
  {
    flags: '--log-file <file>',
    group: PROCESS,
    help: 'write the log there, as JSON lines',
    defaultText: 'stderr; with --daemon, named when the server is ready',
  },
];

const META_HOSTFILE: ServerOptionRow = {
  flags: '-a, --meta-hostfile <file>',
  group: OTHERS,
  help: 'hosts that keep metadata, one host[:port] per line; the first is number 0',
};

const META_HOSTS: ServerOptionRow = {
  flags: '--meta-hosts <list>',
  group: OTHERS,
  help: 'the same as -a, written in place: host[:port],host[:port],...',
};

/** All options of each kind but help, in the order of `--help`. */
export const SERVER_OPTIONS: Readonly<Record<ServerKind, readonly ServerOptionRow[]>> = {
  meta: [
    LISTEN,
    {
      flags: '-m, --port <port>',
      group: OWN,
      help: 'TCP port, 1 to 65535, where the hostfile says none; -p is the same',
      defaultText: DEFAULTS.metaPort,
    },
    {
      flags: '-M, --metadata-file <file>',
      group: OWN,
      help: 'keep the metadata in this file; without it, it goes when the server ends',
    },
    META_HOSTFILE,
    META_HOSTS,
    {
      flags: '-x, --meta-servers <count>',
      group: OTHERS,
      help: 'number of metadata servers: the first so many hosts of -a, as mounts are told it',
      defaultText: 'all of them',
    },
    ...COMMON,
  ],
  blocks: [
    LISTEN,
    {
      flags: '-p, --port <port>',
      group: OWN,
      help: 'TCP port, 1 to 65535, where the hostfile says none',
      defaultText: DEFAULTS.dataPort,
    },
    {
      flags: '-S, --capacity <size>',
      group: OWN,
      help: 'most memory that blocks may take here; -s is the same',
      defaultText: 'half of memory',
    },
    {
      flags: '-b, --block-size <size>',
      group: OWN,
      help: 'size of the blocks into which writes are received; files may have any other',
      defaultText: DEFAULTS.blockSize,
    },
    {
      flags: '-t, --threads <count>',
      group: OWN,
      help: 'event loops, each with its share of the capacity and a port of its own, 1 to 64',
      defaultText: '1',
    },
    {
      flags: '-h, --hostfile <file>',
      group: OTHERS,
      help: 'hosts that keep data, one host[:port] per line, this one among them; the same file on every node',
      defaultText: 'this server alone',
    },
    {
      flags: '-n, --servers <count>',
      group: OTHERS,
      help: 'number of block servers that a launcher starts, where each host has several: they take the ports behind the first',
      defaultText: 'one for each line of the hostfile',
    },
    META_HOSTFILE,
    META_HOSTS,
    {
      flags: '-m, --meta-port <port>',
      group: OTHERS,
      help: 'TCP port of the metadata servers where -a says none',
      defaultText: DEFAULTS.metaPort,
    },
    ...COMMON,
  ],
};

/** What was written on the command line, every text one character per byte (see bytes-path.ts). */
export interface ServerLine extends ClusterLine {
  kind: ServerKind;
  listen?: string;
  port?: string;
  metadataFile?: string;
  metaServers?: string;
  capacity?: string;
  blockSize?: string;
  threads?: string;
  servers?: string;
  metaPort?: string;
  daemon?: boolean;
  foreground?: boolean;
  wait?: string;
  logLevel?: string;
  logFile?: string;
  /** What the public description's positional form says beside. */
  positional?: { rootUri?: string; bufferSize: string; hasServerCount: boolean };
}

const SUMMARY = {
  meta: 'Keeps the metadata of a file system: names, attributes, and which servers there are.',
  blocks: `Keeps the blocks of a file system in this machine's memory. They are gone when it ends.`,
} as const;

const READY = `
It prints one line that begins with "ready:" when it serves, and ends on SIGTERM, SIGINT or umount-imss --stop-servers;
a second signal ends it at once. The servers and mounts of a file system may be started in any order.

Exit code: 0 stopped, 1 failure (such as a port in use), 2 wrong usage.`;

const EXAMPLES = {
  meta: `
Examples:
  imssfs server meta -M /var/lib/imssfs/metadata     number 0, unless told otherwise, on port 5569
  imssfs server meta -a ./stat_hostfile              the one of several that this machine is in the file
  imssfs server ./metadata 5569 0                    metadata file, port, buffer size (0: as it is)
`,
  blocks: `
Examples:
  imssfs server blocks -S 10G --meta-hosts node1     the only block server
  imssfs server blocks -h ./hostfile -a ./stat_hostfile
  mpirun -np 4 imssfs server blocks -h ./hostfile -a ./stat_hostfile
  imssfs server imss:// 5555 0 node1 5569 4 ./hostfile 1
      root, data port, memory (0: half), metadata host and port, number of servers, hostfile, threads
`,
} as const;

/** The commander definition of one kind; exported for documentation and tests. */
export function serverCommand(kind: ServerKind): Command {
  const command = new Command(`imssfs server ${kind}`)
    .argument('[words...]')
    .usage('[options]')
    .description(SUMMARY[kind])
    .addHelpText('after', `${EXAMPLES[kind]}${READY}`)
    .configureHelp({ helpWidth: 100, visibleArguments: () => [] });
  for (const row of SERVER_OPTIONS[kind]) {
    const text =
      row.defaultText === undefined ? row.help : `${row.help} (default: ${row.defaultText})`;
    command.addOption(new Option(row.flags, text).helpGroup(row.group));
  }
  command.addOption(new Option('--host <address>').hideHelp());
  if (kind === 'meta') command.addOption(new Option('-p <port>').hideHelp());
  else command.addOption(new Option('-s <size>').hideHelp());
  return command.optionsGroup(OTHER).helpOption(HELP_FLAGS, 'show this help');
}

export const SERVER_HELP = `Usage: imssfs server meta [options]
       imssfs server blocks [options]

Runs a server of a file system whose metadata (imssfs -d 1) or metadata and data (imssfs -d 2) live apart from its
mounts: first metadata servers, then block servers, on any nodes, in any order. "imssfs server meta --help" and
"imssfs server blocks --help" explain the options.

The positional forms of Hercules IMSS mean the same; the kind is told from the first word:
  imssfs server ./metadata 5569 0                          a metadata server
  imssfs server imss:// 5555 0 node1 5569 4 ./hostfile 1   a block server
`;

/** Parses what stands behind `imssfs server`. Throws {@link UsageError}. */
export function parseServerLine(args: readonly string[]): ServerLine | Answer {
  const [first, ...rest] = args;
  if (first === undefined) {
    throw new UsageError('no kind of server is given; write imssfs server meta or imssfs server blocks, see imssfs server --help'); // prettier-ignore
  }
  if (first === '--help' || first === '-H') return { text: SERVER_HELP };
  if (first === 'meta' || first === 'blocks') return parseKind(first, rest, []);
  if (first.startsWith('-')) {
    throw new UsageError(`imssfs server ${textOf(first)}: the kind of server comes first; write imssfs server meta or imssfs server blocks`); // prettier-ignore
  }
  return first.includes('://')
    ? parseKind('blocks', rest, [first])
    : parseKind('meta', rest, [first]);
}

interface ParsedValues extends Omit<ServerLine, 'kind' | 'positional'> {
  host?: string;
  p?: string;
  s?: string;
}

function parseKind(
  kind: ServerKind,
  args: readonly string[],
  leading: readonly string[],
): ServerLine | Answer {
  const command = serverCommand(kind);
  const answer = runParser(command, args);
  if (answer !== undefined) return answer;
  const { host, p, s, ...values } = command.opts<ParsedValues>();
  const line: ServerLine = { kind, ...values };
  set(line, 'listen', host, '--host');
  set(line, 'port', p, '-p');
  set(line, 'capacity', s, '-s');
  if (leading.length > 0) addPositional(line, [...leading, ...command.args]);
  else if (command.args[0] !== undefined) {
    throw new UsageError(`"${textOf(command.args[0])}" is too much; imssfs server ${kind} takes options, see imssfs server ${kind} --help`); // prettier-ignore
  }
  if (line.daemon === true && line.foreground === true) {
    throw new UsageError('--daemon and --foreground contradict each other; give one of them');
  }
  return line;
}

const POSITIONAL_FORMS = {
  meta: 'imssfs server METADATA_FILE PORT BUFFER_SIZE',
  blocks: 'imssfs server imss:// PORT BUFFER_SIZE META_HOST META_PORT SERVERS HOSTFILE THREADS',
} as const;

function addPositional(line: ServerLine, words: readonly string[]): void {
  const needed = line.kind === 'meta' ? 3 : 8;
  const [first, port, bufferSize, metaHost, metaPort, servers, hostfile, threads] = words;
  if (words.length !== needed || bufferSize === undefined) {
    throw new UsageError(`${needed} words are needed behind "imssfs server", ${words.length} are given; write ${POSITIONAL_FORMS[line.kind]}, or see imssfs server --help`); // prettier-ignore
  }
  line.positional = { bufferSize, hasServerCount: servers !== undefined };
  set(line, 'port', port, 'the port');
  if (line.kind === 'meta') {
    set(line, 'metadataFile', first, 'the metadata file');
    return;
  }
  if (first !== undefined) line.positional.rootUri = first;
  if (line.metaHostfile === undefined) set(line, 'metaHosts', metaHost, 'the metadata host');
  set(line, 'metaPort', metaPort, 'the metadata port');
  set(line, 'servers', servers, 'the number of servers');
  set(line, 'hostfile', hostfile, 'the hostfile');
  set(line, 'threads', threads, 'the number of threads');
}

/** Sets what an alias or a position says; an option that says something else contradicts it. */
function set(
  line: ServerLine,
  key: 'listen' | 'port' | 'capacity' | 'metadataFile' | 'metaHosts' | 'metaPort' | 'servers' | 'hostfile' | 'threads',
  value: string | undefined,
  name: string,
): void {
  if (value === undefined) return;
  const before = line[key];
  if (before !== undefined && before !== value) {
    throw new UsageError(`${name} ${textOf(value)} and ${textOf(before)} contradict each other; give one of them`); // prettier-ignore
  }
  line[key] = value;
} // prettier-ignore
